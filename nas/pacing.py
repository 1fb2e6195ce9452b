"""Keeps plan and clock together: after each evaluation the price list is compared with what work really took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nas.evaluation import Evaluation
from nas.plan import Plan
from nas.strategies.staged import Staged

TOLERANCE = 0.03
"""A plan is corrected when what is left differs from the wall time by this share of the total."""

RESERVE = 0.97
"""Share of the wall time left that is planned: the rest is for the loop and for jobs that run late."""


@dataclass
class Pacer:
    """Corrects the plan of a run with a budget in seconds.

    Args:
        strategy: whose plan it is.
        deadline: `time.time()` at which the last job should be done.
        record: called with every corrected plan, before the strategy gets it.
        warm: workers that have answered; a first answer takes imports and compilation with it and tells no speed.
    """

    strategy: Staged
    deadline: float
    record: Callable[[Plan], None]
    warm: set[int] = field(default_factory=set)
    planned: float = 0.0
    actual: float = 0.0

    def after(self, evaluation: Evaluation) -> None:
        """Call at an `evaluated` event, before the next ask."""
        plan = self.strategy.plan
        if plan.unit != "seconds":
            return
        if evaluation.worker in self.warm:
            self.planned += self.strategy.price_of(evaluation.job)
            self.actual += sum(evaluation.seconds.values())
        self.warm.add(evaluation.worker)
        speed = self.actual / self.planned if self.planned > 0 and self.actual > 0 else 1.0
        wall = max(0.0, self.deadline - time.time()) * plan.workers * RESERVE
        under_way = sum(self.strategy.price_of(job) for job in self.strategy.in_flight.values())
        # A job under way is on average half done.
        left = wall - under_way * speed / 2
        planned_left = (plan.total - self.strategy.spent) * speed
        if abs(left - planned_left) < TOLERANCE * plan.total * speed:
            return
        corrected = plan.rescaled(total=self.strategy.spent + max(left, 0.0) / speed)
        self.record(corrected)
        self.strategy.replan(corrected)
