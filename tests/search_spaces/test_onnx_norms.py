"""Norms over channels, positions or all of a sample: their values by hand, and their channels may shrink."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from nas.students.inherit import inherit
from search_spaces.declare import Declaration
from search_spaces.errors import TargetError
from search_spaces.from_onnx import parse
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from targets.lower import lower
from tests.search_spaces.onnx_files import file, node, normal
from tests.toys import run_onnx

CHANNELS = [
    node("Transpose", "c", "last", perm=[0, 2, 3, 1]),
    node("LayerNormalization", "last scale shift", "normed", axis=-1),
    node("Transpose", "normed", "n", perm=[0, 3, 1, 2]),
]
POSITIONS = [node("InstanceNormalization", "c scale shift", "n")]
ALL = [
    node("Reshape", "c one_group", "g"),
    node("InstanceNormalization", "g one zero", "i"),
    node("Reshape", "i map", "m"),
    node("Mul", "m by_channel", "n"),
]
NORMS = {"channels": CHANNELS, "positions": POSITIONS, "all": ALL}


def network(over: str) -> onnx.ModelProto:
    """3 x 4 x 4, a convolution of 8, the norm, a convolution of 8, then 3 classes."""
    nodes = [
        node("Conv", "x a", "c", pads=[1, 1, 1, 1]),
        *NORMS[over],
        node("Conv", "n b", "d", pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", "d", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f w"),
    ]
    constants = {
        **{"a": normal(8, 3, 3, 3), "b": normal(8, 8, 3, 3), "w": normal(8, 3)},
        **{"scale": normal(8), "shift": normal(8), "by_channel": normal(8, 1, 1)},
        **{"one_group": np.array([0, 1, -1]), "one": [1.0], "zero": [0.0], "map": np.array([0, 8, 4, 4])},
    }
    used = {name for one in nodes for name in one.input}
    return file(nodes, ("n", 3, 4, 4), **{name: value for name, value in constants.items() if name in used})


def test_a_norm_over_two_channels_by_hand() -> None:
    """Of 1 and 5: mean 3, variance 4, so -1 and 1; times 2, plus 1: -1 and 3."""
    nodes = [node("LayerNormalization", "x scale shift", "l", axis=-1, epsilon=0.0), node("Relu", "l")]
    graph, weights = parse(file(nodes, ("n", 2), scale=[2.0, 2.0], shift=[1.0, 1.0]))
    assert [op.kind for op in graph.ops] == ["norm", "affine", "relu"]
    assert run_onnx(to_onnx(graph, weights), np.float32([[1, 5]]))[0].tolist() == [[0, 3]]


@pytest.mark.parametrize("over", NORMS)
def test_channels_before_a_norm_may_shrink(over: str) -> None:
    graph, weights = parse(network(over))
    assert [op["over"] for op in graph.ops if op.kind == "norm"] == [over]
    space = derive(graph, Declaration(kernel=False, depth=False))
    assert [gene.name for gene in space.genes] == ["width:c", "width:d"]
    half = space.uniform(0.5)
    cut = space.apply(half)
    assert cut.shapes["d"] == (4, 4, 4)
    order = {atom.id: np.arange(atom.size) for atom in space.channels.atoms}
    inherited = inherit(space, half, weights, order)
    x = np.random.default_rng(0).random((2, 3, 4, 4), np.float32)
    assert run_onnx(to_onnx(cut, inherited), x)[0].shape == (2, 3)
    assert parse(to_onnx(cut, inherited))[0] == cut


@pytest.mark.parametrize("over", NORMS)
def test_a_norm_keeps_its_values(over: str) -> None:
    model, x = network(over), np.random.default_rng(0).random((2, 3, 4, 4), np.float32)
    (expected,) = run_onnx(model, x)
    (found,) = run_onnx(to_onnx(*parse(model)), x)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_device_refuses_a_norm_by_name() -> None:
    with pytest.raises(TargetError, match=r"norm 'n\.norm' cannot run on tflm"):
        lower(parse(network("positions"))[0])
