"""A search in miniature: a space of three genes, a problem that is a pure function, a strategy that looks at answers.

No graph and no training, so that the loop and its records can be tested in milliseconds. What a test wants to see of
the workers (who did what, in which process) goes through files, since workers may be other processes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nas.evaluation import Evaluation, Job
from search_spaces.errors import RunFolderError
from search_spaces.genes import Gene, Genome
from targets.cost import Cost


@dataclass(frozen=True)
class ToySpace:
    """Two widths and a depth: 8 x 8 x 2 = 128 networks. The methods are those of `SearchSpace` that need no graph."""

    genes: tuple[Gene, ...] = (
        Gene("width:a", "width", (4, 8, 12, 16, 20, 24, 28, 32), 32),
        Gene("width:b", "width", (8, 16, 24, 32, 40, 48, 56, 64), 64),
        Gene("depth:c", "depth", (0, 1), 1),
    )

    @property
    def original(self) -> Genome:
        return Genome(tuple(gene.original for gene in self.genes))

    def count(self) -> int:
        return int(np.prod([len(gene.options) for gene in self.genes]))

    def contains(self, genome: Genome) -> bool:
        return all(value in gene.options for gene, value in zip(self.genes, genome.values, strict=True))

    def canonical(self, genome: Genome) -> Genome:
        return genome

    def encode(self, genome: Genome) -> np.ndarray:
        return np.array([gene.options.index(v) for gene, v in zip(self.genes, genome.values, strict=True)])

    def decode(self, indices: np.ndarray) -> Genome:
        return Genome(tuple(gene.options[int(i)] for gene, i in zip(self.genes, indices, strict=True)))

    def values(self, genome: Genome) -> dict[str, int]:
        return {gene.name: value for gene, value in zip(self.genes, genome.values, strict=True)}

    def sample(self, *, rng: np.random.Generator) -> Genome:
        return self.decode(np.array([rng.integers(len(gene.options)) for gene in self.genes]))

    def mutate(self, genome: Genome, *, rng: np.random.Generator) -> Genome:
        indices = self.encode(genome)
        place = int(rng.integers(len(indices)))
        size = len(self.genes[place].options)
        indices[place] = (indices[place] + 1 + rng.integers(size - 1)) % size
        return self.decode(indices)


@dataclass(frozen=True)
class ToyProblem:
    """Two layers of a x b weights. More weights and more steps lose less; the job's seed adds a little noise.

    Attributes:
        offset: added to every drop.
        seconds: what an evaluation takes.
        log: a file that gets one line an evaluation, `<job id> <process id>`, when it begins.
        raises: genomes that raise; `full_disk` genomes raise what stops a run.
        kills: a file; whoever finds it takes it away and kills its own process with it, as the kernel does when memory
            runs out.
    """

    space: ToySpace = field(default_factory=ToySpace)
    offset: float = 0.0
    seconds: float = 0.0
    log: Path | None = None
    raises: frozenset[Genome] = frozenset()
    full_disk: frozenset[Genome] = frozenset()
    kills: Path | None = None

    def price(self, genome: Genome) -> Cost:
        a, b, depth = genome.values
        weights = a * b * (1 + depth)
        return Cost(
            size_bytes=weights + 1000,
            weights_bytes=weights,
            flash_bytes=weights + 21_000,
            ram_bytes=64 * a,
            macs=100 * weights,
            params=weights,
            latency_ms=weights / 100,
            energy_uj=None,
            runtime="tflm",
            target="toy",
        )

    def evaluate(self, job: Job) -> Evaluation:
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{job.id} {os.getpid()}\n")
        if self.kills is not None and _taken(self.kills):
            os.kill(os.getpid(), signal.SIGKILL)
        if job.genome in self.raises:
            raise ValueError("a toy\nthat broke")
        if job.genome in self.full_disk:
            raise RunFolderError("no room for the checkpoint")
        time.sleep(self.seconds)
        cost = self.price(job.genome)
        noise = np.random.default_rng(job.seed).uniform(0, 0.1)
        drop = self.offset + 40.0 / np.sqrt(cost.weights_bytes) / (1 + job.steps / 100) + noise
        seconds = {"train": self.seconds}
        return Evaluation(job, cost, accuracy=90.0 - drop, drop=drop, kl=drop / 50, seconds=seconds)


def _taken(path: Path) -> bool:
    """Takes the file away; True for the one who got it."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def build(arrays: Mapping[str, np.ndarray], **settings: Any) -> ToyProblem:
    """For the workers: a toy problem whose offset is the mean of the array `offset`."""
    offset = float(arrays["offset"].mean()) if "offset" in arrays else 0.0
    return ToyProblem(offset=offset, **settings)


class ToyStrategy:
    """Mutates the best network found so far; every fourth job trains the best one longer, from its checkpoint.

    What it asks depends on what it was told before, never more than `ahead` answers behind, so a loop that asks at the
    wrong moments or tells in another order gets other jobs.
    """

    def __init__(self, *, seed: int, total: int, ahead: int = 3) -> None:
        self.space = ToySpace()
        self.rng = np.random.default_rng(seed)
        self.seed, self.total, self.ahead = seed, total, ahead
        self.steps = 10
        self.asked: dict[str, Job] = {}
        self.told: list[Evaluation] = []

    @property
    def finished(self) -> bool:
        return len(self.told) >= self.total

    def follow(self, plan: Mapping[str, Any]) -> None:
        """A new plan: how long to train from now on."""
        self.steps = plan["steps"]

    def ask(self) -> Job | None:
        number = len(self.asked)
        if number >= self.total or number - len(self.told) >= self.ahead:
            return None
        job = (self._promotion() if number % 4 == 3 else None) or self._novelty()
        self.asked[job.id] = job
        return job

    def tell(self, evaluation: Evaluation) -> None:
        assert evaluation.job == self.asked[evaluation.job.id]
        self.told.append(evaluation)

    def _promotion(self) -> Job | None:
        for evaluation in self._best_first():
            if evaluation.job.rung == 1:
                start = f"checkpoint:{evaluation.job.id}"
                job = Job.make(evaluation.job.genome, 2, 4 * self.steps, start, run_seed=self.seed)
                if job.id not in self.asked:
                    return job
        return None

    def _novelty(self) -> Job:
        while True:
            best = self._best_first()
            parent = best[0].job.genome if best and self.rng.random() < 0.7 else None
            genome = self.space.mutate(parent, rng=self.rng) if parent else self.space.sample(rng=self.rng)
            job = Job.make(genome, 1, self.steps, run_seed=self.seed)
            if job.id not in self.asked:
                return job

    def _best_first(self) -> list[Evaluation]:
        done = [evaluation for evaluation in self.told if evaluation.drop is not None and evaluation.cost is not None]
        return sorted(done, key=lambda e: (e.drop + e.cost.size_bytes / 500, e.job.id))  # type: ignore[operator,union-attr]
