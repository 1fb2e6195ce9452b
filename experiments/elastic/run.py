"""Does training networks of one band with shared weights first save them steps of their own?

    python experiments/elastic/run.py --seed 0
    python experiments/elastic/run.py --table

Shared weights, those of the sorted original at the band's largest width after its refit, are trained one random
network a step, every eighth a ladder's. Ladder networks then start from the refit or from a slice of the shared
weights, and are distilled alike: KL to the original and accuracy, in float, on the 10,000 images of both validation
splits. A seed's rows go to `results/elastic/<seed>.csv` as they are done; `--table` gathers them in
`results/elastic.csv`.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nas import baseline, inputs, material
from nas.config import RunConfig
from nas.data.feed import feed
from nas.data.views import Views
from nas.runtime import Session
from nas.strategies import ladder
from nas.students.candidate import Student
from nas.students.inherit import importance, inherit
from nas.students.layers import MOMENTUM
from nas.students.refit import Reference, refit
from nas.training.distill import Distiller, Recipe
from search_spaces.declare import Declaration
from search_spaces.genes import Genome
from search_spaces.space import derive
from targets.pricing import Pricer

TABLE, FOLDER = Path("results/elastic.csv"), Path("results/elastic")
BAND = (24, 170)  # KB
LADDER = 8  # networks of it in the band, and how many steps lie between two of them
LIFE = 28  # steps of a random network, in turn with the others: recording its pass costs a few steps
STARTS = (2000, 6000)  # shared steps after which networks start from a slice
LOOKS = (0, 25, 100, 400, 1500, 4000)  # own steps after which a network is scored, cool-down included


class Bench:
    """The quickstart's original, its space of widths, and its answers to two views of the training images."""

    def __init__(self) -> None:
        found = inputs.read(RunConfig())
        session = Session(found.model_path, threads=1, integer=False)
        base = baseline.measure(session, found.data, seed=0)
        arrays = material.gather(found, session, base, views=2, seed=0)
        self.task, self.weights = found.data.task, found.weights
        self.views = Views(arrays["view_images"], arrays["view_logits"], found.data.y_train, self.task)
        self.space = derive(found.graph, Declaration(depth=False, kernel=False))
        self.images = feed(arrays["view_images"][0][:256])
        self.reference = Reference(self.space.graph, self.weights, self.images)
        self.order = importance(self.space.graph, self.weights, self.space.channels, self.reference)
        price = Pricer(self.space, found.device, "tflm").price
        self.size = lambda genome: float(price(genome).size_bytes)
        data = found.data
        self.x, self.y = np.concatenate([data.x_search, data.x_final]), np.concatenate([data.y_search, data.y_final])
        self.logits = np.concatenate([base.logits["search_val"], base.logits["final_val"]])

    def ladder(self, kb: float) -> Genome:
        return ladder.at_size(self.space, self.size, kb * 1024)

    def refitted(self, genome: Genome) -> Student:
        weights = refit(self.space, genome, self.weights, self.reference, self.order)
        student = Student(self.space.apply(genome), weights)
        student.add_norm(self.images)
        return student

    def scored(self, student: Student) -> dict[str, float]:
        logits = student.logits(self.x)
        accuracy = 100 * float((logits.argmax(1) == self.y).mean())
        return {"kl": self.task.distance(self.logits, logits), "accuracy": accuracy}


class Shared:
    """Weights, norms and momentum of all networks of the band, laid out as the original's.

    Attributes:
        values, velocity: `role x parameter` for the roles weight (or bias), gamma and beta; a norm's values lie where
            the bias of its layer lies.
    """

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench, self.rng, self.step = bench, np.random.default_rng(seed), 0
        sizes = np.cumsum([0, *(array.size for array in bench.weights.values())])
        # `inherit` cuts positions as it cuts weights; float32 counts to 2^24.
        self.places = {
            name: np.arange(start, start + array.size, dtype=np.float32).reshape(array.shape)
            for start, (name, array) in zip(sizes, bench.weights.items(), strict=False)
        }
        self.values, self.velocity = np.zeros(3 * sizes[-1], np.float32), np.zeros(3 * sizes[-1], np.float32)
        self.largest = bench.ladder(BAND[1])
        student = bench.refitted(self.largest)
        for name, places in self._places(self.largest).items():
            if name in student.parameters_by_name():
                self.values[places] = student.parameters_by_name()[name].detach().numpy()

    def _places(self, genome: Genome) -> dict[str, np.ndarray]:
        """Where each parameter of a network lies."""
        found = inherit(self.bench.space, genome, self.places, self.bench.order)
        cut = {name: places.astype(np.int64) for name, places in found.items()}
        norms = {name.removesuffix("bias"): a for name, a in cut.items() if name.endswith("bias")}
        third = len(self.values) // 3
        roles = ((1, "gamma"), (2, "beta"))
        return cut | {f"{layer}{role}": a + k * third for layer, a in norms.items() for k, role in roles}

    def student(self, genome: Genome) -> Student:
        """A slice, its norms measured anew."""
        graph = self.bench.space.apply(genome)
        places = self._places(genome)
        weights = {name: self.values[places[name]] for name in graph.weight_shapes}
        student = Student(graph, weights, norm=True)
        for name, parameter in student.parameters_by_name().items():
            parameter.data = torch.tensor(self.values[places[name]])
        for buffer in student.buffers():
            buffer.zero_()
        with torch.no_grad():
            student.train()(torch.tensor(self.bench.images))
        for buffer in student.buffers():
            buffer /= MOMENTUM
        return student

    def distiller(self, genome: Genome, seed: int) -> tuple[Distiller, np.ndarray]:
        one = Distiller(self.student(genome), self.bench.views, Recipe(), seed=seed)
        places = self._places(genome)
        return one, np.concatenate([places[name].ravel() for name in one._names])

    def random(self) -> Genome:
        """Of a log-uniform size in the band, every width up to 1.5 times more or less, none beyond the largest's."""
        space = self.bench.space
        kb = np.exp(self.rng.uniform(*np.log(BAND)))
        indices, most = space.encode(self.bench.ladder(kb)), space.encode(self.largest)
        drawn = (indices + 1) * 1.5 ** self.rng.uniform(-1, 1, len(indices)) - 1
        return space.decode(np.clip(drawn.round().astype(int), 0, most))

    def train(self, steps: int, seed: int) -> Iterator[int]:
        """One network a step."""
        rungs = [self.distiller(self.bench.ladder(kb), seed) for kb in np.geomspace(*BAND, LADDER)]
        others: list[tuple[Distiller, np.ndarray]] = []
        while self.step < steps:
            if self.step % (LIFE * (LADDER - 1)) == 0:
                others = [self.distiller(self.random(), seed) for _ in range(LADDER - 1)]
            turn, k = divmod(self.step, LADDER)
            one, places = rungs[turn % LADDER] if k == 0 else others[k - 1]
            one.step = self.step
            one._values.numpy()[:], one._velocity.numpy()[:] = self.values[places], self.velocity[places]
            one.run(1)
            self.values[places], self.velocity[places] = one._values.numpy(), one._velocity.numpy()
            self.step += 1
            yield self.step


def own(bench: Bench, student: Student, seed: int) -> Iterator[dict[str, float]]:
    """Scores of a student on its way."""
    trained = Distiller(student, bench.views, Recipe(), seed=seed)
    for steps in LOOKS:
        cool = min(steps // 4, 300)
        if steps:
            trained.run(steps - cool - trained.step)
        folded = trained.cooled(cool) if cool else trained.student.folded()
        yield {"own_steps": steps} | bench.scored(Student(student.graph, folded))


def rows(bench: Bench, seed: int, shared: list[int], sizes: list[int]) -> Iterator[dict]:
    """One seed: the shared weights on their way, then every start's own steps."""
    genomes = {kb: bench.ladder(kb) for kb in sizes}
    weights, starts, spent = Shared(bench, seed), {}, time.process_time()
    for steps in weights.train(max(shared), seed):
        if steps in shared:
            seconds = time.process_time() - spent
            for kb in sizes:
                starts[steps, kb] = weights.student(genomes[kb])
                row = {"seed": seed, "kb": kb, "shared": steps, "own_steps": 0}
                yield row | bench.scored(starts[steps, kb]) | {"cpu_seconds": seconds}
            spent = time.process_time() - seconds  # scoring is not counted
    for steps in (0, *STARTS):
        for kb in sizes:
            began = time.process_time()
            student = starts[steps, kb] if steps else bench.refitted(genomes[kb])
            for look in own(bench, student, seed):
                if steps == 0 or look["own_steps"]:
                    row = {"seed": seed, "kb": kb, "shared": steps}
                    yield row | look | {"cpu_seconds": time.process_time() - began}


def table() -> pd.DataFrame:
    """Means over seeds, and how many steps more the refit needs for the same KL: straight in the logs of both."""
    found = pd.concat([pd.read_csv(file) for file in sorted(FOLDER.glob("[0-9]*.csv"))], ignore_index=True)
    found.to_csv(TABLE, index=False, float_format="%.4f")
    lines = []
    for (kb, shared, steps), rows in found[found.own_steps > 0].groupby(["kb", "shared", "own_steps"]):
        line = {"kb": kb, "shared": shared, "own_steps": steps, "seeds": len(rows)}
        line |= {"kl": rows.kl.mean(), "kl_sd": rows.kl.std(), "accuracy": rows.accuracy.mean()}
        lines.append(line | {"saved": needed(found, kb, rows.kl.mean()) - steps if shared else 0})
    return pd.DataFrame(lines)


def needed(found: pd.DataFrame, kb: int, kl: float) -> float:
    """Own steps after which the mean refit has this KL; beyond the last look the last slope goes on."""
    refitted = found[(found.kb == kb) & (found.shared == 0) & (found.own_steps > 0)].groupby("own_steps").kl.mean()
    steps, kls = np.log(refitted.index.to_numpy()), np.log(refitted.to_numpy())
    k = int(np.clip(np.searchsorted(-kls, -np.log(kl)), 1, len(kls) - 1))
    slope = (steps[k] - steps[k - 1]) / (kls[k] - kls[k - 1])
    return float(np.exp(steps[k] + slope * (np.log(kl) - kls[k])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shared", type=int, nargs="+", default=[250, 500, 1000, 2000, 4000, 6000])
    parser.add_argument("--kb", type=int, nargs="+", default=[30, 60, 120])
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        print(table().round(3).to_string(index=False))
        return
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = []
    for row in rows(Bench(), args.seed, args.shared, args.kb):
        found.append(row)
        pd.DataFrame(found).to_csv(FOLDER / f"{args.seed}.csv", index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
