"""Cutting weights out of the original, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nas.students.candidate import Student
from nas.students.importance import importance
from nas.students.inherit import inherit
from nas.students.reference import Reference
from search_spaces.declare import Declaration
from search_spaces.space import SearchSpace, derive
from tests import toys

# Every width from 1 on, and everything else that can change.
FREE = Declaration(width_step=1, width_min=1, kernel_growth=True)


def atom(space: SearchSpace, name: str) -> int:
    return next(a.id for a in space.channels.atoms if a.name == name)


def test_width_slices_rows_and_columns() -> None:
    graph, weights = toys.chain()
    space = derive(graph, FREE)
    order = {
        atom(space, "c1"): np.array([5, 2, 7, 0, 1, 3, 4, 6]),
        atom(space, "c2"): np.array([1, 0, 2, 3, 4, 5, 6, 7]),
    }
    genome = space.genome({"width:c1": 3, "width:c2": 2})
    found = inherit(space, genome, weights, order)
    assert np.array_equal(found["c1.weight"], weights["c1.weight"][[2, 5, 7]])
    assert np.array_equal(found["c1.bias"], weights["c1.bias"][[2, 5, 7]])
    assert np.array_equal(found["c2.weight"], weights["c2.weight"][[0, 1]][:, [2, 5, 7]])
    assert np.array_equal(found["c3.weight"], weights["c3.weight"][:, [0, 1]])
    assert {key: value.shape for key, value in found.items()} == space.apply(genome).weight_shapes


def test_filters_that_an_add_ties_in_pairs_go_together() -> None:
    """A depthwise of 6 channels makes 12; half of them gone is the original with their readers' weights at zero."""
    net = toys.Sketch(1, 4, 4)
    net.conv("stem", 6)
    twice = net.conv("twice", 12, groups=6)
    net.conv("dense", 12)
    net.add("act", "relu")
    net.add("sum", "add", "act", twice)
    net.conv("last", 5, 1)
    net.classifier(2)
    graph = net.done()
    weights = toys.random_weights(graph, 0)
    space = derive(graph, FREE)
    genome = space.genome({"width:stem": 3})
    found = inherit(space, genome, weights, {atom(space, "stem"): np.array([4, 1, 5, 0, 2, 3])})
    gone = [0, 1, 4, 5, 6, 7]  # the pairs of the channels 0, 2 and 3
    for name in ("dense.weight", "last.weight"):
        weights[name][:, gone] = 0
    x = toys.images(graph, 3)
    expected = Student(graph, weights).logits(x)
    np.testing.assert_allclose(Student(space.apply(genome), found).logits(x), expected, atol=1e-5)


def test_depthwise_filters_follow_their_channels() -> None:
    graph, weights = toys.depthwise()
    space = derive(graph, FREE)
    order = importance(graph, weights, space.channels)
    found = inherit(space, space.genome({"width:stem": 3}), weights, order)
    kept = np.sort(order[atom(space, "stem")][:3])
    assert np.array_equal(found["dw1.weight"], weights["dw1.weight"][kept])
    assert np.array_equal(found["pw1.weight"], weights["pw1.weight"][:, kept])


def test_a_flattened_map_keeps_all_places_of_a_channel() -> None:
    graph, weights = toys.every_kind()
    space = derive(graph, FREE)
    assert space.channels.span["flat"] == 16
    found = inherit(space, space.genome({"width:hidden": 2}), weights, {})
    assert np.array_equal(found["hidden.weight"], weights["hidden.weight"][:2])


def test_a_smaller_kernel_keeps_the_middle_taps_and_a_larger_one_has_zeros_around() -> None:
    graph, weights = toys.chain()
    space = derive(graph, FREE)
    small = inherit(space, space.genome({"kernel:c1": 1}), weights, {})
    assert np.array_equal(small["c1.weight"], weights["c1.weight"][:, :, 1:2, 1:2])
    large = inherit(space, space.genome({"kernel:c1": 5}), weights, {})
    assert np.array_equal(large["c1.weight"], np.pad(weights["c1.weight"], ((0, 0), (0, 0), (1, 1), (1, 1))))
    x = toys.images(graph, 4)
    grown = Student(space.apply(space.genome({"kernel:c1": 5})), large)
    np.testing.assert_allclose(grown.logits(x), Student(graph, weights).logits(x), atol=1e-5)


def test_a_layer_that_took_over_a_segment_has_nothing_to_inherit() -> None:
    graph, weights = toys.chain()
    space = derive(graph, FREE)
    genome = space.genome({"depth:c2": 0})
    found = inherit(space, genome, weights, {})
    assert found["c1.weight"].shape == (8, 1, 3, 3)
    assert not found["c1.weight"].any()
    assert not found["c1.bias"].any()
    assert np.array_equal(found["c3.weight"], weights["c3.weight"])


def test_the_original_inherits_itself() -> None:
    for graph, weights in toys.toys().values():
        space = derive(graph, FREE)
        found = inherit(space, space.original, weights, importance(graph, weights, space.channels))
        assert found.keys() == weights.keys()
        assert all(np.array_equal(found[key], weights[key]) for key in found)


@pytest.mark.parametrize("name", toys.toys())
def test_dead_channels_can_go_without_a_trace(name: str) -> None:
    """Filters and biases of zero: cutting exactly those channels leaves every answer as it was."""
    graph, weights = toys.toys()[name]
    space = derive(graph, FREE)
    gene = next(gene for gene in space.genes if gene.kind == "width")
    tied = atom(space, gene.name.removeprefix("width:"))
    for op in graph.ops:
        if f"{op.name}.weight" in weights and space.channels.of[op.name] == (tied,):
            weights[f"{op.name}.weight"][1::2] = 0
            weights[f"{op.name}.bias"][1::2] = 0
    size = space.channels.atoms[tied].size
    order = importance(graph, weights, space.channels, Reference(graph, weights, toys.images(graph, 64)))
    genome = space.genome({gene.name: size // 2})
    small = Student(space.apply(genome), inherit(space, genome, weights, order))
    x = toys.images(graph, 4)
    np.testing.assert_allclose(small.logits(x), Student(graph, weights).logits(x), atol=1e-5)


def test_the_blocks_of_a_grouped_convolution_shrink_alike() -> None:
    net = toys.Sketch(1, 4, 4)
    net.conv("stem", 16)
    net.conv("grouped", 32, groups=2)
    net.classifier(2)
    graph = net.done()
    space = derive(graph, Declaration(depth=False, kernel=False))
    genome = space.genome({"width:stem": 4, "width:grouped": 12})
    cut = space.apply(genome)
    assert [cut.shapes[name][0] for name in ("stem", "grouped")] == [8, 24]
    assert cut.weight_shapes["grouped.weight"] == (24, 4, 3, 3)
    order = {atom.id: np.arange(atom.size)[::-1] for atom in space.channels.atoms}  # the last are the most important
    weights = inherit(space, genome, toys.random_weights(graph, 0), order)
    whole = toys.random_weights(graph, 0)["grouped.weight"]
    rows = [*range(4, 16), *range(20, 32)]
    assert np.array_equal(weights["grouped.weight"], whole[rows][:, 4:8])
