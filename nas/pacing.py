"""Keeps plan and clock together: after each evaluation prices and total are corrected by what work really took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from nas.evaluation import Evaluation
from nas.plan import Plan
from nas.strategies.staged import Staged

TOLERANCE = 0.03
"""A plan is corrected when what is left, a look or a step differs by this share of the total, the look or the step."""

RESERVE = 0.97
"""Share of the wall time left that is planned: the rest is for the loop and for jobs that run late."""

TRUST = 0.01
"""Share of the total by which prices are believed at first, as if so much work had taken what was planned."""


@dataclass
class Pacer:
    """Corrects the plan of a run with a budget in seconds.

    Looks and training steps have a factor each: a machine that is slower than when it was timed is not equally so in
    both, and a look is not timed at all.

    Args:
        strategy: whose plan it is.
        deadline: `time.time()` at which the last job should be done.
        record: called with every corrected plan, before the strategy gets it.
        workers: that there are now; a resumed run may have others than its plan was made for.
        warm: workers that have answered; a first answer takes imports and compilation with it and tells no speed.
    """

    strategy: Staged
    deadline: float
    record: Callable[[Plan], None]
    workers: int
    warm: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        plan = self.strategy.plan
        believed = max(TRUST * plan.total, 1e-6)
        self.look, self.training = Factor(believed), Factor(believed)
        self.seen: dict[str, float] = {}  # job under way -> when it was first seen

    def after(self, evaluation: Evaluation) -> None:
        """Call at an `evaluated` event, before the next ask."""
        plan = self.strategy.plan
        if plan.unit != "seconds":
            return
        if evaluation.worker in self.warm and evaluation.seconds:
            taken = sum(evaluation.seconds.values())
            if evaluation.job.rung == 0:
                self.look.learn(plan.look, taken)
            else:  # what it takes to score a trained network counts as training
                self.training.learn(self.strategy.price_of(evaluation.job) - plan.look, max(taken - plan.look, 0.0))
        self.warm.add(evaluation.worker)
        looks, steps = self.look.moved(), self.training.moved()
        priced = replace(plan, look=plan.look * looks, per_op=plan.per_op * steps, per_mac=plan.per_mac * steps)
        now = time.time()
        left = max(0.0, self.deadline - now) * self.workers * RESERVE - self._under_way(now)
        total = self.strategy.spent + max(left, 0.0)
        if priced != plan or abs(total - plan.total) >= TOLERANCE * plan.total:
            corrected = priced.rescaled(total=total)
            self.record(corrected)
            self.strategy.replan(corrected)

    def _under_way(self, now: float) -> float:
        """What jobs under way are still going to take; how long they have been is known since the event after."""
        self.seen = {name: self.seen.get(name, now) for name in self.strategy.in_flight}
        prices = {name: self.strategy.price_of(job) for name, job in self.strategy.in_flight.items()}
        return sum(max(prices[name] - (now - since), 0.0) for name, since in self.seen.items())


class Factor:
    """By which prices of one kind turn out higher than they were planned to be.

    Args:
        believed: seconds of work that the first prices count for, as if so much had taken what was planned.
    """

    def __init__(self, believed: float) -> None:
        self.planned = self.actual = believed  # by the first prices, and by the clock
        self.applied = 1.0

    def learn(self, price: float, seconds: float) -> None:
        """A job of that price, by the plan as it is now, took so many seconds."""
        self.planned += price / self.applied
        self.actual += seconds

    def moved(self) -> float:
        """By what the plan's prices are to be multiplied now; 1 as long as they are right within the tolerance."""
        factor = self.actual / self.planned
        change = factor / self.applied
        if abs(change - 1) < TOLERANCE:
            return 1.0
        self.applied = factor
        return change
