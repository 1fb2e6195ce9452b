"""The networks of the NPU experiment."""

from collections.abc import Iterable, Iterator

import numpy as np

from nas import quickstart
from nas.data.feed import feed
from nas.students.importance import importance
from nas.students.reference import Reference
from nas.students.refit import refit
from search_spaces.declare import load_declaration
from search_spaces.from_onnx import load_model
from search_spaces.graph import Graph, Op, Weights
from search_spaces.space import derive


def students(widths: Iterable[float], images: np.ndarray) -> Iterator[tuple[str, Graph, Weights]]:
    """The quickstart's MobileNetV1 at uniform widths, refitted to its original on uint8 images, and not trained."""
    graph, weights = load_model(quickstart.model_path())
    space = derive(graph, load_declaration("mcu"))
    reference = Reference(graph, weights, feed(images))
    order = importance(graph, weights, space.channels, reference)
    for width in widths:
        genome = space.scaled(space.original, width)
        yield f"MobileNetV1 x{width:g}", space.apply(genome), refit(space, genome, weights, reference, order)


class Layers:
    """Operators in a row; each reads the last one, or those named."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.last = "image"

    def add(self, kind: str, *inputs: str, **attrs: object) -> str:
        name = f"{kind}{len(self.ops)}"
        self.ops.append(Op.make(name, kind, *(inputs or (self.last,)), **attrs))
        self.last = name
        return name

    def conv(self, out: int, kernel: int, stride: int = 1, groups: int = 1, of: str = "", act: str = "relu") -> str:
        half = kernel // 2
        pads = (half - (stride == 2 and kernel == 3), half - (stride == 2 and kernel == 3), half, half)  # SAME
        self.add(
            "conv", of or self.last, out_channels=out, kernel=(kernel, kernel), stride=(stride, stride), pads=pads,
            groups=groups, dilation=(1, 1),
        )  # fmt: skip
        return self.add(act) if act else self.last

    def network(self, side: int, classes: int) -> Graph:
        self.add("global_avg_pool")
        self.add("flatten")
        self.add("linear", out_channels=classes)
        return Graph("image", (3, side, side), tuple(self.ops), (self.last,))


def resnet8() -> Graph:
    """MLPerf Tiny's ResNet-8 on colour images of 32 x 32."""
    net = Layers()
    before = net.conv(16, 3)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        net.conv(channels, 3, stride)
        branch = net.conv(channels, 3, act="")
        short = before if stride == 1 else net.conv(channels, 1, stride, of=before, act="")
        net.add("add", branch, short)
        before = net.add("relu")
    return net.network(32, 10)


def mobilenet_v2() -> Graph:
    """MobileNetV2 x0.35 (arXiv:1801.04381) on colour images of 96 x 96, with two classes."""
    net, channels = Layers(), 16
    source = net.conv(16, 3, 2, act="relu6")
    plan = ((1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1))
    for expansion, after, repeats, first in plan:
        for stride in (first, *[1] * (repeats - 1)):
            hidden = channels * expansion
            if expansion > 1:
                net.conv(hidden, 1, act="relu6")
            net.conv(hidden, 3, stride, groups=hidden, act="relu6")
            made = net.conv(after, 1, act="")
            source = net.add("add", source, made) if stride == 1 and channels == after else made
            channels = after
    net.conv(1280, 1, act="relu6")
    return net.network(96, 2)
