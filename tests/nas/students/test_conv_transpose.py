"""Transposed convolutions: onnxruntime's values in torch, their channels shrink, and a device refuses grouped ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from nas.students.candidate import Student
from nas.students.inherit import inherit
from nas.students.layers import convolve
from nas.students.reference import Reference
from nas.students.refit import refit
from search_spaces.declare import Declaration
from search_spaces.errors import TargetError
from search_spaces.from_onnx import parse
from search_spaces.graph import Graph, Op
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from targets.lower import lower
from tests.search_spaces.onnx_files import file, node, normal
from tests.toys import run_onnx

MAP = (4, 6, 5)
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {  # input, weight, settings
    "plain": (MAP, (4, 3, 3, 3), {}),
    "doubles": (MAP, (4, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "output padding": (MAP, (4, 3, 3, 3), {"strides": [2, 3], "pads": [1, 1, 1, 1], "output_padding": [1, 2]}),
    "uneven": (MAP, (4, 3, 3, 3), {"strides": [2, 2], "pads": [0, 1, 2, 0], "output_padding": [1, 0]}),
    "dilated": (MAP, (4, 3, 3, 3), {"dilations": [2, 1]}),
    "grouped": (MAP, (4, 3, 3, 3), {"group": 2, "strides": [2, 2]}),
    "depthwise": (MAP, (4, 1, 3, 3), {"group": 4, "strides": [2, 2]}),
    "upper": (MAP, (4, 3, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "lower": (MAP, (4, 3, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "a shape": (MAP, (4, 3, 4, 4), {"strides": [2, 2], "output_shape": [11, 10]}),
    "series": ((4, 6), (4, 3, 3), {"strides": [2], "pads": [1, 1], "output_padding": [1]}),
}


def model_of(name: str) -> onnx.ModelProto:
    shape, weight, settings = CASES[name]
    filters = weight[1] * settings.get("group", 1)
    return file(
        [node("ConvTranspose", "x w b", **settings)], ("n", *shape), w=normal(*weight), b=normal(filters)
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_torch_computes_what_onnxruntime_does(name: str) -> None:
    model = model_of(name)
    graph, weights = parse(model)
    assert graph.ops[0].kind == "conv_transpose"  # that of a series is turned back at the end
    x = np.random.default_rng(1).standard_normal((2, *CASES[name][0])).astype(np.float32)
    (expected,) = run_onnx(model, x)
    mapped = x.reshape(2, *graph.input_shape)
    with torch.no_grad():
        found = Student(graph, weights)(torch.from_numpy(mapped)).numpy()
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)
    written = to_onnx(graph, weights)
    np.testing.assert_allclose(run_onnx(written, mapped)[0].reshape(expected.shape), expected, atol=1e-5)
    again, same = parse(written)
    assert again == graph
    assert all(np.array_equal(same[key], weights[key]) for key in weights)


def test_one_pixel_by_hand() -> None:
    """A pixel of 2 by a kernel of 1, 2, 3, 4 is the kernel times 2; its upper row cut off leaves 6 and 8."""
    op = Op.make(
        "y", "conv_transpose", "x", out_channels=1, groups=1, kernel=(2, 2), stride=(1, 1), pads=(1, 0, 0, 0),
        dilation=(1, 1), output_padding=(0, 0),
    )  # fmt: skip
    graph = Graph("x", (1, 1, 1), (op,), ("y",))
    assert graph.shapes["y"] == (1, 1, 2)
    assert graph.macs == 4
    kernel = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert convolve(op, torch.tensor([[[[2.0]]]]), kernel, None).flatten().tolist() == [6, 8]


def autoencoder() -> tuple[Graph, dict[str, np.ndarray]]:
    """1 x 8 x 8 to 12 x 4 x 4 and back, BatchNorm behind the first transposed convolution, a depthwise one at last."""
    nodes = [
        node("Conv", "x a", "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("ConvTranspose", "r b", "u", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
        node("BatchNormalization", "u gamma beta mean variance", "n"),
        node("Relu", "n", "s"),
        node("ConvTranspose", "s d", "v", group=8),
        node("Conv", "v e"),
    ]
    constants = {
        **{"a": normal(12, 1, 3, 3), "b": normal(12, 8, 3, 3), "d": normal(8, 1, 2, 2), "e": normal(1, 8, 2, 2)},
        **{"gamma": normal(8), "beta": normal(8), "mean": normal(8), "variance": normal(8) ** 2 + 0.5},
    }
    model = file(nodes, ("n", 1, 8, 8), **constants)
    graph, weights = parse(model)
    x = np.random.default_rng(0).random((2, 1, 8, 8), np.float32)
    (expected,) = run_onnx(model, x)
    np.testing.assert_allclose(run_onnx(to_onnx(graph, weights), x)[0], expected, atol=1e-4)
    return graph, weights


def test_an_autoencoder_shrinks() -> None:
    graph, weights = autoencoder()
    assert [op.kind for op in graph.ops] == ["conv", "relu", "conv_transpose", "relu", "conv_transpose", "conv"]
    space = derive(graph, Declaration(kernel=False, depth=False))
    assert [gene.name for gene in space.genes] == ["width:c", "width:n"]
    half = space.genome({"width:c": 8, "width:n": 4})
    cut = space.apply(half)
    order = {atom.id: np.arange(atom.size)[::-1] for atom in space.channels.atoms}
    found = inherit(space, half, weights, order)
    np.testing.assert_array_equal(found["n.weight"], weights["n.weight"][4:, 4:])
    np.testing.assert_array_equal(found["v.weight"], weights["v.weight"][4:])
    images = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
    solved = refit(space, half, weights, Reference(graph, weights, images), order)
    np.testing.assert_array_equal(solved["n.weight"], found["n.weight"])
    student = Student(cut, solved)
    student.add_norm(images)
    before = student(torch.from_numpy(images))
    before.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in student.parameters())
    after = Student(cut, student.eval().folded())(torch.from_numpy(images))
    np.testing.assert_allclose(after.detach(), student(torch.from_numpy(images)).detach(), atol=1e-4)


def test_a_device_refuses_a_grouped_one_by_name() -> None:
    with pytest.raises(TargetError, match="conv_transpose 'v' cannot run on tflm: groups = 8; it must have one group"):
        lower(autoencoder()[0])
