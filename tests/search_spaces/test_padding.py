"""Padding that TFLite knows in place of what PyTorch makes, by hand."""

from __future__ import annotations

import pytest

from search_spaces.declare import Declaration
from search_spaces.graph import Graph
from search_spaces.padding import same_padded
from search_spaces.space import derive
from targets.cost import estimate
from targets.device import load_device
from targets.lower import lower
from tests.search_spaces.mobilenet import mobilenet_v1
from tests.toys import Pads, Sketch


def one(size: int, kernel: int, stride: int, pads: Pads, kind: str = "conv") -> Graph:
    net = Sketch(1, size, size)
    if kind == "conv":
        net.conv("window", 4, kernel, stride, pads=pads)
    else:
        net.add("window", kind, kernel=(kernel, kernel), stride=(stride, stride), pads=pads)
    return net.done()


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads", "same"),
    [
        (8, 3, 2, (1, 1, 1, 1), (0, 0, 1, 1)),  # 4 windows from -1, 1, 3, 5 on; SAME has them from 0, 2, 4, 6 on
        (8, 5, 2, (2, 2, 2, 2), (1, 1, 2, 2)),
        (9, 3, 3, (1, 1, 1, 1), (0, 0, 0, 0)),  # 3 windows of 3 rows: none left over
        (7, 3, 2, (1, 1, 1, 1), (1, 1, 1, 1)),  # 4 windows from -1 to 7 already are SAME
        (8, 3, 1, (1, 1, 1, 1), (1, 1, 1, 1)),
        (8, 3, 2, (0, 0, 1, 1), (0, 0, 1, 1)),
        (8, 3, 2, (0, 0, 2, 2), (0, 0, 2, 2)),  # the last row and column are never read
        (8, 3, 2, (0, 0, 0, 0), (0, 0, 0, 0)),  # 3 windows, SAME would make 4
        (8, 3, 1, (2, 2, 2, 2), (2, 2, 2, 2)),  # 10 windows, SAME would make 8
    ],
)
@pytest.mark.parametrize("kind", ["conv", "max_pool"])
def test_same_stands_in_where_it_makes_as_many_windows(
    size: int, kernel: int, stride: int, pads: Pads, same: Pads, kind: str
) -> None:
    graph = one(size, kernel, stride, pads, kind)
    found = same_padded(graph)
    assert found.ops[0]["pads"] == same
    assert found.shapes == graph.shapes
    assert (found is graph) == (pads == same)


def symmetric(graph: Graph) -> Graph:
    """Padded as PyTorch does: half a kernel on every side."""
    ops = tuple(op.replace(pads=(1, 1, 1, 1)) if op.kind == "conv" and any(op["pads"]) else op for op in graph.ops)
    return Graph(graph.input, graph.input_shape, ops, graph.outputs)


def test_no_network_of_a_space_that_pads_as_tflite_has_a_padded_copy() -> None:
    graph, device = symmetric(mobilenet_v1()), load_device("nrf52840")
    as_it_is, same = (derive(graph, Declaration(resolution=True, same_padding=on)) for on in (False, True))
    assert same.apply(same.original) == mobilenet_v1(), "which is padded as TensorFlow does"
    assert len(same.repadded()) == 4, "at 28, 14, 4 and 2 rows; 7 are odd"
    for side in same.genes[-1].options:
        values = {"resolution:image": side}
        before, after = (space.apply(space.genome(values)) for space in (as_it_is, same))
        assert any(call.kind == "pad" for call in lower(before).calls)
        assert not any(call.kind == "pad" for call in lower(after).calls)
        assert after.weight_shapes == before.weight_shapes
        assert estimate(after, device).ram_bytes < estimate(before, device).ram_bytes
