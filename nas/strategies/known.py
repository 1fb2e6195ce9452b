"""What a run knows of the networks it tried: their sizes, what came back, and where the answer is expected."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from nas import schedule
from nas.evaluation import Evaluation
from nas.objectives import Limits, value_of, violation
from nas.schedule import Curve, Measured
from nas.strategies import ladder
from nas.strategies.candidate import Candidate
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace
from targets.cost import Cost

NICHE = 1.25
"""Two sizes within this factor compete with each other."""


class Known:
    """The candidates, shared by all phases.

    Args:
        price: genome to cost; milliseconds, before any training.
        aim: drop in points that finishes are placed for (`schedule.aim_for`).
        resources: the objectives beside the drop, fields of `Cost`; the first one is what "size" means.
        top: the plan's last rung; the rung after it is the finish.
        scouts: so many ladder networks are measured first.
        is_quick: a price is a matter of milliseconds, so that hundreds may be asked for one network.
    """

    def __init__(
        self,
        space: SearchSpace,
        price: Callable[[Genome], Cost],
        limits: Limits,
        *,
        aim: float,
        resources: tuple[str, ...],
        top: int,
        scouts: int,
        is_quick: bool = True,
    ) -> None:
        self.space, self.price, self.limits, self.aim, self.resources = space, price, limits, aim, resources
        self.top, self.finish, self.is_quick = top, top + 1, is_quick
        self.candidates: dict[Genome, Candidate] = {}
        self.scouts = [self.candidate(genome, is_ladder=True) for genome in self._ladder(scouts)]

    def candidate(self, genome: Genome, *, is_ladder: bool = False) -> Candidate:
        """The one of that genome, made when it is first asked for."""
        if genome not in self.candidates:
            graph, cost = self.space.apply(genome), self.price(genome)
            self.candidates[genome] = Candidate(genome, cost, graph, is_ladder, self._resources(cost))
        return self.candidates[genome]

    def told(self, evaluation: Evaluation) -> Candidate:
        """The candidate that an evaluation is of, which it keeps."""
        candidate = self.candidate(evaluation.job.genome)
        candidate.evaluations[evaluation.job.rung] = evaluation
        return candidate

    # -- sizes --------------------------------------------------------------------------------------------------

    def measure(self, genome: Genome) -> float:
        """Its size, or infinity where a limit is broken."""
        cost = self.price(genome)
        return self._resources(cost)[0] if violation(cost, self.limits) == 0 else float("inf")

    @property
    def most(self) -> float | None:
        """The limit on size, if there is one."""
        return self.limits.active.get(self.resources[0])

    @property
    def axes(self) -> range:
        """Positions of the resources."""
        return range(len(self.resources))

    def _resources(self, cost: Cost) -> tuple[float, ...]:
        return tuple(value_of(name, cost, 0.0) for name in self.resources)

    def _ladder(self, count: int) -> list[Genome]:
        largest = self.most or self._resources(self.price(self.space.original))[0]
        return ladder.rungs(self.space, self.measure, largest, count)

    # -- the answer ---------------------------------------------------------------------------------------------

    def curve(self, axis: int = 0) -> Curve:
        """The ladder's drop over one of the resources, at the highest rung that all kinds of candidates see."""
        known = [c for c in self.candidates.values() if c.is_ladder]
        points = [m for c in known if (m := c.measured(self.top, axis))]
        points = points or [m for c in known if (m := c.measured(c.trained_rung, axis))]
        return Curve(points or [Measured(self.scouts[0].resources[axis], 10.0)])

    @property
    def answers(self) -> list[Measured]:
        """The ladder's finishes so far. Found networks follow another curve and would mislead about the ladder."""
        return [m for c in self.candidates.values() if c.is_ladder and (m := c.measured(self.finish))]

    def target_size(self, *, share: float = 1.0) -> float:
        """The smallest size at which the ladder is expected to meet the aim, or that share of it."""
        high = max(c.size for c in self.scouts)
        return schedule.smallest_within(share * self.aim, min(high, self._smallest()), high, self.curve(), self.answers)

    @property
    def falls_short(self) -> bool:
        """Does another limit than size keep the ladder too small for the aim? Then it tells little of what can be."""
        largest = max(c.size for c in self.scouts)
        if not NICHE * largest < self.reach < float("inf"):
            return False
        return schedule.expected_drop(largest, self.curve(), self.answers) > self.aim

    @cached_property
    def reach(self) -> float:
        """Size of the largest uniform network that the limit on size allows, whatever other limits say of it."""

        def size(genome: Genome) -> float:
            value = getattr(self.price(genome), self.resources[0])
            return float("inf") if value is None else float(value)  # no tool was asked for what breaks another limit

        return size(ladder.at_size(self.space, size, self.most or float("inf")))

    @property
    def corner(self) -> tuple[float, ...]:
        """Resources from which volumes are measured: the limits where there are any, else the largest scout's."""
        limits = self.limits.active
        found = [max(v, limits.get(n, 0.0)) for n, v in zip(self.resources, self.scouts[0].resources, strict=True)]
        return (max(found[0], self.reach if self.falls_short else 0.0), *found[1:])

    def _smallest(self) -> float:
        return max(self._resources(self.price(ladder.thinnest(self.space, self.measure)))[0], 1e-9)
