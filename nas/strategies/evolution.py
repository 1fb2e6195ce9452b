"""NSGA-II in asynchronous steady state or by generations, by pymoo's ask and tell; the only importer of pymoo.

In steady state pymoo is asked for one offspring at a time and told when it is done, whatever else is under way; by
generations it is told when all of one are done, and until then there is nothing to propose. Its own duplicate check
sees the population alone, `ask()` may return None, and a NaN objective would survive for ever, so the archive, the
mutation fallback, the restart and the finite `FAILED` live here and in `proposers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.evaluator import Evaluator
from pymoo.core.individual import Individual
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.problems.static import StaticProblem

from nas import pareto
from nas.strategies.proposers import FAILED
from search_spaces.errors import SpaceError
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace

TRIES = 20

FEW = 4
"""Options of a gene that is redrawn in place of being moved."""

REDRAWN = 0.25
"""Share of the offspring in which one gene of few options is redrawn."""


class Moves(PM):
    """pymoo's polynomial mutation, rounded, and now and then a gene of few options redrawn.

    Rounded, a polynomial step hardly ever changes a gene of few options: at the same setting one of forty options
    changes in 83 of 1,000 offspring, one of two in less than one. Drawing all genes alike was worse: where most of them
    have two options, a kernel or a block, most offspring lose one (`experiments/surrogate`).

    Args:
        options: how many each gene has.
    """

    def __init__(self, options: Sequence[int]) -> None:
        super().__init__(prob=0.9, prob_var=min(0.5, 3 / len(options)), eta=5, repair=RoundingRepair())
        self.options = options

    def _do(
        self, problem: Problem, X: np.ndarray, *args: Any, random_state: np.random.Generator, **kwargs: Any
    ) -> np.ndarray:
        moved: np.ndarray = super()._do(problem, X, *args, random_state=random_state, **kwargs)
        few = [k for k, count in enumerate(self.options) if 1 < count <= FEW]
        for row in moved if few else []:
            if random_state.random() < REDRAWN:
                gene = few[int(random_state.integers(len(few)))]
                step = int(random_state.integers(1, self.options[gene]))
                row[gene] = (round(row[gene]) + step) % self.options[gene]
        return moved


class EvolutionProposer:
    """NSGA-II over the space's gene indices.

    A population that breeds nothing new any more gives way to another: half of it from the front of all that was told,
    the rest at random.

    Args:
        seeds: genomes to try first (the ladder and its neighbours); they become the first population.
        population: how many survive.
    """

    offsprings = 1

    def __init__(self, space: SearchSpace, *, seeds: Iterable[Genome], population: int = 16, seed: int) -> None:
        self.space = space
        self.rng = np.random.default_rng(seed)
        self.population = population
        self.queue = list(dict.fromkeys(seeds))
        self.seen: set[Genome] = set()
        self.told: list[Individual] = []
        self.archive: list[Individual] = []
        self.algorithm: NSGA2 | None = None

    def propose(self) -> Genome | None:
        try:
            for attempt in range(3 * TRIES):
                # A population that has settled breeds what was seen already; then its neighbours are tried.
                if attempt == 2 * TRIES:
                    self._restart()
                genome = self._mutant() if TRIES <= attempt < 2 * TRIES else self._next()
                if genome not in self.seen:
                    self.seen.add(genome)
                    return genome
        except SpaceError:  # the space has one network only
            pass
        return None

    def _next(self) -> Genome:
        if self.queue:
            return self.queue.pop(0)
        if self.algorithm is None:
            return self._mutant() if self.told else self.space.sample(rng=self.rng)
        asked = self.algorithm.ask()
        if asked is None or len(asked) == 0:
            return self._mutant()
        return self.space.decode(np.asarray(asked[0].X, dtype=int))

    def _mutant(self) -> Genome:
        """A neighbour of a network of the population, or of what was told so far."""
        parents = self.told if self.algorithm is None else self.algorithm.pop
        if len(parents) == 0:
            return self.space.mutate(self.space.sample(rng=self.rng), rng=self.rng)
        parent = self.space.decode(np.asarray(parents[int(self.rng.integers(len(parents)))].X, dtype=int))
        return self.space.mutate(parent, rng=self.rng)

    def tell(self, genome: Genome, objectives: tuple[float, ...], violation: float) -> None:
        self.seen.add(genome)
        one = self._told(genome, objectives, violation)
        if self.algorithm is None:
            self.told.append(one)
            if len(self.told) >= self.population:
                self._start()
        else:
            self.algorithm.tell(infills=Population.create(one))

    def skip(self, genome: Genome) -> None:
        """Nobody waits for it."""

    def _told(self, genome: Genome, objectives: tuple[float, ...], violation: float) -> Individual:
        """An evaluated individual, every number of it finite."""
        finite = [value if np.isfinite(value) else FAILED for value in objectives]
        broken = violation if np.isfinite(violation) else FAILED
        one = Individual(X=self.space.encode(genome))
        known = StaticProblem(self._problem(len(finite)), F=np.array([finite]), G=np.array([[broken]]))
        Evaluator().eval(known, Population.create(one))
        self.archive.append(one)
        return one

    def _problem(self, count: int) -> Problem:
        upper = np.array([len(gene.options) - 1 for gene in self.space.genes])
        return Problem(n_var=len(upper), n_obj=count, n_ieq_constr=1, xl=np.zeros_like(upper), xu=upper, vtype=int)

    def _start(self) -> None:
        """Begins with the population told so far; pymoo takes evaluated individuals as its first generation."""
        self.algorithm = NSGA2(
            pop_size=self.population,
            n_offsprings=self.offsprings,
            sampling=Population.create(*self.told),
            crossover=UX(prob=0.7, repair=RoundingRepair()),
            mutation=self._mutation(),
        )
        problem, seed = self._problem(len(self.told[0].F)), int(self.rng.integers(2**31))
        self.algorithm.setup(problem, termination=NoTermination(), seed=seed, verbose=False)
        first = self.algorithm.ask()
        self.algorithm.tell(infills=first)

    def _mutation(self) -> Mutation:
        return Moves([len(gene.options) for gene in self.space.genes])

    def _restart(self) -> None:
        """Another population: up to half of it evenly spaced along the front of the archive, fresh genomes beside."""
        if not self.archive:
            return
        half = self.population // 2
        worst = [np.concatenate([np.maximum(one.G, 0.0), one.F]) for one in self.archive]
        front = sorted((self.archive[k] for k in pareto.front(np.array(worst))), key=lambda one: tuple(one.F))
        chosen = np.unique(np.linspace(0, len(front) - 1, half).round().astype(int))
        self.algorithm, self.told = None, [front[k] for k in chosen]
        fresh = (self.space.sample(rng=self.rng) for _ in range(TRIES * half))
        self.queue = [genome for genome in dict.fromkeys(fresh) if genome not in self.seen][: self.population - half]


class GenerationalProposer(EvolutionProposer):
    """NSGA-II as it was published: a whole generation is bred, and nothing more until all of it is done.

    Args:
        seeds, population, seed: as of `EvolutionProposer`; random genomes fill up the first generation.
    """

    def __init__(self, space: SearchSpace, *, seeds: Iterable[Genome], population: int = 16, seed: int) -> None:
        super().__init__(space, seeds=seeds, population=population, seed=seed)
        self.offsprings = population
        self.queue += [space.sample(rng=self.rng) for _ in range(population - len(self.queue))]
        self.awaited = 0

    def propose(self) -> Genome | None:
        if not self.queue and self.awaited == 0:
            self._breed()
        while self.queue:
            genome = self.queue.pop(0)
            if genome not in self.seen:
                self.seen.add(genome)
                self.awaited += 1
                return genome
        return None

    def tell(self, genome: Genome, objectives: tuple[float, ...], violation: float) -> None:
        self.seen.add(genome)
        self.awaited = max(0, self.awaited - 1)  # the ladder is told without having been proposed
        self.told.append(self._told(genome, objectives, violation))

    def skip(self, genome: Genome) -> None:
        self.awaited -= 1

    def _breed(self) -> None:
        """The next generation: offspring of the survivors, and neighbors of theirs in place of what was seen."""
        if not self.told:
            return
        if self.algorithm is None:
            self._start()
        else:
            self.algorithm.tell(infills=Population.create(*self.told))
        self.told = []
        assert self.algorithm is not None
        asked = self.algorithm.ask()
        bred = [self.space.decode(np.asarray(one.X, dtype=int)) for one in (asked if asked is not None else [])]
        with suppress(SpaceError):  # the space has one network only
            bred += [self._mutant() for _ in range(TRIES)]
        self.queue = [genome for genome in dict.fromkeys(bred) if genome not in self.seen][: self.population]
        if not self.queue:
            self._restart()
