"""What files from elsewhere mean: each pattern against arithmetic by hand or against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from search_spaces.errors import ModelError
from search_spaces.from_onnx import parse
from search_spaces.graph import Graph, Op
from search_spaces.to_onnx import to_onnx
from tests.search_spaces.onnx_files import RNG, file, node, normal
from tests.search_spaces.random_graphs import random_graph
from tests.toys import images, random_weights, run_onnx

Parsed = tuple[Graph, dict[str, np.ndarray]]


GRID_OF_SIX = Graph("x", (2, 6, 6), (Op.make("y", "relu", "x"),), ("y",))


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


def assert_same_values(model: onnx.ModelProto, x: np.ndarray | None = None) -> Parsed:
    """The parsed network computes what the file computes, to 1e-5 of its largest value."""
    graph, weights = parse(model)
    x = images(graph, 3) - 0.5 if x is None else x
    before = run_onnx(model, x)
    if x.ndim == 3:
        x = x[:, :, None]
    elif x.shape[1:] != graph.input_shape:
        x = x.transpose(0, 3, 1, 2)
    after = run_onnx(to_onnx(graph, weights), x)
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1, np.abs(one).max()))
    return graph, weights


def test_tensors_named_after_their_nodes_are_called_by_these() -> None:
    """Where that name is free: `/b/Relu` is somebody's already, and `x` is the input."""
    nodes = [
        node("Conv", "x w b", "/a/Conv_output_0"),
        node("Relu", "/a/Conv_output_0", "/b/Relu_output_0"),
        node("Sigmoid", "/b/Relu_output_0", "b/Relu"),
        node("Tanh", "b/Relu", "/x_output_0"),
        node("Relu", "/x_output_0", "y"),
    ]
    graph, weights = parse(file(nodes, ("n", 1, 4, 4), w=[[[[2.0]]]], b=[1.0]))
    assert [op.name for op in graph.ops] == ["a/Conv", "/b/Relu_output_0", "b/Relu", "/x_output_0", "y"]
    assert parse(to_onnx(graph, weights))[0] == graph


# BatchNormalization and arithmetic with constants


def test_batch_norm_folds_by_hand() -> None:
    """3 (2x + 1 - 1) / sqrt(4) + 5 = 3x + 5."""
    norm = {"gamma": [3.0], "beta": [5.0], "mean": [1.0], "variance": [4.0]}
    nodes = [node("Conv", "x w b", "c"), node("BatchNormalization", "c gamma beta mean variance", epsilon=0.0)]
    graph, weights = parse(file(nodes, ("n", 1, 4, 4), w=[[[[2.0]]]], b=[1.0], **norm))
    assert [(op.name, op.kind) for op in graph.ops] == [("y", "conv")]
    assert weights["y.weight"].ravel() == [3]
    assert weights["y.bias"] == [5]


def test_constants_fold_by_hand() -> None:
    """((2x + 1 - 3) * 4 + 2) / 2 = 4x - 3, and 1 - that = -4x + 4."""
    nodes = [
        node("Gemm", "x w b", "a"),
        node("Sub", "a three", "c"),
        node("Mul", "four c", "d"),
        node("Add", "d two", "e"),
        node("Div", "e two", "f"),
        node("Sub", "one f"),
    ]
    constants = {"one": 1.0, "two": [[2.0]], "three": [3.0], "four": 4.0}
    graph, weights = parse(file(nodes, ("n", 1), w=[[2.0]], b=[1.0], **constants))
    assert [(op.name, op.kind) for op in graph.ops] == [("y", "linear")]
    assert weights["y.weight"] == [[-4]]
    assert weights["y.bias"] == [4]


@pytest.mark.parametrize(
    ("middle", "outputs"),
    [([node("Relu", "c", "second")], ("y", "second")), ([], ("y", "c"))],
    ids=["read twice", "an output itself"],
)
def test_a_convolution_that_is_needed_as_it_is_keeps_its_affine(middle: list, outputs: tuple[str, ...]) -> None:
    nodes = [node("Conv", "x w", "c"), *middle, node("Mul", "c scale")]
    graph, _ = assert_same_values(file(nodes, outputs=outputs, w=normal(3, 2, 1, 1), scale=normal(3, 1, 1)))
    assert sorted(kinds(graph)) == sorted(["conv", "affine", *(["relu"] if middle else [])])
    assert graph.outputs == outputs


def test_an_affine_folds_ahead_into_groups_without_padding() -> None:
    constants = {"scale": normal(4, 1, 1), "shift": normal(1, 4, 1, 1), "w": normal(6, 2, 3, 3), "b": normal(6)}
    nodes = [node("Mul", "x scale", "s"), node("Add", "s shift", "t"), node("Conv", "t w b", group=2)]
    graph, _ = assert_same_values(file(nodes, ("n", 4, 6, 6), **constants))
    assert kinds(graph) == ["conv"]


@pytest.mark.parametrize(("shift", "left"), [(0.5, ["affine", "conv"]), (0.0, ["conv"])])
def test_a_shift_stays_before_padding_and_a_scale_does_not(shift: float, left: list[str]) -> None:
    nodes = [node("Mul", "x scale", "s"), node("Add", "s shift", "t"), node("Conv", "t w", pads=[1, 1, 1, 1])]
    model = file(nodes, scale=normal(2, 1, 1), shift=np.full((2, 1, 1), shift), w=normal(3, 2, 3, 3))
    assert kinds(assert_same_values(model)[0]) == left


def test_an_affine_that_is_needed_as_it_is_stays() -> None:
    weights = {"w": normal(3, 2, 1, 1), "scale": normal(2, 1, 1)}
    twice = [node("Mul", "x scale", "s"), node("Conv", "s w", "a"), node("Conv", "s w", "b")]
    assert kinds(assert_same_values(file(twice, outputs=("a", "b"), **weights))[0]) == ["affine", "conv", "conv"]
    output = [node("Mul", "x scale", "s"), node("Conv", "s w")]
    assert kinds(assert_same_values(file(output, outputs=("y", "s"), **weights))[0]) == ["affine", "conv"]


def test_batch_norm_without_an_epsilon_has_onnx_default() -> None:
    norm = {"gamma": normal(2), "beta": normal(2), "mean": normal(2), "variance": [1e-4, 1e-5]}
    assert_same_values(file([node("BatchNormalization", "x gamma beta mean variance")], **norm))


def test_folding_changes_no_value() -> None:
    """Random graphs written operator by operator, then read as a file from elsewhere: tidier, but the same numbers."""
    rng = np.random.default_rng(5)
    before = after = 0
    for _ in range(60):
        graph = random_graph(rng)
        model = to_onnx(graph, random_weights(graph, 1))
        del model.metadata_props[:]
        tidy, _ = assert_same_values(model)
        assert tidy.outputs == tuple(dict.fromkeys(graph.outputs))
        before, after = before + kinds(graph).count("affine"), after + kinds(tidy).count("affine")
    assert after < before


# Padding and windows


def test_padding_goes_into_every_convolution_behind_it() -> None:
    nodes = [
        node("Pad", "x pads", "p"),
        node("Conv", "p w", "a", strides=[2, 2]),
        node("Conv", "p w", "b", strides=[2, 2], pads=[1, 0, 0, 1]),
    ]
    pads = np.array([0, 0, 0, 1, 0, 0, 1, 2])
    graph, _ = assert_same_values(file(nodes, outputs=("a", "b"), w=normal(3, 2, 3, 3), pads=pads))
    assert [op["pads"] for op in graph.ops] == [(0, 1, 1, 2), (1, 1, 1, 3)]


def test_padding_of_padding_adds_up() -> None:
    nodes = [node("Pad", "x pads", "p"), node("Pad", "p pads", "q"), node("Conv", "q w")]
    graph, _ = assert_same_values(file(nodes, pads=np.array([0, 0, 1, 0, 0, 0, 0, 1]), w=normal(3, 2, 3, 3)))
    assert [op["pads"] for op in graph.ops] == [(2, 0, 0, 2)]


def test_zeros_pad_a_max_pool_of_values_that_are_never_negative() -> None:
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    window = {"kernel_shape": [3, 3], "strides": [2, 2]}
    after_relu = [node("Relu", "x", "r"), node("Pad", "r pads", "p"), node("MaxPool", "p", **window)]
    graph, _ = assert_same_values(file(after_relu, pads=pads))
    assert graph.ops[-1]["pads"] == (1, 1, 1, 1)
    stays = [node("Pad", "x pads", "p"), node("MaxPool", "p", **window)]
    assert kinds(assert_same_values(file(stays, pads=pads))[0]) == ["pad", "max_pool"]
    alone = [*after_relu[:2], node("MaxPool", "p", kernel_shape=[1, 1], strides=[2, 2])]
    assert kinds(assert_same_values(file(alone, pads=pads))[0]) == ["relu", "pad", "max_pool"]  # windows of padding


def test_a_pad_that_nobody_takes_over_stays() -> None:
    nodes = [node("Pad", "x pads", "p"), node("Conv", "p w", "c"), node("Sigmoid", "p", "s")]
    graph, _ = assert_same_values(
        file(nodes, outputs=("c", "s", "p"), pads=np.array([0, 0, 1, 0, 0, 0, 0, 2]), w=normal(3, 2, 3, 3))
    )
    assert sorted(kinds(graph)) == ["conv", "pad", "sigmoid"]
    assert graph.by_name["c"]["pads"] == (1, 0, 0, 2)


def test_padding_that_an_average_counts_is_a_pad_of_its_own() -> None:
    pool = node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    assert kinds(assert_same_values(file([pool]))[0]) == ["pad", "avg_pool"]


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("side", [5, 6, 7, 8])
def test_ceil_mode_keeps_the_part_of_a_window(kind: str, side: int) -> None:
    for kernel, stride, pads in ((3, 2, 0), (2, 2, 0), (3, 2, 1), (2, 3, 0)):
        pool = node(kind, "x", kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pads] * 4, ceil_mode=1)
        assert_same_values(file([pool], ("n", 2, side, side)))


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("side", "stride"), [(6, 1), (6, 2), (7, 2), (7, 3)])
def test_auto_pad(mode: str, side: int, stride: int) -> None:
    nodes = [
        node("Conv", "x w", "c", auto_pad=mode, strides=[stride, stride]),
        node("MaxPool", "c", auto_pad=mode, kernel_shape=[2, 2]),
    ]
    assert_same_values(file(nodes, ("n", 2, side, side), w=normal(3, 2, 3, 3)))


def test_same_padding_by_hand() -> None:
    """TensorFlow pads a side of 6 under a 3-wide kernel of stride 2 by one, below and right."""
    graph, _ = parse(file([node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2])], w=normal(3, 2, 3, 3)))
    assert graph.ops[0]["pads"] == (0, 0, 1, 1)


@pytest.mark.parametrize(("kernel", "pads", "side"), [(2, [0, 0, 0, 0], 3), (3, [1, 0, 0, 1], 3)])
def test_ceil_mode_where_it_makes_no_difference(kernel: int, pads: list[int], side: int) -> None:
    """6 = 3 windows of 2; padded to 7 = 3 windows of 3 at stride 2."""
    model = file([node("MaxPool", "x", kernel_shape=[kernel] * 2, strides=[2, 2], pads=pads, ceil_mode=1)])
    assert assert_same_values(model)[0].shapes["y"] == (2, side, side)


# Linear layers, activations, pools


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(transposed: int) -> None:
    w = normal(3, 2) if transposed else normal(2, 3)
    model = file([node("Gemm", "x w b", alpha=0.5, beta=2.0, transB=transposed)], ("n", 2), w=w, b=normal(1, 3))
    assert assert_same_values(model)[0].ops[0]["out_channels"] == 3


def test_matmul_and_add_are_one_linear_layer() -> None:
    nodes = [node("MatMul", "x w", "m"), node("Add", "b m")]
    assert kinds(assert_same_values(file(nodes, ("n", 4), w=normal(4, 3), b=normal(3)))[0]) == ["linear"]


def test_clip_max_and_min() -> None:
    nodes = [
        node("Clip", "x zero six", "a"),
        node("Clip", "x zero", "b"),
        node("Max", "zero x", "r"),
        node("Min", "r six", "c"),
    ]
    model = file(nodes, outputs=("a", "b", "c"), zero=0.0, six=6.0)
    assert kinds(assert_same_values(model, 20 * normal(1, 2, 6, 6))[0]) == ["relu6", "relu", "relu6"]
    old = file([node("Clip", "x", min=0.0, max=6.0)], opset=9)
    assert kinds(parse(old)[0]) == ["relu6"]


def test_a_mean_over_the_map_is_a_global_pool() -> None:
    nodes = [node("ReduceMean", "x", "kept", axes=[2, 3]), node("ReduceMean", "x", "flat", axes=[-1, -2], keepdims=0)]
    graph, _ = assert_same_values(file(nodes, outputs=("kept", "flat")))
    assert kinds(graph) == ["global_avg_pool", "global_avg_pool", "flatten"]
    assert graph.outputs == ("kept", "flat")


def test_pools_over_one_element_vanish() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("AveragePool", "c", "p", kernel_shape=[1, 1]),
        node("GlobalAveragePool", "p", "g"),
        node("Dropout", "g"),
    ]
    graph, _ = assert_same_values(file(nodes, ("n", 2, 3, 3), w=normal(4, 2, 3, 3)))
    assert [(op.name, op.kind) for op in graph.ops] == [("y", "conv")]


def test_a_gate_stands_on_the_right() -> None:
    nodes = [node("GlobalMaxPool", "x", "g"), node("Sigmoid", "g", "s"), node("Mul", "s x")]
    assert assert_same_values(file(nodes))[0].by_name["y"].inputs == ("x", "s")


# Functions that exporters take apart


def test_a_hard_sigmoid_folds_into_the_layer_before_it() -> None:
    """clip(x / 6 + 0.5) of a convolution is a clip of another convolution."""
    nodes = [node("Conv", "x w b", "c"), node("HardSigmoid", "c", alpha=1 / 6, beta=0.5)]
    graph, _ = assert_same_values(file(nodes, w=5 * normal(3, 2, 1, 1), b=normal(3)))
    assert [(op.kind, dict(op.attrs).get("high")) for op in graph.ops] == [("conv", None), ("clip", 1.0)]


@pytest.mark.parametrize("order", ["x * relu6(x + 3) / 6", "x * hard_sigmoid(x)", "relu6(x + 3) / 6 * x"])
def test_a_hard_swish_in_any_order(order: str) -> None:
    shifted = [node("Add", "x three", "a"), node("Clip", "a zero six", "c")]
    nodes = {
        "x * relu6(x + 3) / 6": [*shifted, node("Mul", "x c", "m"), node("Div", "m six")],
        "x * hard_sigmoid(x)": [node("HardSigmoid", "x", "h", alpha=1 / 6, beta=0.5), node("Mul", "x h")],
        "relu6(x + 3) / 6 * x": [*shifted, node("Div", "c six", "d"), node("Mul", "d x")],
    }[order]
    graph, _ = assert_same_values(file(nodes, zero=0.0, three=3.0, six=6.0), 9 * images(GRID_OF_SIX, 3) - 4)
    assert kinds(graph) == ["hard_swish"]


@pytest.mark.parametrize("first", [True, False], ids=["half of x first", "half of all last"])
def test_a_gelu_by_erf(first: bool) -> None:
    inner = [node("Div", "x root", "d"), node("Erf", "d", "e"), node("Add", "e one", "a")]
    ends = (
        [node("Mul", "x half", "h"), node("Mul", "h a")] if first else [node("Mul", "x a", "m"), node("Mul", "m half")]
    )
    graph, _ = assert_same_values(file([*inner, *ends], root=2**0.5, one=1.0, half=0.5), 9 * images(GRID_OF_SIX, 3) - 4)
    assert [(op.kind, op.attrs) for op in graph.ops] == [("gelu", (("tanh", False),))]


def test_a_gelu_by_tanh() -> None:
    nodes = [
        node("Pow", "x three", "cube"),
        node("Mul", "cube small", "s"),
        node("Add", "x s", "t"),
        node("Mul", "t root", "u"),
        node("Tanh", "u", "v"),
        node("Add", "v one", "w"),
        node("Mul", "x half", "h"),
        node("Mul", "h w"),
    ]
    constants = {"three": 3.0, "small": 0.044715, "root": (2 / np.pi) ** 0.5, "one": 1.0, "half": 0.5}
    graph, _ = assert_same_values(file(nodes, **constants), 9 * images(GRID_OF_SIX, 3) - 4)
    assert [(op.kind, op.attrs) for op in graph.ops] == [("gelu", (("tanh", True),))]


def test_a_swish_is_a_gate() -> None:
    nodes = [node("Sigmoid", "x", "s"), node("Mul", "x s")]
    assert kinds(assert_same_values(file(nodes))[0]) == ["sigmoid", "mul"]


def test_activations_with_settings() -> None:
    nodes = [
        node("LeakyRelu", "x", "a", alpha=0.2),
        node("PRelu", "x same", "b"),
        node("PRelu", "x each", "c"),
        node("Clip", "x low high", "d"),
        node("HardSwish", "x", "e"),
        node("Tanh", "x", "f"),
        node("Elu", "x", "g", alpha=0.5),
        node("Softplus", "x", "h"),
    ]
    model = file(nodes, outputs=tuple("abcdefgh"), same=0.3, each=[[[0.1]], [[0.4]]], low=-1.0, high=2.0)
    graph, _ = assert_same_values(model, 9 * images(GRID_OF_SIX, 3) - 4)
    assert graph.by_name["b"]["slope"] == pytest.approx(0.3)
    assert graph.by_name["c"].kind == "add"


# Channels taken apart


def test_split_and_slice_cut_channels() -> None:
    nodes = [
        node("Split", "x", "a b", axis=1),
        node("Split", "x sizes", "c d", axis=1),
        node("Slice", "x start end axes", "e"),
        node("Slice", "x first last axes", "f"),
    ]
    model = file(
        nodes,
        ("n", 6, 3, 3),
        tuple("abcdef"),
        sizes=np.array([2, 4]),
        start=np.array([-2]),
        end=np.array([2**40]),
        axes=np.array([1]),
        first=np.array([1]),
        last=np.array([-3]),
    )
    graph, _ = assert_same_values(model)
    found = {name: (graph.by_name[name]["start"], graph.by_name[name]["stop"]) for name in "abcdef"}
    assert found == {"a": (0, 3), "b": (3, 6), "c": (0, 2), "d": (2, 6), "e": (4, 6), "f": (1, 3)}


def test_a_channel_shuffle() -> None:
    """Six channels in two groups, 0 1 2 | 3 4 5, become 0 3 1 4 2 5."""
    nodes = [
        node("Reshape", "x apart", "a"),
        node("Transpose", "a", "t", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "t whole"),
    ]
    model = file(nodes, ("n", 6, 3, 3), apart=np.array([-1, 2, 3, 3, 3]), whole=np.array([-1, 6, 3, 3]))
    graph, _ = assert_same_values(model)
    assert [(op.kind, op["groups"]) for op in graph.ops] == [("shuffle", 2)]


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_by_whole_factors(mode: str) -> None:
    place = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"} if mode == "nearest" else {}
    by_scale = node("Resize", "x  scales", "a", mode=mode, **place)
    by_size = node("Resize", "x   sizes", "b", mode=mode, **place)
    model = file([by_scale, by_size], outputs=("a", "b"), scales=[1.0, 1, 2, 3], sizes=np.array([1, 2, 12, 18]))
    graph, _ = parse(model)
    assert graph.by_name["a"]["factor"] == graph.by_name["b"]["factor"] == (2, 3)
    x = images(graph, 1)
    for one, other in zip(run_onnx(model, x), run_onnx(to_onnx(graph, {}), x), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_maps_that_are_repeated() -> None:
    """C x H x W with C x 1 x 1 and with 1 x H x W."""
    nodes = [
        node("GlobalAveragePool", "x", "g"),
        node("Conv", "x w", "m"),
        node("Add", "g x", "a"),
        node("Sub", "x g", "b"),
        node("Mul", "m x", "c"),
    ]
    graph, _ = assert_same_values(file(nodes, outputs=tuple("abc"), w=normal(1, 2, 1, 1)))
    assert graph.by_name["a"].inputs == ("x", "g")
    assert graph.by_name["c"].inputs == ("x", "m")


# Series


def test_a_series_is_a_map_of_height_one() -> None:
    nodes = [
        node("Conv", "x w b", "c", pads=[2, 1], strides=[2]),
        node("BatchNormalization", "c four four four four", "n"),
        node("Relu", "n", "r"),
        node("MaxPool", "r", "p", kernel_shape=[3], strides=[2]),
        node("Conv", "p dw", "d", group=4, dilations=[2], pads=[2, 2]),
        node("ReduceMean", "d", "m", axes=[2], keepdims=0),
        node("Gemm", "m v"),
    ]
    constants = {
        "w": normal(4, 3, 5),
        "b": normal(4),
        "four": np.abs(normal(4)),
        "dw": normal(4, 1, 3),
        "v": normal(4, 2),
    }
    graph, _ = assert_same_values(file(nodes, ("n", 3, 30), **constants), normal(3, 3, 30))
    assert graph.input_shape == (3, 1, 30)
    assert graph.by_name["d"]["kernel"] == (1, 3)


def test_a_series_that_is_flattened_keeps_its_order() -> None:
    nodes = [node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("Gemm", "f v")]
    assert_same_values(file(nodes, ("n", 2, 9), w=normal(3, 2, 3), v=normal(21, 4)), normal(2, 2, 9))


# Axes


def test_linear_layers_on_maps_that_stand_channels_last() -> None:
    """As a ConvNeXt has them: they are 1x1 convolutions."""
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("MatMul", "t w", "m"),
        node("Add", "m b", "a"),
        node("Relu", "a", "r"),
        node("Mul", "r scale", "s"),
        node("Transpose", "s", "u", perm=[0, 3, 1, 2]),
        node("Conv", "u k"),
    ]
    model = file(nodes, w=normal(2, 5), b=normal(5), scale=normal(5), k=normal(3, 5, 1, 1))
    assert kinds(assert_same_values(model)[0]) == ["conv", "relu", "conv"]


def test_shape_arithmetic_is_a_flatten() -> None:
    """x.view(x.shape[0], -1) as the TorchScript exporter writes it, and x.view(n, c * h * w)."""
    head = [node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n axis", "n1")]
    short = [*head, node("Concat", "n1 rest", "to", axis=0), node("Reshape", "x to")]
    graph, _ = assert_same_values(file(short, zero=np.int64(0), axis=np.array([0]), rest=np.array([-1])))
    assert kinds(graph) == ["flatten"]
    rest = [node("Slice", "s one four", "sides"), node("ReduceProd", "sides", "size", keepdims=1)]
    long = [*head, *rest, node("Concat", "n1 size", "to", axis=0), node("Reshape", "x to")]
    fixed = {"zero": np.int64(0), "axis": np.array([0]), "one": np.array([1]), "four": np.array([4])}
    assert kinds(assert_same_values(file(long, **fixed))[0]) == ["flatten"]


@pytest.mark.parametrize("shape", [[0, -1], [-1, 72], [1, 72], [1, -1]])
def test_reshape_is_a_flatten(shape: list[int]) -> None:
    assert kinds(parse(file([node("Reshape", "x to")], (1, 2, 6, 6), to=np.array(shape)))[0]) == ["flatten"]


def test_axes_of_size_one_come_and_go() -> None:
    nodes = [
        node("GlobalAveragePool", "x", "g"),
        node("Squeeze", "g last", "h"),
        node("Squeeze", "h last", "v"),
        node("Gemm", "v w", "u"),
        node("Relu", "u", "r"),
        node("Unsqueeze", "r both", "t"),
        node("Conv", "t k"),
    ]
    axes = {"last": np.array([-1]), "both": np.array([2, 3])}
    graph, _ = assert_same_values(file(nodes, w=normal(2, 3), k=normal(4, 3, 1, 1), **axes))
    assert kinds(graph) == ["global_avg_pool", "conv", "relu", "conv"]


def keras(side: int, channels: int) -> onnx.ModelProto:
    """Channels last outside, channels first around the convolution, a dense layer behind the flatten."""
    nodes = [
        node("Transpose", "x", "first", perm=[0, 3, 1, 2]),
        node("Conv", "first w b", "c", auto_pad="SAME_UPPER"),
        node("Relu", "c", "r"),
        node("Transpose", "r", "last", perm=[0, 2, 3, 1]),
        node("Reshape", "last to", "f"),
        node("MatMul", "f dense"),
    ]
    weights = {"w": normal(3, channels, 3, 3), "b": normal(3), "dense": normal(3 * side * side, 5)}
    return file(nodes, ("n", side, side, channels), to=np.array([-1, 3 * side * side]), **weights)


@pytest.mark.parametrize(("side", "channels"), [(6, 2), (4, 1), (1, 2)])
def test_channels_last(side: int, channels: int) -> None:
    graph, _ = assert_same_values(keras(side, channels), RNG.random((3, side, side, channels), np.float32))
    assert graph.input_shape == (channels, side, side)
    assert kinds(graph) == ["conv", "relu", "flatten", "linear"]


def test_a_gray_channels_last_input_may_be_reshaped() -> None:
    nodes = [node("Reshape", "x to", "first"), node("Conv", "first w")]
    model = file(nodes, ("n", 4, 5, 1), to=np.array([-1, 1, 4, 5]), w=normal(2, 1, 3, 3))
    graph, _ = assert_same_values(model, RNG.random((3, 4, 5, 1), np.float32))
    assert graph.input_shape == (1, 4, 5)


def test_a_mean_over_channels_last_axes() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Transpose", "c", "last", perm=[0, 2, 3, 1]),
        node("ReduceMean", "last", "m", axes=[1, 2], keepdims=0),
        node("Gemm", "m dense"),
    ]
    graph, _ = assert_same_values(file(nodes, w=normal(3, 2, 1, 1), dense=normal(3, 2)))
    assert kinds(graph) == ["conv", "global_avg_pool", "flatten", "linear"]


# Names, inputs and outputs


def test_names_are_the_files() -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Identity", "r", "end"), node("Sigmoid", "r", "s")]
    graph, weights = parse(file(nodes, outputs=("end", "s"), w=normal(3, 2, 1, 1)))
    assert [op.name for op in graph.ops] == ["c", "end", "s"]
    assert graph.outputs == ("end", "s")
    assert list(weights) == ["c.weight", "c.bias"]
    assert not weights["c.bias"].any()


def test_an_output_that_repeats_another_is_given_once() -> None:
    nodes = [node("Relu", "x", "r"), node("Identity", "r", "again")]
    assert parse(file(nodes, outputs=("r", "again")))[0].outputs == ("r",)


def test_what_no_output_needs_is_dropped() -> None:
    graph, weights = parse(file([node("Conv", "x w", "unread"), node("Relu", "x")], w=normal(3, 2, 1, 1)))
    assert (kinds(graph), weights) == (["relu"], {})


def test_an_open_side_must_be_given() -> None:
    model = file([node("Relu", "x")], ("n", 2, "height", "width"))
    with pytest.raises(ModelError, match=r"'x' must have fixed sides .* got n x 2 x height x width"):
        parse(model)
    assert parse(model, (2, 5, 7))[0].input_shape == (2, 5, 7)
    with pytest.raises(ModelError, match=r"got n x 2 x height x width: asked for \(3, 5, 7\)"):
        parse(model, (3, 5, 7))
