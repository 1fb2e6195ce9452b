"""What a file computes from constants alone, and constants that it repeats for every sample."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from search_spaces.errors import UnsupportedOp
from search_spaces.from_onnx import parse
from search_spaces.to_onnx import to_onnx
from tests.search_spaces.onnx_files import file, node, normal
from tests.toys import run_onnx

COUNT = [node("Shape", "x", "sx"), node("Gather", "sx zero", "n1")]


def test_a_constant_repeated_for_every_sample_is_held_once() -> None:
    """1,000 x 1,000 numbers for each of 10,007 samples would take 37 GiB."""
    nodes = [
        *COUNT,
        node("Concat", "n1 side side", "sides", axis=0),
        node("Expand", "row sides", "all"),
        node("Mul", "all two", "doubled"),
        node("MatMul", "x doubled"),
    ]
    row = np.arange(1000, dtype=np.float32)
    constants = {"zero": np.array([0]), "side": np.array([1000]), "row": row, "two": 2.0}
    model = file(nodes, ("n", 1, 1000), **constants)
    graph, weights = parse(model)
    assert [values.shape for values in weights.values()] == [(1, 1000, 1000)]
    x = np.random.default_rng(0).random((3, 1, 1000), np.float32)
    np.testing.assert_allclose(run_onnx(to_onnx(graph, weights), x)[0], run_onnx(model, x)[0], rtol=1e-5)


def test_a_constant_that_differs_from_sample_to_sample_is_refused() -> None:
    nodes = [
        node("Shape", "x", "sx"),
        node("Gather", "sx first", "n"),
        node("Range", "first n one", "numbers"),
        node("Gather", "x numbers", axis=0),
    ]
    with pytest.raises(UnsupportedOp, match="Gather node 'node_y': a constant differs from sample to sample"):
        parse(file(nodes, ("n", 4), first=np.int64(0), one=np.int64(1)))


@pytest.mark.parametrize(("rank", "expected"), [(2, ["relu"]), (3, ["tanh"])])
def test_a_branch_that_is_always_taken_is_read(rank: int, expected: list[str]) -> None:
    """An If asks for the rank of the input; one that asks for values is refused (`test_refused_models`)."""

    def branch(kind: str) -> onnx.GraphProto:
        made = helper.make_tensor_value_info(kind, onnx.TensorProto.FLOAT, None)
        return helper.make_graph([node(kind, "x", kind)], kind, [], [made])

    nodes = [
        node("Shape", "x", "sx"),
        node("Size", "sx", "rank"),
        node("Equal", "rank two", "flat"),
        node("If", "flat", then_branch=branch("Relu"), else_branch=branch("Tanh")),
    ]
    graph, _ = parse(file(nodes, ("n", *[4] * (rank - 1)), two=np.int64(2)))
    assert [op.kind for op in graph.ops] == expected


def test_weights_normalized_in_the_file_are_computed() -> None:
    """A weight-standardized convolution: a BatchNormalization in training mode, of the weights."""
    kernel = normal(1, 4, 9)
    nodes = [
        node("BatchNormalization", "k s b b s", "z mean variance", training_mode=1, epsilon=0.0),
        node("Reshape", "z shape", "w"),
        node("Conv", "x w"),
    ]
    constants = {"k": kernel, "s": np.ones(4), "b": np.zeros(4), "shape": np.array([4, 1, 3, 3])}
    _, weights = parse(file(nodes, ("n", 1, 5, 5), **constants))
    rows = kernel[0]
    expected = (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)
    np.testing.assert_allclose(weights["y.weight"].reshape(4, 9), expected, atol=1e-5)
