"""Networks of published board results, rebuilt from their papers as graphs with the same MACs and parameters."""

from __future__ import annotations

from math import prod

from search_spaces.graph import Graph, Op

Pair = tuple[int, int]

V1 = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
FD = [(64, 2), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 4, (1024, 1)]
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class Net:
    """Operators in a row, with TensorFlow's SAME padding; each method returns the name of what it makes."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.ops, self.sizes = shape, [], {"image": shape[1:]}
        self.last = "image"

    def add(self, kind: str, *inputs: str, **attrs: object) -> str:
        source = inputs or (self.last,)
        self.last = f"{kind}{len(self.ops)}"
        self.ops.append(Op.make(self.last, kind, *source, **attrs))
        self.sizes[self.last] = self.sizes[source[0]]
        return self.last

    def window(self, kind: str, kernel: Pair, stride: Pair, of: str | None, valid: bool, **attrs: object) -> str:
        source = of or self.last
        size = self.sizes[source]
        if valid:
            out, pads = [(s - k) // t + 1 for s, k, t in zip(size, kernel, stride, strict=True)], (0, 0, 0, 0)
        else:
            out = [-(-s // t) for s, t in zip(size, stride, strict=True)]
            spare = [max((o - 1) * t + k - s, 0) for o, t, k, s in zip(out, stride, kernel, size, strict=True)]
            low = [s // 2 for s in spare]
            pads = (low[0], low[1], spare[0] - low[0], spare[1] - low[1])
        made = self.add(kind, source, kernel=kernel, stride=stride, pads=pads, **attrs)
        self.sizes[made] = tuple(out)
        return made

    def conv(
        self, out: int, kernel: int | Pair = 3, stride: int | Pair = 1, *, groups: int = 1, of: str | None = None,
        relu: str = "relu", valid: bool = False,
    ) -> str:  # fmt: skip
        kernel, stride = (s if isinstance(s, tuple) else (s, s) for s in (kernel, stride))
        made = self.window(
            "conv", kernel, stride, of, valid, out_channels=out, groups=groups, dilation=(1, 1)
        )  # fmt: skip
        return self.add(relu) if relu else made

    def separable(self, channels: int, out: int, stride: int) -> None:
        self.conv(channels, stride=stride, groups=channels, relu="relu6")
        self.conv(out, 1, relu="relu6")

    def classifier(self, classes: int) -> Graph:
        self.add("global_avg_pool")
        self.add("flatten")
        self.add("linear", out_channels=classes)
        self.add("softmax")
        return Graph("image", self.shape, tuple(self.ops), (self.last,))


def separable(blocks: list[Pair], width: float, channels: int, side: int, classes: int) -> Graph:
    """MobileNetV1 (arXiv:1704.04861), and FD-MobileNet (arXiv:1802.03750) by its blocks."""
    net, wide = Net(channels, side, side), int(32 * width)
    net.conv(wide, stride=2, relu="relu6")
    for out, stride in blocks:
        net.separable(wide, int(out * width), stride)
        wide = int(out * width)
    return net.classifier(classes)


def inverted(width: float, side: int, classes: int) -> Graph:
    """MobileNetV2 (arXiv:1801.04381) on colour images; channels are rounded to multiples of 8 as its authors do."""

    def rounded(channels: float) -> int:
        near = max(8, int(channels + 4) // 8 * 8)
        return near + 8 if near < 0.9 * channels else near

    net, before = Net(3, side, side), rounded(32 * width)
    net.conv(before, stride=2, relu="relu6")
    for expansion, channels, repeats, first in V2:
        for stride in (first, *[1] * (repeats - 1)):
            source, hidden, after = net.last, before * expansion, rounded(channels * width)
            if expansion > 1:
                net.conv(hidden, 1, relu="relu6")
            net.conv(hidden, stride=stride, groups=hidden, relu="relu6")
            made = net.conv(after, 1, relu="")
            if stride == 1 and before == after:
                net.add("add", source, made)
            before = after
    net.conv(rounded(1280 * max(width, 1)), 1, relu="relu6")
    return net.classifier(classes)


def residual(blocks: int, classes: int) -> Graph:
    """ResNet on 32 x 32 images (arXiv:1512.03385) with `blocks` in each of 3 stages; 1 is MLPerf Tiny's ResNet-8."""
    net = Net(3, 32, 32)
    source = net.conv(16)
    for stage, channels in enumerate((16, 32, 64)):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            net.conv(channels, stride=stride, of=source)
            branch = net.conv(channels, relu="")
            if stride > 1:
                source = net.conv(channels, 1, stride, of=source, relu="")
            net.add("add", branch, source)
            source = net.add("relu")
    return net.classifier(classes)


def squeezenet(side: int, classes: int) -> Graph:
    """SqueezeNet 1.1 (arXiv:1602.07360)."""
    net = Net(3, side, side)
    net.conv(64, stride=2, valid=True)
    for squeeze, expand, pool in (
        (16, 64, 1), (16, 64, 0), (32, 128, 1), (32, 128, 0), (48, 192, 1), (48, 192, 0), (64, 256, 0), (64, 256, 0),
    ):  # fmt: skip
        if pool:
            net.window("max_pool", (3, 3), (2, 2), None, True)
        thin = net.conv(squeeze, 1)
        net.add("concat", net.conv(expand, 1, of=thin), net.conv(expand, 3, of=thin))
    net.conv(classes, 1)
    net.add("global_avg_pool")
    net.add("flatten")
    net.add("softmax")
    return Graph("image", net.shape, tuple(net.ops), (net.last,))


def keywords() -> Graph:
    """MLPerf Tiny's DS-CNN on 49 x 10 spectra."""
    net = Net(1, 49, 10)
    net.conv(64, (10, 4), 2)
    for _ in range(4):
        net.conv(64, groups=64)
        net.conv(64, 1)
    return net.classifier(12)


def autoencoder() -> Graph:
    """MLPerf Tiny's anomaly detector."""
    net = Net(640)
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        net.add("linear", out_channels=width)
        net.add("relu")
    net.add("linear", out_channels=640)
    return Graph("image", net.shape, tuple(net.ops), (net.last,))


def network(name: str) -> Graph:
    """By its name in the table: `mobilenet_v1 0.25 3x96x96 5`."""
    kind, *rest = name.split()
    if kind in ("keywords", "autoencoder"):
        return keywords() if kind == "keywords" else autoencoder()
    *given, classes = rest
    if kind == "resnet":
        return residual(int(given[0]), int(classes))
    shape = [int(side) for side in given[-1].split("x")]
    if kind == "squeezenet":
        return squeezenet(shape[1], int(classes))
    if kind == "mobilenet_v2":
        return inverted(float(given[0]), shape[1], int(classes))
    blocks = {"mobilenet_v1": V1, "fd_mobilenet": FD}[kind]
    return separable(blocks, float(given[0]), shape[0], shape[1], int(classes))


def macs_by_kind(graph: Graph) -> dict[str, int]:
    """Multiply-accumulates of convolutions above 1x1, 1x1 ones, depthwise ones and linear layers."""
    found = dict.fromkeys(("conv", "conv_1x1", "dw", "fc"), 0)
    for op in graph.ops:
        if op.kind == "linear":
            found["fc"] += prod(graph.weight_shapes[f"{op.name}.weight"])
        elif op.kind == "conv":
            shape = graph.shapes[op.name]
            kind = "dw" if op["groups"] > 1 else "conv_1x1" if op["kernel"] == (1, 1) else "conv"
            found[kind] += prod(graph.weight_shapes[f"{op.name}.weight"]) * shape[1] * shape[2]
    return found
