"""What can be left out, by hand on small networks, and that nothing is lost where the left-out part did nothing."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from search_spaces.depth import Unit, find_units
from search_spaces.graph import Graph
from search_spaces.structure import Structure, without
from tests import toys
from tests.search_spaces.forward import forward
from tests.search_spaces.random_networks import random_network
from tests.toys import Sketch


def unit(graph: Graph, name: str) -> Unit:
    return next(unit for unit in find_units(graph) if unit.name == name)


def left(structure: Structure) -> dict[str, tuple[str, ...]]:
    return {op.name: op.inputs for op in structure.ops}


def test_plain_segments_end_in_the_next_dense_layer_of_the_same_size_and_activation() -> None:
    assert [(u.name, u.ops) for u in find_units(toys.chain()[0])] == [("c2", ("c2", "r2")), ("c4", ("c4", "r4"))]


def test_the_layer_before_a_segment_takes_over() -> None:
    graph = toys.chain()[0]
    structure = without(graph, [unit(graph, "c2")])
    assert left(structure)["c3"] == ("r1",)
    assert structure.source == {
        "image": "image",
        **{"c1": "c2", "r1": "r2"},
        **{name: name for name in ("c3", "r3", "c4", "r4", "gap", "flat", "logits")},
    }


def test_depthwise_and_pointwise_go_together_and_a_stride_ends_it() -> None:
    units = find_units(toys.depthwise()[0])
    assert [u.name for u in units] == ["pw1", "pw2", "pw4"]
    assert units[1].ops == ("dw2", "dw2_relu", "pw2", "pw2_relu")


def test_of_two_segments_in_a_row_the_last_one_left_out_is_taken_over() -> None:
    graph = toys.depthwise()[0]
    structure = without(graph, [unit(graph, "pw1"), unit(graph, "pw2")])
    assert left(structure)["dw3"] == ("stem_relu",)
    assert (structure.source["stem"], structure.source["stem_relu"]) == ("pw2", "pw2_relu")
    only_second = without(graph, [unit(graph, "pw2")])
    assert (only_second.source["stem"], only_second.source["pw1"]) == ("stem", "pw2")


def test_an_identity_branch_goes_with_the_activation_that_would_repeat_itself() -> None:
    graph = toys.residual()[0]
    assert unit(graph, "a_add").ops == ("a1", "a1_relu", "a2", "a_add", "a_relu")
    structure = without(graph, [unit(graph, "a_add")])
    assert left(structure)["b1"] == left(structure)["b_project"] == ("stem_relu",)
    assert structure.source["stem_relu"] == "a_relu"  # nobody else reads it: it may as well become the sum
    assert structure.source["stem"] == "a_add"


def test_of_a_projected_block_the_longer_side_goes_and_the_projection_takes_over_the_sum() -> None:
    graph = toys.residual()[0]
    assert unit(graph, "b_add").ops == ("b1", "b1_relu", "b2", "b_add")
    structure = without(graph, [unit(graph, "b_add")])
    assert left(structure)["b_relu"] == ("b_project",)  # the projection has no activation: this one stays
    assert structure.source["b_project"] == "b_add"


def test_both_blocks_left_out() -> None:
    graph = toys.residual()[0]
    structure = without(graph, find_units(graph))
    assert [op.name for op in structure.ops] == ["stem", "stem_relu", "b_project", "b_relu", "gap", "flat", "logits"]
    assert left(structure)["b_project"] == ("stem_relu",)


def residual_row(count: int, act: str | None) -> Graph:
    """A stem and `count` identity blocks of one convolution each, with or without an activation after the add."""
    net = Sketch(1, 4, 4)
    last = net.conv("stem", 4)
    if act:
        last = net.add("stem_act", act)
    for k in range(count):
        branch = net.conv(f"c{k}", 4, of=last)
        last = net.add(f"add{k}", "add", last, branch)
        if act:
            last = net.add(f"act{k}", act)
    net.classifier(2)
    return net.done()


def test_a_row_of_blocks_left_out_leads_to_the_last_sum() -> None:
    graph = residual_row(3, "relu6")
    structure = without(graph, find_units(graph))
    assert [op.name for op in structure.ops] == ["stem", "stem_act", "gap", "flat", "logits"]
    assert (structure.source["stem"], structure.source["stem_act"]) == ("add2", "act2")


def test_a_linear_bottleneck_takes_over_the_sum() -> None:
    graph = residual_row(2, None)
    assert [u.ops for u in find_units(graph)] == [("c0", "add0"), ("c1", "add1")]
    structure = without(graph, find_units(graph))
    assert structure.source["stem"] == "add1"


def test_a_shortcut_that_others_read_too_stays_what_it_is() -> None:
    net = Sketch(1, 4, 4)
    stem = net.conv("stem", 4)
    branch = net.conv("branch", 4)
    net.add("sum", "add", stem, branch)
    net.conv("next", 4)
    net.add("late", "concat", "next", stem)
    net.classifier(2)
    graph = net.done()
    structure = without(graph, [unit(graph, "sum")])
    assert structure.source["stem"] == "stem"
    assert left(structure)["next"] == ("stem",)


def test_the_networks_input_as_shortcut_takes_over_nothing() -> None:
    net = Sketch(4, 4, 4)
    net.conv("branch", 4)
    net.add("sum", "add", "image", "branch")
    net.classifier(2)
    graph = net.done()
    structure = without(graph, [unit(graph, "sum")])
    assert structure.source["image"] == "image"
    assert left(structure)["gap"] == ("image",)


def test_a_segment_inside_a_branch_lies_within_it() -> None:
    net = Sketch(1, 4, 4)
    net.conv("stem", 4)
    stem = net.add("stem_relu", "relu")
    for name in ("a", "b"):
        net.conv(name, 4)
        net.add(f"{name}_relu", "relu")
    branch = net.conv("c", 4)
    net.add("sum", "add", branch, stem)
    net.classifier(2)
    graph = net.done()
    inner, outer = unit(graph, "b"), unit(graph, "sum")
    assert inner.ops == ("b", "b_relu")
    assert inner.within(outer)
    assert not outer.within(inner)


def test_nothing_with_an_output_of_the_network_in_it_can_go() -> None:
    net = Sketch(1, 4, 4)
    for name in ("a", "b", "c"):
        net.conv(name, 4)
        net.add(f"{name}_relu", "relu")
    graph = net.done("b_relu", "c_relu")
    assert find_units(graph) == ()


@pytest.mark.parametrize(("first", "second"), [("relu", "relu6"), ("relu", "sigmoid")])
def test_another_activation_is_no_segment(first: str, second: str) -> None:
    net = Sketch(1, 4, 4)
    net.conv("a", 4)
    net.add("a_act", first)
    net.conv("b", 4)
    net.add("b_act", second)
    net.classifier(2)
    assert find_units(net.done()) == ()


def test_a_branch_that_learns_nothing_or_is_as_short_as_the_other_side_stays() -> None:
    net = Sketch(1, 4, 4)
    stem = net.conv("stem", 4)
    net.add("pooled", "relu")
    net.add("sum", "add", stem, "pooled")
    left_side, right_side = net.conv("left", 4, of="sum"), net.conv("right", 4, of="sum")
    net.add("both", "add", left_side, right_side)
    net.classifier(2)
    assert find_units(net.done()) == ()


def test_fully_connected_layers_in_a_row_are_segments_too() -> None:
    net = Sketch(8)
    for name in ("a", "b", "c"):
        net.add(name, "linear", out_channels=8)
        net.add(f"{name}_relu", "relu")
    net.add("logits", "linear", out_channels=2)
    assert [u.ops for u in find_units(net.done())] == [("b", "b_relu"), ("c", "c_relu")]


def test_on_random_networks_units_are_disjoint_or_nested_and_a_branch_of_zeros_can_go_without_a_trace() -> None:
    """With all weights of a branch at zero the sum is the other side, so nothing that is left may change."""
    checked = 0
    for seed in range(250):
        rng = np.random.default_rng(seed)
        graph = random_network(rng=rng)
        units = find_units(graph)
        for one, other in combinations(units, 2):
            assert not set(one.ops) & set(other.ops) or one.within(other) or other.within(one)
        chosen = [one for one in units if graph.by_name[one.name].kind == "add" and rng.random() < 0.7]
        gone = {name for one in chosen for name in one.ops}
        weights = {
            key: np.zeros_like(value) if key.rsplit(".", 1)[0] in gone else value
            for key, value in toys.random_weights(graph, seed).items()
        }
        edited = Graph(graph.input, graph.input_shape, without(graph, chosen).ops, graph.outputs)
        image = toys.images(graph, 1, seed)[0]
        before, after = forward(graph, weights, image), forward(edited, weights, image)
        for name in edited.by_name:
            np.testing.assert_allclose(after[name], before[name], atol=1e-6)
        checked += len(chosen)
    assert checked > 150
