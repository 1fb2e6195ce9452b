"""What a budget buys: prices by hand, and the fit of prices against a closed form."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from nas.plan import Plan, finishes_for, fit_prices, seconds_plan, step_plan
from search_spaces.graph import Graph
from tests.toys import chain, depthwise, residual

GRAPH = chain()[0]


@dataclass
class Size:
    """All that a price looks at."""

    ops: list[int]
    macs: int


def sizes(*pairs: tuple[int, int]) -> list[Graph]:
    return [Size([0] * ops, macs) for ops, macs in pairs]  # type: ignore[misc]


def test_a_step_costs_its_operators_and_its_macs() -> None:
    plan = Plan("seconds", 100.0, 2, look=0.5, per_op=1e-3, per_mac=1e-8)
    (graph,) = sizes((10, 5_000_000))
    assert plan.step(graph) == pytest.approx(0.01 + 0.05)
    assert plan.job(graph, 100) == pytest.approx(0.5 + 100 * 1.2 * 0.06)
    assert plan.job(graph, 100, cooldown=0) == pytest.approx(0.5 + 100 * 0.06)
    assert plan.job(graph, 0) == 0.5


def test_in_steps_every_step_costs_one_and_a_look_four() -> None:
    plan = step_plan(4000, 1)
    assert plan.step(GRAPH) == plan.step(residual()[0]) == 1
    assert plan.job(GRAPH, 25) == 4 + 30


def test_a_price_buys_whole_tens_of_steps_and_ten_at_least() -> None:
    plan = step_plan(4000, 1)
    assert plan.steps_for(GRAPH, 4 + 137) == 130
    assert plan.job(GRAPH, plan.steps_for(GRAPH, 141), cooldown=0) <= 141
    assert plan.steps_for(GRAPH, 3) == 10


@pytest.mark.parametrize(("workers", "finishes"), [(1, 6), (2, 6), (3, 9), (4, 12), (16, 48)])
def test_finishes_fill_whole_waves(workers: int, finishes: int) -> None:
    assert finishes_for(workers) == finishes


def test_a_short_budget_has_fewer_scouts_and_shorter_rungs() -> None:
    short, long = step_plan(300, 1), step_plan(20_000, 1)
    assert (short.total, short.scouts, short.rungs) == (300.0, 3, (5, 10))
    assert (long.total, long.scouts, long.rungs) == (20_000.0, 6, (25, 100))
    hurried = seconds_plan(60.0, 2, 0.2, (1e-4, 1e-9), shortest=0.02)  # 3,000 steps in all
    patient = seconds_plan(1200.0, 2, 0.2, (1e-4, 1e-9), shortest=0.02)
    assert (hurried.rungs, patient.rungs) == ((10, 40), (60, 240))
    assert (hurried.scouts, patient.scouts) == (4, 6)
    assert (patient.per_op, patient.per_mac, patient.look, patient.unit) == (1e-4, 1e-9, 0.2, "seconds")


def test_a_plan_goes_to_json_and_back() -> None:
    plan = seconds_plan(1200.0, 3, 0.2, (1e-4, 1e-9), shortest=0.02)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert plan.rescaled(total=7.0).total == 7.0
    assert plan.rescaled(total=7.0).per_mac == plan.per_mac


def test_prices_are_recovered_exactly_from_a_machine_that_obeys_them() -> None:
    graphs = [chain()[0], residual()[0], depthwise()[0]]
    seconds = [2e-4 * len(graph.ops) + 3e-9 * graph.macs for graph in graphs]
    assert fit_prices(graphs, seconds) == pytest.approx((2e-4, 3e-9))


def test_prices_are_a_relative_fit() -> None:
    """No operators: p minimises (p x 1 - 1)^2 + (p x 2 - 1)^2, so p = (1 + 2) / (1 + 4)."""
    per_op, per_mac = fit_prices(sizes((0, 1000), (0, 2000)), [1000.0, 1000.0])
    assert per_op == pytest.approx(0)
    assert per_mac == pytest.approx(3 / 5)


def test_no_price_is_below_zero() -> None:
    """More operators but less time would make operators cheaper than free, and the other way round."""
    per_op, per_mac = fit_prices(sizes((20, 1000), (10, 2000)), [1.0, 3.0])
    assert per_op == 0
    assert per_mac == pytest.approx((1000 / 1 + 2000 / 3) / (1000**2 + (2000 / 3) ** 2))
    per_op, per_mac = fit_prices(sizes((10, 2000), (20, 1000)), [1.0, 3.0])
    assert per_mac == 0
    assert per_op == pytest.approx((10 / 1 + 20 / 3) / (10**2 + (20 / 3) ** 2))
