"""Small networks that every floor's tests share, with seeded random weights; small enough to redo by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from search_spaces.graph import Graph, Op, Shape

Toy = tuple[Graph, dict[str, np.ndarray]]
Pads = tuple[int, int, int, int]


class Sketch:
    """Operators in a row: each method appends one that reads the last tensor, unless `of` names another."""

    def __init__(self, *input_shape: int) -> None:
        self.input_shape: Shape = input_shape
        self.ops: list[Op] = []
        self.last = "image"

    def add(self, name: str, kind: str, *inputs: str, **attrs: Any) -> str:
        self.ops.append(Op.make(name, kind, *(inputs or (self.last,)), **attrs))
        self.last = name
        return name

    def conv(
        self,
        name: str,
        out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        groups: int = 1,
        pads: tuple[int, int, int, int] | None = None,
        of: str | None = None,
    ) -> str:
        """A square convolution; without `pads` it is padded by half its kernel on every side."""
        half = kernel // 2
        return self.add(
            name,
            "conv",
            of or self.last,
            out_channels=out,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            pads=pads or (half, half, half, half),
            groups=groups,
            dilation=(1, 1),
        )

    def up(self, name: str, out: int, kernel: int, stride: int, pads: Pads = (0, 0, 0, 0), more: int = 0) -> str:
        """A transposed convolution with square kernel and stride; `more` rows and columns below and right."""
        return self.add(
            name, "conv_transpose", out_channels=out, groups=1, kernel=(kernel, kernel), stride=(stride, stride),
            pads=pads, dilation=(1, 1), output_padding=(more, more),
        )  # fmt: skip

    def pool(self, name: str, kind: str, kernel: int, stride: int) -> str:
        return self.add(name, kind, kernel=(kernel, kernel), stride=(stride, stride), pads=(0, 0, 0, 0))

    def gate(self, of: str, channels: int, name: str, kind: str, *, reduced: int = 0, **attrs: float) -> str:
        """Squeeze-and-excite: `of` times a function of one or two 1x1 convolutions of its means."""
        self.add("squeeze", "global_avg_pool", of)
        if reduced:
            self.conv("reduce", reduced, 1)
            self.add("reduce_relu", "relu")
        self.conv("excite", channels, 1)
        return self.add(name, "mul", of, self.add("gate", kind, **attrs))

    def partly(self, channels: int, first: int, mixed: int) -> str:
        """A stem of which the first channels are joined, past it, with a convolution of the others."""
        stem = self.conv("stem", channels)
        left = self.add("left", "slice", stem, start=0, stop=first)
        self.add("right", "slice", stem, start=first, stop=channels)
        return self.add("joined", "concat", left, self.conv("mixed", mixed))

    def classifier(self, classes: int) -> None:
        self.add("gap", "global_avg_pool")
        self.add("flat", "flatten")
        self.add("logits", "linear", out_channels=classes)

    def done(self, *outputs: str) -> Graph:
        return Graph("image", self.input_shape, tuple(self.ops), outputs or (self.last,))


def random_weights(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Float32 weights under which activations keep their size: variance 2 / fan-in, biases of 0.1.

    An affine operator gets scales in [0.5, 1.5].
    """
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for name, shape in graph.weight_shapes.items():
        op, role = name.rsplit(".", 1)
        if role == "bias":
            values = 0.1 * rng.standard_normal(shape)
        elif graph.by_name[op].kind == "affine":
            values = rng.uniform(0.5, 1.5, shape)
        else:
            values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        found[name] = values.astype(np.float32)
    return found


def images(graph: Graph, count: int, seed: int = 0) -> np.ndarray:
    """Random images for a toy: float32, `count` x C x H x W, uniform in [0, 1)."""
    return np.random.default_rng(seed).random((count, *graph.input_shape), np.float32)


def run_onnx(model: onnx.ModelProto | Path, x: np.ndarray) -> list[np.ndarray]:
    """Every output of a model by onnxruntime on one thread, without its optimisations: what ONNX says of the nodes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def chain() -> Toy:
    """Four plain convolutions: 1x8x8 to 8x8x8, 8x8x8, 12x4x4, 12x4x4, then a classifier of 4."""
    net = Sketch(1, 8, 8)
    for name, out, stride in (("c1", 8, 1), ("c2", 8, 1), ("c3", 12, 2), ("c4", 12, 1)):
        net.conv(name, out, stride=stride)
        net.add(f"r{name[1]}", "relu")
    net.classifier(4)
    graph = net.done()
    return graph, random_weights(graph, 1)


def residual() -> Toy:
    """A stem and two residual blocks, relu after each add; the second (8 to 16 channels, stride 2) projects."""
    net = Sketch(3, 16, 16)
    net.conv("stem", 8)
    shortcut = net.add("stem_relu", "relu")
    for block, out, stride in (("a", 8, 1), ("b", 16, 2)):
        net.conv(f"{block}1", out, stride=stride)
        net.add(f"{block}1_relu", "relu")
        branch = net.conv(f"{block}2", out)
        if stride > 1:
            shortcut = net.conv(f"{block}_project", out, 1, stride, of=shortcut)
        net.add(f"{block}_add", "add", branch, shortcut)
        shortcut = net.add(f"{block}_relu", "relu")
    net.classifier(4)
    graph = net.done()
    return graph, random_weights(graph, 2)


def depthwise() -> Toy:
    """A MobileNet in small: stem of stride 2, four depthwise-separable blocks, relu6, TensorFlow's SAME padding."""
    net = Sketch(1, 16, 16)
    below_right = (0, 0, 1, 1)
    net.conv("stem", 8, stride=2, pads=below_right)
    net.add("stem_relu", "relu6")
    channels = 8
    for k, (out, stride) in enumerate(((16, 1), (16, 1), (24, 2), (24, 1)), start=1):
        net.conv(f"dw{k}", channels, stride=stride, groups=channels, pads=below_right if stride > 1 else None)
        net.add(f"dw{k}_relu", "relu6")
        net.conv(f"pw{k}", out, 1)
        net.add(f"pw{k}_relu", "relu6")
        channels = out
    net.classifier(4)
    graph = net.done()
    return graph, random_weights(graph, 3)


def concat() -> Toy:
    """Branches of 6 and 10 channels joined to 16, to which a convolution of 16 is added: its 16 split into 6 and 10."""
    net = Sketch(2, 16, 16)
    net.conv("stem", 8, stride=2)
    stem = net.add("stem_relu", "relu")
    net.conv("left", 6, 1)
    left = net.add("left_relu", "relu")
    net.conv("right", 10, of=stem)
    right = net.add("right_relu", "relu")
    joined = net.add("joined", "concat", left, right)
    mixed = net.conv("mixed", 16)
    net.add("sum", "add", mixed, joined)
    net.add("sum_relu", "relu")
    net.conv("last", 12)
    net.add("last_relu", "relu")
    net.classifier(4)
    graph = net.done()
    return graph, random_weights(graph, 4)


def every_kind() -> Toy:
    """All operator kinds once or more: gated channels, both pools, an affine, a grouped conv, a flatten of 12x4x4."""
    net = Sketch(3, 16, 16)
    net.conv("stem", 12)
    stem = net.add("stem_relu", "relu6")
    net.gate(stem, 12, "gated", "sigmoid")
    net.add("scaled", "affine")
    small = net.pool("small", "max_pool", 2, 2)
    net.conv("grouped", 8, groups=4)
    net.add("grouped_relu", "relu")
    side = net.conv("side", 4, 1, of=small)
    net.add("joined", "concat", "grouped_relu", side)
    net.add("sum", "add", "joined", small)
    net.pool("smaller", "avg_pool", 2, 2)
    net.add("flat", "flatten")
    net.add("hidden", "linear", out_channels=10)
    net.add("hidden_relu", "relu")
    net.add("logits", "linear", out_channels=5)
    net.add("probabilities", "softmax")
    graph = net.done()
    return graph, random_weights(graph, 5)


def modern() -> Toy:
    """What newer networks have: other activations, gates by clip, channels cut apart, shuffled, grouped and resized."""
    net = Sketch(3, 16, 16)
    net.conv("stem", 16)
    stem = net.add("stem_act", "hard_swish")
    gated = net.gate(stem, 16, "gated", "clip", reduced=4, low=0.0, high=1.0)
    left = net.add("left", "slice", gated, start=0, stop=8)
    net.add("right", "slice", gated, start=8, stop=16)
    net.conv("right_conv", 8)
    right = net.add("right_act", "leaky_relu", slope=0.125)
    less = net.add("less", "sub", left, right)
    net.add("joined", "concat", left, less)
    net.add("shuffled", "shuffle", groups=2)
    net.conv("plain", 16, 1)
    net.add("padded", "pad", pads=(0, 0, 1, 1))
    net.pool("small", "avg_pool", 2, 2)
    net.conv("grouped", 24, groups=2)
    grouped = net.add("grouped_relu", "relu")
    net.conv("map", 1)
    net.add("map_act", "tanh")
    masked = net.add("masked", "mul", grouped, "map_act")
    net.conv("deep", 24, stride=2)
    net.add("deep_clip", "clip", low=-1.0, high=4.0)
    smooth = net.add("smooth", "resize", factor=(2, 2), mode="linear")
    net.conv("deep2", 24, 1, stride=2, of=masked)
    coarse = net.add("coarse", "resize", factor=(2, 2), mode="nearest")
    net.add("sum", "add", smooth, coarse)
    net.add("alone", "clip", low=0.0, high=2.0)
    net.classifier(4)
    graph = net.done()
    return graph, random_weights(graph, 6)


def decoder() -> Toy:
    """A U-Net in small: 2 x 8 x 8 to 12 x 4 x 4, then up to 2 x 32 x 32 by transposed convolutions of three kinds.

    The first is TFLite's SAME; its ReLU6 is joined with negative values, so it cannot be int8's own range. The second
    is cut, the third whole.
    """
    net = Sketch(2, 8, 8)
    stem = net.conv("stem", 8)
    net.conv("down", 12, stride=2)
    net.add("down_relu", "relu")
    net.up("same", 10, 3, 2, (0, 0, 1, 1))
    same = net.add("same_relu", "relu6")
    net.add("joined", "concat", stem, same)
    net.up("cut", 7, 3, 2, (1, 1, 1, 1), 1)
    net.add("cut_relu", "relu")
    net.up("whole", 2, 2, 2)
    graph = net.done()
    return graph, random_weights(graph, 7)


def toys() -> dict[str, Toy]:
    """The four networks that the edits are checked on by hand."""
    return {"chain": chain(), "residual": residual(), "depthwise": depthwise(), "concat": concat()}
