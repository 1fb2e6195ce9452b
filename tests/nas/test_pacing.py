"""Plan and clock kept together, with a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from nas import pacing
from nas.evaluation import Evaluation, Job
from nas.pacing import RESERVE, Pacer
from nas.plan import Plan
from search_spaces.genes import Genome

PLAN = Plan("seconds", 100.0, 1, look=1.0, per_op=0.0, per_mac=0.9)


@dataclass
class Told:
    """A strategy of which every job costs a look of 1 and training of 9, by the first prices."""

    plan: Plan = PLAN
    spent: float = 0.0
    in_flight: dict[str, Job] = field(default_factory=dict)

    def price_of(self, job: Job) -> float:
        return self.plan.look + 10 * self.plan.per_mac

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
    return Evaluation(job(number), kl=1.0, seconds={"train": 0.9 * seconds, "score": 0.1 * seconds})


def looked(number: int, seconds: float) -> Evaluation:
    return Evaluation(Job.make(Genome((number,)), 0, 0, run_seed=0), kl=1.0, seconds={"refit": seconds})


def pacer(strategy: Told, wall: float) -> tuple[Pacer, list[Plan]]:
    recorded: list[Plan] = []
    made = Pacer(strategy, 1000.0 + wall, recorded.append, strategy.plan.workers, warm={0})  # type: ignore[arg-type]
    return made, recorded


def test_while_work_takes_what_was_planned_the_plan_stays(clock: Clock) -> None:
    strategy = Told()
    keeper, recorded = pacer(strategy, 100 / RESERVE)
    for number in range(5):
        strategy.spent += 10
        clock.now += 10
        keeper.after(done(number, 10.0))
    assert recorded == []
    assert strategy.plan == PLAN


def test_on_a_machine_half_as_fast_prices_rise_and_the_total_is_what_the_clock_allows(clock: Clock) -> None:
    """Training planned at 9 took 19 beside a look, and 1 second is believed beforehand: 20 / 10. A look is dear too."""
    strategy = Told()
    keeper, recorded = pacer(strategy, 100.0)
    strategy.spent, clock.now = 10.0, 1020.0
    keeper.after(done(0, 20.0))
    assert recorded == [strategy.plan]
    assert (strategy.plan.per_mac, strategy.plan.look) == (pytest.approx(0.9 * 2), 1.0)
    assert strategy.plan.total == pytest.approx(10 + 80 * RESERVE)
    keeper.after(looked(1, 2.0))
    assert strategy.plan.look == pytest.approx((1 + 2) / (1 + 1))


def test_prices_come_to_what_work_takes(clock: Clock) -> None:
    """Looks take half a second, and jobs of training three times as long as planned, whatever is said in between."""
    strategy = Told()
    keeper, recorded = pacer(strategy, 10_000.0)
    for number in range(200):
        keeper.after(looked(number, 0.5))
        keeper.after(done(number, 27.5))
    assert strategy.plan.look == pytest.approx(0.5, rel=0.3)  # 100 seconds were believed beforehand
    assert strategy.plan.per_mac == pytest.approx(2.7, rel=0.1)
    assert len(recorded) < 60


def test_one_odd_job_hardly_moves_a_long_plan(clock: Clock) -> None:
    """A first training that takes ten times as long as planned, as when a worker compiles: 99 + 9 becomes 99 + 90."""
    strategy = Told(plan=replace(PLAN, total=9900.0))
    keeper, _ = pacer(strategy, 9900.0 / RESERVE)
    keeper.after(done(0, 91.0))
    assert strategy.plan.per_mac == pytest.approx(0.9 * (99 + 90) / (99 + 9))


def test_of_what_is_under_way_the_clock_knows_how_much_is_left(clock: Clock) -> None:
    """A job of 10 is under way: all of it is still to come when it is first seen, 6 after 4 seconds."""
    strategy = Told(spent=20.0, in_flight={"x": job(1)})
    keeper, _ = pacer(strategy, 200.0)
    keeper.after(done(0, 10.0))
    assert strategy.plan.total == pytest.approx(20 + 200 * RESERVE - 10)
    clock.now += 4
    assert keeper._under_way(clock.now) == pytest.approx(6)
    clock.now += 40
    assert keeper._under_way(clock.now) == 0


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
    assert strategy.plan.per_mac == PLAN.per_mac
    pace.after(done(1, seconds=100.0))
    assert strategy.plan.per_mac > PLAN.per_mac
