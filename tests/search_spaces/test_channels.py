"""Which channels change together: by hand on small networks, and against the operators' own rules on random ones."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.channels import ChannelMap, trace
from search_spaces.graph import Graph
from tests import toys
from tests.search_spaces.random_networks import random_network
from tests.toys import Sketch


def names(channels: ChannelMap, tensor: str) -> list[str]:
    return [channels.atoms[atom].name for atom in channels.of[tensor]]


def sizes(channels: ChannelMap) -> dict[str, int]:
    return {atom.name: atom.size for atom in channels.atoms}


def test_each_plain_convolution_makes_one_atom_and_input_and_output_are_frozen() -> None:
    channels = trace(toys.chain()[0])
    assert sizes(channels) == {"image": 1, "c1": 8, "c2": 8, "c3": 12, "c4": 12, "logits": 4}
    assert [atom.name for atom in channels.atoms if atom.frozen] == ["image", "logits"]
    assert names(channels, "flat") == ["c4"]
    assert [atom.id for atom in channels.atoms] == [0, 1, 2, 3, 4, 5]


def test_an_add_makes_both_sides_one_atom() -> None:
    channels = trace(toys.residual()[0])
    assert names(channels, "a2") == names(channels, "stem") == ["stem"]
    assert names(channels, "b_project") == names(channels, "b_relu") == ["b2"]
    assert names(channels, "a1") == ["a1"]


def test_a_depthwise_convolution_passes_its_channels_on() -> None:
    channels = trace(toys.depthwise()[0])
    assert names(channels, "dw2") == ["pw1"]
    assert "dw2" not in sizes(channels)


def test_adding_a_concat_splits_the_convolution_at_the_joint() -> None:
    channels = trace(toys.concat()[0])
    assert names(channels, "joined") == names(channels, "mixed") == ["left", "right"]
    assert (sizes(channels)["left"], sizes(channels)["right"]) == (6, 10)


def test_a_convolution_that_comes_before_the_concat_names_the_atoms_with_numbers() -> None:
    net = Sketch(1, 4, 4)
    net.conv("wide", 5)
    net.conv("left", 2, of="image")
    net.conv("right", 3, of="image")
    net.add("joined", "concat", "left", "right")
    net.add("sum", "add", "wide", "joined")
    net.classifier(2)
    channels = trace(net.done())
    assert sizes(channels) == {"image": 1, "wide#0": 2, "wide#1": 3, "logits": 2}
    assert names(channels, "left") == ["wide#0"]
    assert names(channels, "sum") == ["wide#0", "wide#1"]


def test_concats_cut_at_different_places_split_at_each() -> None:
    """4 + 12 added to 12 + 4: atoms of 4, 8 and 4, where the two of 12 are the 8 with a different neighbour."""
    net = Sketch(1, 4, 4)
    for name, out in (("a", 4), ("b", 12), ("c", 12), ("d", 4)):
        net.conv(name, out, of="image")
    net.add("ab", "concat", "a", "b")
    net.add("cd", "concat", "c", "d")
    net.add("sum", "add", "ab", "cd")
    net.classifier(2)
    channels = trace(net.done())
    assert names(channels, "b") == ["b#0", "b#1"]
    assert names(channels, "c") == ["a", "b#0"]
    assert names(channels, "sum") == ["a", "b#0", "b#1"]
    assert sizes(channels) == {"image": 1, "a": 4, "b#0": 8, "b#1": 4, "logits": 2}


def test_a_tensor_joined_with_itself_shows_its_atom_twice_and_ties_what_is_added() -> None:
    net = Sketch(1, 4, 4)
    net.conv("half", 3)
    net.add("twice", "concat", "half", "half")
    net.conv("whole", 6, of="image")
    net.add("sum", "add", "twice", "whole")
    net.classifier(2)
    channels = trace(net.done())
    assert names(channels, "whole") == ["half", "half"]


def test_a_flatten_gives_each_channel_height_times_width_entries() -> None:
    channels = trace(toys.every_kind()[0])
    assert channels.span["flat"] == 16
    assert channels.span["hidden"] == channels.span["smaller"] == 1


def test_a_depthwise_multiplier_gives_each_channel_that_many_entries() -> None:
    net = Sketch(1, 4, 4)
    net.conv("stem", 3)
    net.conv("dw", 6, groups=3)
    net.conv("next", 5)
    net.add("flat", "flatten", "dw")
    net.add("logits", "linear", out_channels=2)
    channels = trace(net.done())
    assert names(channels, "dw") == ["stem"]
    assert (channels.span["dw"], channels.span["flat"]) == (2, 2 * 16)


def test_a_gate_belongs_to_what_it_gates() -> None:
    channels = trace(toys.every_kind()[0])
    assert names(channels, "excite") == names(channels, "stem")


def test_the_blocks_of_a_grouped_convolution_are_alike() -> None:
    """8 channels in 2 groups of 4, 6 out in 2 of 3: one atom of 4 and one of 3, each there twice."""
    net = Sketch(1, 4, 4)
    net.conv("stem", 8)
    net.conv("grouped", 6, groups=2)
    net.conv("free", 5)
    net.classifier(2)
    channels = trace(net.done())
    assert names(channels, "stem") == ["stem", "stem"]
    assert names(channels, "grouped") == ["grouped", "grouped"]
    assert {atom.name: atom.size for atom in channels.atoms if not atom.frozen} == {"stem": 4, "grouped": 3, "free": 5}


def test_an_add_behind_a_multiplier_ties_filters_in_pairs() -> None:
    """A depthwise of 4 channels makes 8, two a channel; the dense layer that is added to them changes two at once."""
    net = Sketch(1, 4, 4)
    net.conv("stem", 4)
    twice = net.conv("twice", 8, groups=4)
    net.conv("dense", 8)
    net.add("act", "relu")
    net.add("sum", "add", "act", twice)
    net.classifier(2)
    channels = trace(net.done())
    assert names(channels, "twice") == names(channels, "dense") == names(channels, "sum") == ["stem"]
    assert channels.span["dense"] == channels.span["sum"] == 2
    assert not channels.atoms[channels.of["stem"][0]].frozen


def test_a_slice_cuts_an_atom_in_two() -> None:
    """A stem of 8 of which the first 3 go one way and the others another."""
    net = Sketch(1, 4, 4)
    net.partly(8, 3, 4)
    net.classifier(2)
    channels = trace(net.done())
    assert names(channels, "stem") == ["stem#0", "stem#1"]
    assert names(channels, "left") == ["stem#0"]
    assert names(channels, "joined") == ["stem#0", "mixed"]


def test_channels_around_a_shuffle_stay_and_say_why() -> None:
    net = Sketch(1, 4, 4)
    net.conv("stem", 8)
    net.add("shuffled", "shuffle", groups=2)
    net.conv("free", 5)
    net.classifier(2)
    assert {atom.name: atom.frozen for atom in trace(net.done()).atoms} == {
        "image": "the network's input",
        "stem": "shuffle shuffled",
        "shuffled": "shuffle shuffled",
        "free": "",
        "logits": "the network's output",
    }


def test_one_channel_meets_them_all() -> None:
    net = Sketch(1, 4, 4)
    wide = net.conv("wide", 8)
    mask = net.conv("mask", 1)
    net.add("masked", "mul", wide, mask)
    net.classifier(2)
    channels = trace(net.done())
    assert names(channels, "masked") == ["wide"]
    assert names(channels, "mask") == ["mask"]


def test_unequal_spans_that_meet_are_frozen() -> None:
    """Two entries a channel on one side, one on the other: their channels cannot be paired."""
    net = Sketch(1, 4, 4)
    net.conv("stem", 3)
    doubled = net.conv("doubled", 6, groups=3)
    plain = net.conv("plain", 6, of="image")
    net.add("sum", "add", doubled, plain)
    other = net.conv("other", 4, of="image")
    net.add("joined", "concat", doubled, other)
    net.conv("last", 4)
    net.add("gap", "global_avg_pool")
    net.add("flat", "flatten")
    net.add("logits", "linear", out_channels=2)
    channels = trace(net.done("logits"))
    assert [atom.name for atom in channels.atoms if not atom.frozen] == ["last"]
    assert names(channels, "joined") == ["joined"]


def entries(channels: ChannelMap, tensor: str) -> list[tuple[int, int]]:
    """(atom, channel within it) of each entry of the first axis."""
    found = [(atom, k) for atom in channels.of[tensor] for k in range(channels.atoms[atom].size)]
    return [entry for entry in found for _ in range(channels.span[tensor])]


def frozen(channels: ChannelMap, tensor: str) -> bool:
    return all(channels.atoms[atom].frozen for atom in channels.of[tensor])


def follow(graph: Graph, channels: ChannelMap, name: str) -> list[tuple[int, int]] | None:
    """The entries of an operator's output as its inputs' entries say, or None where it makes new channels."""
    op = graph.by_name[name]
    first = entries(channels, op.inputs[0])
    if op.kind == "linear" or (op.kind == "conv" and op["groups"] == 1):
        return None
    if op.kind == "conv":
        return [entry for entry in first for _ in range(op["out_channels"] // op["groups"])]
    if op.kind == "flatten":
        return [entry for entry in first for _ in range(int(np.prod(graph.shapes[op.inputs[0]][1:])))]
    if op.kind == "concat":
        return [entry for tensor in op.inputs for entry in entries(channels, tensor)]
    if op.kind in ("add", "mul"):
        assert first == entries(channels, op.inputs[1]) or all(frozen(channels, tensor) for tensor in op.inputs)
    return first


@pytest.mark.parametrize("seed", range(200))
def test_on_random_networks_atoms_obey_every_operator(seed: int) -> None:
    graph = random_network(rng=np.random.default_rng(seed))
    channels = trace(graph)
    assert all(channels.atoms[atom].frozen for atom in channels.of[graph.input])
    assert all(channels.atoms[atom].frozen for name in graph.outputs for atom in channels.of[name])
    assert len({atom.name for atom in channels.atoms}) == len(channels.atoms)
    for name, shape in graph.shapes.items():
        assert len(entries(channels, name)) == shape[0]
        if name != graph.input:
            expected = follow(graph, channels, name)
            assert expected in (None, entries(channels, name)) or frozen(channels, name)
