"""Plan and clock kept together, with a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from nas import pacing
from nas.evaluation import Evaluation, Job
from nas.pacing import RESERVE, Pacer
from nas.plan import Plan
from search_spaces.genes import Genome

PLAN = Plan("seconds", 100.0, 1, look=1.0, per_op=0.0, per_mac=0.0)


@dataclass
class Told:
    """A strategy of which every job costs 10."""

    plan: Plan = PLAN
    spent: float = 0.0
    in_flight: dict[str, Job] = field(default_factory=dict)

    def price_of(self, job: Job) -> float:
        return 10.0

    def replan(self, plan: Plan) -> None:
        self.plan = plan


class Clock:
    """Stands still until it is moved."""

    now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pacing, "time", clock)
    return clock


def job(number: int) -> Job:
    return Job.make(Genome((number,)), 1, 10, run_seed=0)


def done(number: int, seconds: float) -> Evaluation:
    return Evaluation(job(number), kl=1.0, seconds={"train": 0.75 * seconds, "score": 0.25 * seconds})


def pacer(strategy: Told, wall: float) -> tuple[Pacer, list[Plan]]:
    recorded: list[Plan] = []
    return Pacer(strategy, 1000.0 + wall, recorded.append, warm={0}), recorded  # type: ignore[arg-type]


def test_while_work_takes_what_was_planned_the_plan_stays(clock: Clock) -> None:
    strategy = Told()
    keeper, recorded = pacer(strategy, 100 / RESERVE)
    for number in range(5):
        strategy.spent += 10
        clock.now += 10
        keeper.after(done(number, 10.0))
    assert recorded == []
    assert strategy.plan == PLAN


def test_on_a_machine_half_as_fast_the_total_shrinks_to_what_the_clock_allows(clock: Clock) -> None:
    """10 of 100 spent took 20 seconds; 80 seconds are left, which hold 40 at that speed (less the reserve)."""
    strategy = Told()
    keeper, recorded = pacer(strategy, 100.0)
    strategy.spent, clock.now = 10.0, 1020.0
    keeper.after(done(0, 20.0))
    assert recorded == [strategy.plan]
    assert strategy.plan == replace(PLAN, total=strategy.plan.total)
    assert strategy.plan.total == pytest.approx(10 + 80 * RESERVE / 2)


def test_what_is_under_way_counts_as_half_done(clock: Clock) -> None:
    """20 asked for, 10 done in 10 seconds, 10 under way: 90 seconds of wall, 5 of them for the job under way."""
    strategy = Told(spent=20.0, in_flight={"x": job(1)})
    keeper, _ = pacer(strategy, 200.0)
    clock.now = 1010.0
    keeper.after(done(0, 10.0))
    assert strategy.plan.total == pytest.approx(20 + 190 * RESERVE - 5)


def test_two_workers_have_twice_the_time(clock: Clock) -> None:
    strategy = Told(plan=replace(PLAN, workers=2, total=400.0), spent=10.0)
    keeper, _ = pacer(strategy, 100.0)
    clock.now = 1010.0
    keeper.after(done(0, 10.0))
    assert strategy.plan.total == pytest.approx(10 + 90 * 2 * RESERVE)


def test_after_the_deadline_nothing_is_left_to_spend(clock: Clock) -> None:
    strategy = Told(spent=10.0)
    keeper, _ = pacer(strategy, 5.0)
    clock.now = 1010.0
    keeper.after(done(0, 10.0))
    assert strategy.plan.total == strategy.spent


def test_a_plan_in_steps_is_left_alone(clock: Clock) -> None:
    strategy = Told(plan=replace(PLAN, unit="steps"))
    keeper, recorded = pacer(strategy, 1.0)
    clock.now += 500
    keeper.after(done(0, 500.0))
    assert recorded == []


def test_a_job_that_failed_without_taking_time_divides_nothing_by_zero(clock: Clock) -> None:
    strategy = Told(spent=10.0)
    keeper, _ = pacer(strategy, 50.0)
    keeper.after(Evaluation.failure(job(0), "broken"))
    assert strategy.plan.total == pytest.approx(10 + 50 * RESERVE)


def test_a_workers_first_answer_tells_no_speed(clock: Clock) -> None:
    strategy = Told(spent=10.0)
    pace, _ = pacer(strategy, wall=90.0 / RESERVE)
    pace.warm.clear()
    pace.after(done(0, seconds=100.0))  # ten times what it cost, most of it imports
    assert (pace.planned, pace.actual) == (0.0, 0.0)
    pace.after(done(1, seconds=10.0))
    assert (pace.planned, pace.actual) == (10.0, 10.0)
