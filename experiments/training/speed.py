"""How many training steps a second, beside the loop that one would write first? Shares of one machine, in turns.

    OMP_NUM_THREADS=1 python experiments/training/speed.py [--width 0.125] [--rounds 15] [--steps 10]

Every way trains the same uniform MobileNetV1 from the same weights, in turns of a few steps; the median over the rounds
of each round's ratio is printed, so that a machine whose speed changes does not decide. Ways: `plain` is torch's own
modules on contiguous memory in float32, the original answering each batch online, `torch.optim.SGD`; `engine` is
`nas.training.distill` on cached answers; `autograd` its pass on channels-last memory, and `bf16` that under autocast.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from nas import inputs
from nas.config import RunConfig
from nas.data.feed import feed
from nas.data.views import Views
from nas.students.candidate import Student
from nas.timing import fresh_weights
from nas.training.accelerator import Accelerator
from nas.training.distill import Distiller, Recipe

PICTURES = 4096


def plain(student: Student, original: Student, views: Views, recipe: Recipe) -> Callable[[int], None]:
    """Distillation as a tutorial has it: two networks, one loss, one optimiser."""
    optimizer = torch.optim.SGD(
        student.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    rng = np.random.default_rng(0)

    def run(steps: int) -> None:
        student.train(), original.eval()
        for _ in range(steps):
            rows = rng.integers(0, PICTURES, recipe.batch)
            x, labels = torch.from_numpy(feed(views.images[0, rows])), torch.from_numpy(views.targets[rows])
            with torch.no_grad():
                teacher = F.log_softmax(original(x) / recipe.temperature, 1)
            logits = student(x)
            mild = F.log_softmax(logits / recipe.temperature, 1)
            soft = F.kl_div(mild, teacher, log_target=True, reduction="batchmean") * recipe.temperature**2
            optimizer.zero_grad()
            (recipe.alpha * soft + (1 - recipe.alpha) * F.cross_entropy(logits, labels)).backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), recipe.clip)
            optimizer.step()

    return run


class InBf16(Student):
    """Layers under autocast, float32 parameters and logits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found, recipe = inputs.read(RunConfig()), Recipe()
    graph, data = found.space.apply(found.space.uniform(args.width)), found.data
    original = Student(found.graph, found.weights, ending=data.task.ending)
    x = data.x_train[:PICTURES]
    views = Views(x[None], original.logits(x)[None], data.y_train[:PICTURES], data.task)
    weights = fresh_weights(graph, seed=0)

    def student(kind: type[Student] = Student) -> Student:
        return kind(graph, weights, norm=True, ending=data.task.ending)

    ways = {
        "engine": Distiller(student(), views, recipe, seed=0).run,
        "plain": plain(student(), original, views, recipe),
        "autograd": Distiller(student(), views, recipe, seed=0, on=Accelerator("cpu")).run,
        "bf16": Distiller(student(InBf16), views, recipe, seed=0, on=Accelerator("cpu")).run,
    }
    for run in ways.values():
        run(3)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            run(args.steps)
            seconds[name].append((time.perf_counter() - start) / args.steps)
    for name, taken in seconds.items():
        ratio = np.median(np.array(taken) / np.array(seconds["engine"]))
        print(f"{name:10} {1000 * np.median(taken):8.1f} ms a step, {ratio:5.2f} x the engine's")


if __name__ == "__main__":
    main()
