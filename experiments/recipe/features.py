"""Does it help a student to match the original's features as well? The same steps with and without, by autograd.

    python -m experiments.recipe.features [--kb 30] [--steps 800] [--seeds 0 1 2]

A tensor of the original is to be read off the student's tensor of the same name by a learned 1x1 convolution: the
squared error, in variances of the original's channels, is added to the loss with some weight (arXiv:1412.6550). So that
the original's tensors can be kept, students learn from the first 10,000 training pictures, two views each. Writes
`features.csv`.
"""

import argparse
import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from experiments.recipe.students import Room
from nas.data.feed import feed
from nas.data.views import Views
from nas.students.candidate import Student
from nas.training.distill import Distiller, Recipe

TABLE = Path(__file__).with_suffix(".csv")
PICTURES, FALLING = 10_000, 0.3
TAPS = {"middle": "38/Clip", "last": "94/Clip"}
"""Behind the sixth and the last of the thirteen blocks: 256 x 4 x 4 and 1024 values of the original."""

ARMS = {"none": ("last", 0.0), "middle": ("middle", 0.3), "last": ("last", 0.3), "last, strong": ("last", 3.0)}


class FeatureDistiller(Distiller):
    """A distiller with one more loss, `weight` times the error of the features `wanted`, `views x N x C x H x W`."""

    def teach(self, tap: str, wanted: np.ndarray, weight: float) -> None:
        self.tap, self.wanted, self.weight = tap, wanted.reshape(-1, *wanted.shape[2:]), weight
        channels = self.student.graph.shapes[tap][0], wanted.shape[2]
        self.reader = torch.nn.Conv2d(*channels, 1)
        torch.nn.init.normal_(self.reader.weight, std=channels[0] ** -0.5, generator=torch.Generator().manual_seed(0))
        self.optimizer = torch.optim.Adam(self.reader.parameters(), 0.01)
        self.scale = torch.from_numpy(1 / (wanted.astype(np.float32).var((0, 1, 3, 4)) + 1e-3)).view(-1, 1, 1)

    def _train(self, rates: list[float], batches: Iterator[np.ndarray]) -> None:
        student, shape = self.student.train(), (self.batch, *self.views.shape)
        parameters = student.parameters_by_name()
        slots = student._slots
        planes = np.empty((int(np.prod(self.views.shape)), self.batch), np.float32)
        for rate, rows in zip(rates, batches, strict=False):
            self.views.pictures(rows, planes)
            x = torch.from_numpy(planes).t().reshape(shape).contiguous(memory_format=torch.channels_last)
            values = student._run(x, student._steps)
            logits = values[slots[student.output]]
            into, out = np.empty((logits.shape[1], self.batch), np.float32), logits.detach().numpy().T
            out = np.ascontiguousarray(out)
            self.views.loss_gradient(rows, lambda: planes, out, self.recipe.temperature, self.recipe.alpha, into)
            loss = (logits * torch.from_numpy(into).t()).sum()  # has the gradient of the task's loss
            if self.weight:
                wanted = torch.from_numpy(self.wanted[rows].astype(np.float32))
                error = (self.reader(values[slots[self.tap]]) - wanted) ** 2 * self.scale
                loss = loss + self.weight * error.mean()
                self.optimizer.zero_grad()
            loss.backward()
            if self.weight:
                self.optimizer.step()
            for name, gradient in self._gradients.items():
                gradient.copy_(parameters[name].grad)
                parameters[name].grad = None
            self._update(rate)
            self.step += 1


def features(room: Room) -> dict[str, np.ndarray]:
    """The original's tensors at both taps, `2 x N x C x H x W` float16."""
    teacher = Student(room.found.graph, room.found.weights).eval()
    found: dict[str, list[np.ndarray]] = {tap: [] for tap in TAPS.values()}
    for view, first in itertools.product(range(2), range(0, PICTURES, 250)):
        made = teacher.tensors(feed(np.array(room.images[view, first : first + 250])), found)
        for tap, value in made.items():
            found[tap].append(value.numpy().astype(np.float16))
    return {tap: np.stack(np.array_split(np.concatenate(parts), 2)) for tap, parts in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kb", type=int, default=30)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    room = Room()
    wanted, task = features(room), room.found.data.task
    graph, weights = room.begun(args.kb)
    falling = round(args.steps * FALLING)
    new = not TABLE.exists()
    with TABLE.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["arm", "kb", "steps", "seed", "drop", "kl"])
        for seed, (arm, (tap, weight)) in itertools.product(args.seeds, ARMS.items()):
            part = room.images[:2, :PICTURES], room.logits[:2, :PICTURES], room.targets[:PICTURES]
            student = Student(graph, weights, ending=task.ending)
            student.add_norm(room.reference.images)
            distiller = FeatureDistiller(student, Views(*part, task), Recipe(), seed=seed)
            distiller.teach(TAPS[tap], wanted[TAPS[tap]], weight)
            distiller.run(args.steps - falling)
            scored = room.score(args.kb, distiller.finish(falling))
            row = [arm, args.kb, args.steps, seed, f"{scored['drop']:.3f}", f"{scored['kl']:.5f}"]
            writer.writerow(row)
            file.flush()
            print(*row, flush=True)


if __name__ == "__main__":
    main()
