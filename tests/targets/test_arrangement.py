"""Arrangements: what they save, that they lose nothing, and that a file's order is the bill's on every runtime."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.graph import Graph
from targets.arrangement import arranged
from targets.core import call_costs, load_core
from targets.lower import lower, lowered
from targets.memory import Plan, plan, verify_plan
from targets.program import Program
from tests.search_spaces.random_networks import random_network
from tests.targets.networks import mobilenet_v1
from tests.toys import Sketch, toys


def arena(program: Program, core: str = "cortex_m4") -> Plan:
    return plan(program, call_costs(program, load_core(core)))


def given(graph: Graph) -> Program:
    return lowered(graph, "tflm").program()


def networks() -> list[Graph]:
    return [random_network(rng=np.random.default_rng(seed)) for seed in range(60)]


def branched() -> Graph:
    """Two branches begun together: each widens 8 channels to 64 and narrows them to 8, and they are added."""
    net = Sketch(8, 8, 8)
    wide = [net.conv(f"wide{k}", 64, 1, of="image") for k in (1, 2)]
    net.add("sum", "add", *[net.conv(f"narrow{k}", 8, 1, of=made) for k, made in enumerate(wide, start=1)])
    return net.done()


def test_a_branch_is_finished_first() -> None:
    # While wide2 is made: the image 512, wide1 and wide2 4096 each. In turn: image, narrow1 and one wide map.
    assert arena(given(branched())).arena_bytes == 512 + 2 * 4096
    program = lower(branched())
    assert [call.output for call in program.calls] == ["wide1", "narrow1", "wide2", "narrow2", "sum"]
    assert arena(program).arena_bytes == 512 + 512 + 4096


def test_the_order_of_equal_tensors_closes_a_gap_in_a_chain() -> None:
    """MLPerf Tiny's visual wake words: its calls have one order."""
    graph = mobilenet_v1(0.25, side=96, channels=3, classes=2)
    program = lower(graph)
    assert program.calls == given(graph).calls
    assert arena(given(graph)).arena_bytes == 73_728
    assert arena(program).arena_bytes == 64_512
    assert program.activations != given(graph).activations


def test_arranging_takes_no_more_and_changes_no_call() -> None:
    saved = 0
    for graph in networks():
        before, after = given(graph), lower(graph)
        assert sorted(map(repr, before.calls)) == sorted(map(repr, after.calls))
        assert sorted(map(repr, before.activations)) == sorted(map(repr, after.activations))
        made = {after.input}
        for call in after.calls:
            assert made.issuperset(call.inputs)
            made.add(call.output)
        verify_plan(arena(after))
        assert arena(after).arena_bytes <= arena(before).arena_bytes
        saved += arena(after).arena_bytes < arena(before).arena_bytes
        assert arranged(before) == after
    assert saved > 10


@pytest.mark.parametrize("core", ["cortex_m0", "cortex_m55"])
def test_an_order_of_calls_takes_no_more_on_other_cores(core: str) -> None:
    for graph in networks():
        before, after = given(graph), lower(graph)
        if before.calls != after.calls:
            assert arena(after, core).arena_bytes <= arena(before, core).arena_bytes


def test_a_network_without_branches_stays_as_it_is() -> None:
    graph = toys()["depthwise"][0]
    assert lower(graph) == given(graph)


def test_generated_c_follows_the_order_of_the_file() -> None:
    for graph in (branched(), *networks()[:20]):
        filed, in_c = lower(graph), lower(graph, "c")
        place = {call.output: k for k, call in enumerate(filed.calls)}
        order = [place[call.output] for call in in_c.calls]
        assert order == sorted(order)
        names = {activation.name for activation in in_c.activations}
        assert [a.name for a in in_c.activations] == [a.name for a in filed.activations if a.name in names]
        assert lower(graph, "c", filed=filed) == in_c
