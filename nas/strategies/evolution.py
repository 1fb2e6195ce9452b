"""NSGA-II in asynchronous steady state, by pymoo's ask and tell; the only importer of pymoo.

pymoo is asked for one offspring at a time and told when it is done, whatever else is under way. Its own duplicate check
sees the population alone, `ask()` may return None, and a NaN objective would survive for ever, so the archive, the
mutation fallback and the finite `FAILED` live here and in `proposers`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.evaluator import Evaluator
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.problems.static import StaticProblem

from nas.strategies.proposers import FAILED
from search_spaces.errors import SpaceError
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace

TRIES = 20


class EvolutionProposer:
    """NSGA-II over the space's gene indices.

    Args:
        seeds: genomes to try first (the ladder and its neighbours); they become the first population.
        population: how many survive.
    """

    def __init__(self, space: SearchSpace, *, seeds: Iterable[Genome], population: int = 16, seed: int) -> None:
        self.space = space
        self.rng = np.random.default_rng(seed)
        self.population = population
        self.queue = list(dict.fromkeys(seeds))
        self.seen: set[Genome] = set()
        self.told: list[Individual] = []
        self.algorithm: NSGA2 | None = None
        self.algorithm_seed = int(self.rng.integers(2**31))

    def propose(self) -> Genome | None:
        try:
            for attempt in range(2 * TRIES):
                # A population that has settled breeds what was seen already; then its neighbours are tried.
                genome = self._next() if attempt < TRIES else self._mutant()
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

    def tell(self, genome: Genome, objectives: tuple[float, float], violation: float) -> None:
        self.seen.add(genome)
        finite = [value if np.isfinite(value) else FAILED for value in objectives]
        violation = violation if np.isfinite(violation) else FAILED
        one = Individual(X=self.space.encode(genome))
        self._evaluate(Population.create(one), finite, violation)
        if self.algorithm is None:
            self.told.append(one)
            if len(self.told) >= self.population:
                self._start()
        else:
            self.algorithm.tell(infills=Population.create(one))

    def _evaluate(self, one: Population, objectives: list[float], violation: float) -> None:
        known = StaticProblem(self._problem(), F=np.array([objectives]), G=np.array([[violation]]))
        Evaluator().eval(known, one)

    def _problem(self) -> Problem:
        upper = np.array([len(gene.options) - 1 for gene in self.space.genes])
        return Problem(n_var=len(upper), n_obj=2, n_ieq_constr=1, xl=np.zeros_like(upper), xu=upper, vtype=int)

    def _start(self) -> None:
        """Begins with the population told so far; pymoo takes evaluated individuals as its first generation."""
        self.algorithm = NSGA2(
            pop_size=self.population,
            n_offsprings=1,
            sampling=Population.create(*self.told),
            crossover=UX(prob=0.7, repair=RoundingRepair()),
            mutation=PM(prob=0.9, prob_var=min(0.5, 3 / len(self.space.genes)), eta=5, repair=RoundingRepair()),
        )
        self.algorithm.setup(self._problem(), termination=NoTermination(), seed=self.algorithm_seed, verbose=False)
        first = self.algorithm.ask()
        self.algorithm.tell(infills=first)
