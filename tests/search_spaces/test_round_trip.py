"""A graph written as ONNX and read again is the same graph, and computes what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from search_spaces.errors import ModelError
from search_spaces.from_onnx import load_model, parse
from search_spaces.graph import Graph, Op
from search_spaces.to_onnx import to_onnx
from tests.search_spaces.random_graphs import random_graph
from tests.toys import Sketch, Toy, chain, decoder, every_kind, images, modern, random_weights, run_onnx, toys

TOYS = {**toys(), "every_kind": every_kind(), "modern": modern(), "decoder": decoder()}


def assert_comes_back(graph: Graph, weights: dict[str, np.ndarray]) -> None:
    model = to_onnx(graph, weights)
    onnx.checker.check_model(model, full_check=True)
    again, found = parse(model)
    assert again == graph
    assert list(found) == list(graph.weight_shapes)
    for name, values in found.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, weights[name])


@pytest.mark.parametrize("toy", TOYS.values(), ids=TOYS)
def test_toys_come_back(toy: Toy) -> None:
    assert_comes_back(*toy)


@pytest.mark.parametrize("seed", range(8))
def test_any_graph_comes_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(25):
        graph = random_graph(rng)
        assert_comes_back(graph, random_weights(graph, 0))


def test_the_batch_is_free(tmp_path) -> None:
    graph, weights = chain()
    model = to_onnx(graph, weights)
    x = images(graph, 5)
    (together,) = run_onnx(model, x)
    one_by_one = np.concatenate([run_onnx(model, x[k : k + 1])[0] for k in range(5)])
    assert together.shape == (5, 4)
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    onnx.save(model, tmp_path / "chain.onnx")
    assert load_model(tmp_path / "chain.onnx")[0] == graph


def test_weights_may_bear_the_name_of_a_tensor() -> None:
    net = Sketch(2)
    net.add("a.weight", "relu")
    net.add("a", "linear", out_channels=2)
    net.add("zero", "relu6")
    graph = net.done()
    assert_comes_back(graph, random_weights(graph, 0))


def test_values_by_hand() -> None:
    """1x1 convolution 2x + 1, affine 3x - 4, relu6: of -1, 0.5, 1 and 5 these are 0, 2, 5 and 6."""
    net = Sketch(1, 2, 2)
    net.conv("double", 1, 1)
    net.add("scaled", "affine")
    net.add("clipped", "relu6")
    weights = {
        "double.weight": np.full((1, 1, 1, 1), 2.0),
        "double.bias": np.ones(1),
        "scaled.weight": np.full(1, 3.0),
        "scaled.bias": np.full(1, -4.0),
    }
    (found,) = run_onnx(to_onnx(net.done(), weights), np.array([[[[-1, 0.5], [1, 5]]]], np.float32))
    np.testing.assert_allclose(found.ravel(), [0, 2, 5, 6])


def test_wrong_weights_are_refused() -> None:
    graph, weights = chain()
    with pytest.raises(ModelError, match=r"'c1.weight' must have shape \(8, 1, 3, 3\), got none"):
        to_onnx(graph, {name: values for name, values in weights.items() if name != "c1.weight"})
    with pytest.raises(ModelError, match=r"'c2.bias' must have shape \(8,\), got \(7,\)"):
        to_onnx(graph, {**weights, "c2.bias": np.zeros(7)})


def test_an_input_that_is_read_twice_comes_back() -> None:
    ops = (Op.make("sum", "add", "x", "x"), Op.make("product", "mul", "sum", "x"))
    assert_comes_back(Graph("x", (3,), ops, ("product", "sum")), {})
