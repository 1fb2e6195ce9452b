"""Nodes that are kept as they are: torch computes what onnxruntime does, for any batch, and they round-trip."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from nas.students.candidate import Student
from nas.students.frozen import FORWARD
from nas.students.inherit import inherit
from search_spaces.declare import Declaration
from search_spaces.errors import TargetError
from search_spaces.from_onnx import parse
from search_spaces.onnx_frozen import OPERATORS
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from targets.lower import lower
from tests.search_spaces.onnx_files import file, node, normal
from tests.toys import run_onnx

MAP = ("n", 4, 6, 6)
K3 = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
TOKENS = [node("Reshape", "x to_tokens", "r"), node("Transpose", "r", "t", perm=[0, 2, 1])]  # n x 36 x 4
SIZES = [
    node("Shape", "x", "sx"),
    node("Slice", "sx zero1 two_axis", "front"),
    node("Concat", "front five_seven", "sizes", axis=0),
]
SAMPLES = [  # what an assignment to x[:, :, 3:, 4:] writes: the numbers of all samples beside the places inside one
    node("Shape", "x", "sx"),
    node("Gather", "sx zero", "n"),
    node("Range", "zero n one_int", "numbers"),
    node("Reshape", "numbers as_column", "column"),
    node("Gather", "sx zero1", "n1"),
    node("Concat", "n1 corner_sides one_axis", "corner_column", axis=0),
    node("Concat", "n1 corner_sides three", "n_corner", axis=0),
]
CASES: dict[str, list[onnx.NodeProto]] = {
    "Abs": [node("Abs", "x")],
    "AveragePool": [node("AveragePool", "x", **K3, count_include_pad=1, ceil_mode=1)],
    "Clip": [node("Clip", "x half one")],
    "Concat": [node("Concat", "x x", axis=2)],
    "Conv": [node("Conv", "x k"), ],
    "ConvTranspose": [node("ConvTranspose", "x up", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])],
    "DepthToSpace": [node("DepthToSpace", "x", blocksize=2)],
    "Div": [node("Abs", "x", "a"), node("Add", "a one", "b"), node("Div", "x b")],
    "Einsum": [node("Einsum", "x x", equation="nchw,nchw->nchw")],
    "a transpose at the end": [node("Transpose", "x", perm=[0, 2, 3, 1])],
    "Erf and Exp": [node("Exp", "x", "e"), node("Erf", "e", "f"), node("Abs", "f")],
    "Gather": [node("Gather", "x two", axis=2)],
    "GroupNorm": [
        node("Reshape", "x in_groups", "g"),
        node("InstanceNormalization", "g ones zeros", "i", epsilon=1e-4),
        node("Reshape", "i back", "b"),
        node("Mul", "b by_channel", "m"),
        node("Add", "m by_channel"),
    ],
    "a norm of one group": [
        node("Reshape", "x in_one", "g"),
        node("InstanceNormalization", "g lone lone", "i"),
        node("Reshape", "i back"),
    ],
    "Gather by a table": [node("Gather", "x table", axis=-2)],
    "a norm of windows": [  # the batch axis holds the six rows of every sample
        node("Transpose", "x", "t", perm=[0, 2, 1, 3]),
        node("Reshape", "t as_rows", "r"),
        node("BatchNormalization", "r four four four squares", "b"),
        node("Reshape", "b of_rows"),
    ],
    "HardSigmoid after Abs": [node("Abs", "x", "a"), node("HardSigmoid", "a")],
    "LayerNormalization of a map": [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "t four four", "l", axis=-1),
        node("MatMul", "l square", "m"),
        node("Relu", "m", "r"),
        node("Transpose", "r", perm=[0, 3, 1, 2]),
    ],
    "a norm and a linear layer read by both kinds": [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "t four four", "l", axis=-1),
        node("Softmax", "l", "s", axis=2),
        node("MatMul", "l square", "m"),
        node("Softmax", "m", "p", axis=2),
        node("Add", "p s", "a"),
        node("MatMul", "m square", "n"),
        node("Add", "n a", "b"),
        node("Transpose", "b", perm=[0, 3, 1, 2]),
    ],
    "LayerNormalization": [*TOKENS, node("LayerNormalization", "t four four", axis=-1, epsilon=1e-4)],
    "Log and Sqrt": [node("Abs", "x", "a"), node("Add", "a one", "b"), node("Log", "b", "l"), node("Sqrt", "l")],
    "MatMul": [*TOKENS, node("MatMul", "t square", "m"), node("Add", "m four")],
    "Max and Min": [node("Neg", "x", "g"), node("Max", "x g", "a"), node("Min", "a half")],
    "MaxPool": [node("Abs", "x", "a"), node("MaxPool", "a", **K3, ceil_mode=1)],
    "Pad": [node("Pad", "x pads", mode="reflect")],
    "Pow": [node("Abs", "x", "a"), node("Add", "a one", "b"), node("Pow", "b half")],
    "Reciprocal": [node("Exp", "x", "a"), node("Reciprocal", "a")],
    "ReduceL2": [node("ReduceL2", "x", axes=[1])],
    "a mean beside a GELU": [node("Gelu", "x", "g"), node("ReduceMean", "g one_axis")],
    "ReduceMax": [node("ReduceMax", "x", axes=[1])],
    "ReduceMean": [node("ReduceMean", "x", axes=[1])],
    "ReduceSum": [node("ReduceSum", "x one_axis", keepdims=0)],
    "Resize": [node("Resize", "x  scales", mode="linear", coordinate_transformation_mode="align_corners")],
    "Resize to a size": [
        *SIZES,
        node("Resize", "x   sizes", mode="cubic", coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.75),
    ],
    "ScatterND of a corner": [
        *SAMPLES,
        node("Expand", "column corner_column", "samples"),
        node("Expand", "corner n_corner", "inside"),
        node("Concat", "samples inside", "places", axis=-1),
        node("Slice", "x low high last_two", "s"),
        node("Exp", "s", "e"),
        node("ScatterND", "x places e"),
    ],
    "Selu": [node("Selu", "x")],
    "Slice": [node("Slice", "x one_axis minus one_axis two_axis")],
    "backwards": [node("Slice", "x minus far two_axis minus")],
    "Softmax": [node("Softmax", "x", axis=-1)],
    "SpaceToDepth": [node("SpaceToDepth", "x", blocksize=2)],
    "Split": [node("Split", "x", "a b", axis=2), node("Sub", "a b")],
    "Tile": [node("Tile", "x twice")],
    "attention": [
        *TOKENS,
        node("Expand", "cls batch_of", "c"),
        node("Concat", "c t", "all", axis=1),  # 37 tokens
        node("MatMul", "all qkv", "p"),
        node("Reshape", "p heads", "h"),
        node("Transpose", "h", "turned", perm=[2, 0, 3, 1, 4]),
        node("Split", "turned", "q0 k0 v0", axis=0),
        node("Squeeze", "q0 first", "q"),
        node("Squeeze", "k0 first", "k1"),
        node("Squeeze", "v0 first", "v"),
        node("Transpose", "k1", "kt", perm=[0, 1, 3, 2]),
        node("MatMul", "q kt", "s"),
        node("Mul", "s half", "scaled"),
        node("Softmax", "scaled", "w", axis=-1),
        node("MatMul", "w v", "o"),
        node("Transpose", "o", "ot", perm=[0, 2, 1, 3]),
        node("Reshape", "ot tokens_again", "merged"),
        node("Gather", "merged zero", axis=1),
    ],
    "windows": [  # 6 x 6 in four windows of 3 x 3, as a batch of them, and back
        node("Transpose", "x", "last", perm=[0, 2, 3, 1]),
        node("Reshape", "last cut", "c"),
        node("Transpose", "c", "apart", perm=[0, 1, 3, 2, 4, 5]),
        node("Reshape", "apart as_batch", "w"),
        node("Softmax", "w", "s", axis=1),
        node("Reshape", "s as_windows", "v"),
        node("Transpose", "v", "together", perm=[0, 1, 3, 2, 4, 5]),
        node("Reshape", "together whole", "b"),
        node("Transpose", "b", perm=[0, 3, 1, 2]),
    ],
}  # fmt: skip
SHAPE_OF_X = [
    node("Shape", "x", "sx"),
    node("Gather", "sx zero1", "n1"),
    node("Concat", "n1 one_1 four_1", "batch_of", axis=0),
]
CONSTANTS = {
    "table": np.array([[0, 2], [5, -1]]), "as_rows": np.array([-1, 4, 6]), "of_rows": np.array([-1, 6, 4, 6]),
    "squares": normal(4) ** 2, "twice": np.array([1, 1, 2, 3]), "five_seven": np.array([5, 7]),
    "one_int": np.int64(1), "as_column": np.array([-1, 1, 1, 1, 1]), "corner_sides": np.array([4, 3, 2]),
    "three": np.array([3]), "low": np.array([0, 0]), "high": np.array([3, 2]), "last_two": np.array([2, 3]),
    "corner": np.stack(np.meshgrid(np.arange(4), np.arange(3, 6), np.arange(4, 6), indexing="ij"), -1),
    "in_one": np.array([0, 1, -1]), "lone": [0.5],
    "half": 0.5, "one": 1.0, "k": normal(3, 4, 3, 3), "up": normal(4, 2, 3, 3), "two": np.array([0, 2, -1]),
    "in_groups": np.array([0, 2, -1]), "back": np.array([0, 4, 6, 6]), "ones": np.ones(2), "zeros": np.zeros(2),
    "by_channel": normal(4, 1, 1), "four": normal(4), "square": normal(4, 4),
    "pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
    "one_axis": np.array([1]), "minus": np.array([-1]), "two_axis": np.array([2]), "far": np.array([-100]),
    "scales": np.float32([1, 1, 2, 2]), "to_tokens": np.array([0, 4, 36]), "cls": normal(1, 1, 4), "qkv": normal(4, 12),
    "heads": np.array([0, 37, 3, 2, 2]), "first": np.array([0]), "tokens_again": np.array([0, 37, 4]),
    "zero": np.int64(0),
    "cut": np.array([0, 2, 3, 2, 3, 4]), "as_batch": np.array([-1, 9, 4]), "as_windows": np.array([-1, 2, 2, 3, 3, 4]),
    "whole": np.array([-1, 6, 6, 4]), "zero1": np.array([0]), "one_1": np.array([1]), "four_1": np.array([4]),
}  # fmt: skip


def model_of(name: str) -> onnx.ModelProto:
    nodes = CASES[name]
    used = {i for n in [*nodes, *SHAPE_OF_X] for i in n.input}
    constants = {key: value for key, value in CONSTANTS.items() if key in used}
    opset = 20 if any(one.op_type == "Gelu" for one in nodes) else 17
    return file([*(SHAPE_OF_X if name == "attention" else []), *nodes], MAP, opset=opset, **constants)


def test_every_operator_that_is_kept_can_be_computed() -> None:
    assert set(FORWARD) | {"BatchNormalization", "ScatterND", "Split"} == OPERATORS


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_torch_computes_what_onnxruntime_does(name: str, count: int) -> None:
    model = model_of(name)
    graph, weights = parse(model)
    x = np.random.default_rng(1).standard_normal((count, 4, 6, 6)).astype(np.float32)
    (expected,) = run_onnx(model, x)
    with torch.no_grad():
        found = Student(graph, weights)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))
    written = to_onnx(graph, weights)
    np.testing.assert_allclose(run_onnx(written, x)[0], expected, atol=1e-5 * max(1, np.abs(expected).max()))
    again, same = parse(written)
    assert again == graph
    assert all(np.array_equal(same[key], weights[key]) for key in weights)


def test_gradients_reach_constants_and_inputs() -> None:
    graph, weights = parse(model_of("attention"))
    student = Student(graph, weights)
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    student(x).square().sum().backward()
    found = {name: p.grad for name, p in student.parameters_by_name().items()}
    assert set(found) == {"all.c0", "p.c1", "scaled.weight", "scaled.bias"}  # the class token is all's
    assert all(g is not None and torch.isfinite(g).all() and g.any() for g in found.values())
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert student.folded().keys() == weights.keys()


def test_channels_beside_a_kept_node_stay_and_those_further_off_do_not() -> None:
    nodes = [
        node("Conv", "x a", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("Conv", "r b", "d", pads=[1, 1, 1, 1]),
        node("Softmax", "d", "s", axis=-1),
        node("Conv", "s e", "f"),
        node("GlobalAveragePool", "f", "g"),
        node("Flatten", "g", "h"),
        node("Gemm", "h w"),
    ]
    shapes = {"a": (8, 4, 3, 3), "b": (8, 8, 3, 3), "e": (8, 8, 1, 1), "w": (8, 3)}
    graph, weights = parse(file(nodes, MAP, **{name: normal(*shape) for name, shape in shapes.items()}))
    space = derive(graph, Declaration(kernel=False, depth=False))
    assert [gene.name for gene in space.genes] == ["width:c", "width:f"]
    half = space.uniform(0.5)
    cut = inherit(space, half, weights, {atom.id: np.arange(atom.size) for atom in space.channels.atoms})
    assert Student(space.apply(half), cut)(torch.zeros(2, 4, 6, 6)).shape == (2, 3)
    with pytest.raises(TargetError, match="Softmax 's' cannot run on tflm"):
        lower(graph)
