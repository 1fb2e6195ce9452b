"""Where new genomes come from between scouts and finishes: the plug that tells the strategies apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from search_spaces.genes import Genome
from search_spaces.space import SearchSpace

FAILED = 1e6
"""Objective of a genome that could not be trained: worse than any real one, and finite, since pymoo keeps a NaN."""


class Proposer(Protocol):
    """Proposes genomes and learns from what became of them.

    `propose` may be called again before earlier genomes are told. `tell` takes the objectives, lower is better, and a
    violation: 0 where the genome meets the limits, else how far it is outside, relative to the limits. What was
    proposed is told, possibly as another genome, or skipped.
    """

    def propose(self) -> Genome | None: ...

    def tell(self, genome: Genome, objectives: tuple[float, ...], violation: float) -> None: ...

    def skip(self, genome: Genome) -> None:
        """Nothing will be told of this proposal: it came to a network that was tried already."""


class RandomProposer:
    """Samples the space: the control that any search must beat.

    Args:
        seeds: genomes to propose first.
    """

    def __init__(self, space: SearchSpace, *, seeds: Sequence[Genome] = (), seed: int) -> None:
        self.space, self.rng, self.seeds = space, np.random.default_rng(seed), list(seeds)

    def propose(self) -> Genome | None:
        return self.seeds.pop(0) if self.seeds else self.space.sample(rng=self.rng)

    def tell(self, genome: Genome, objectives: tuple[float, ...], violation: float) -> None:
        """Nothing is learned."""

    def skip(self, genome: Genome) -> None:
        """Nobody waits for it."""
