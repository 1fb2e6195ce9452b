"""MobileNetV1 x1.0 as a `Graph` (arXiv:1704.04861), for tests of speed and size on a real network."""

from __future__ import annotations

from search_spaces.graph import Graph
from tests.toys import Sketch

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def mobilenet_v1(side: int = 28, classes: int = 10) -> Graph:
    """One input channel, TensorFlow's SAME padding: of an odd total, the extra row and column go below and right."""
    net = Sketch(1, side, side)
    size = side

    def spatial(name: str, out: int, stride: int, groups: int) -> None:
        nonlocal size
        windows = -(-size // stride)
        total = max((windows - 1) * stride + 3 - size, 0)
        low, high = total // 2, total - total // 2
        net.conv(name, out, stride=stride, groups=groups, pads=(low, low, high, high))
        net.add(f"{name}_relu", "relu6")
        size = windows

    spatial("stem", 32, 2, 1)
    channels = 32
    for k, (out, stride) in enumerate(BLOCKS, start=1):
        spatial(f"dw{k}", channels, stride, channels)
        net.conv(f"pw{k}", out, 1)
        net.add(f"pw{k}_relu", "relu6")
        channels = out
    net.classifier(classes)
    return net.done()
