"""Networks and devices that several tests here share."""

from __future__ import annotations

from search_spaces.graph import Graph
from targets.device import Device
from tests.toys import Sketch

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]

INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, repeats and first stride of MobileNetV2's blocks."""

ROUND = Device(
    name="round",
    title="A device with round numbers",
    core="Cortex-M4F",
    kernels="cortex_m4",
    clock_hz=1_000_000,
    flash_bytes=100_000,
    ram_bytes=10_000,
    cycles_scale=2.0,
    cycles_per_weight_load=3.0,
    latency_band_percent=10,
    active_power_mw=5.0,
    energy_band_percent=10,
)


def mobilenet_v1(width: float = 1.0, side: int = 28, channels: int = 1, classes: int = 10) -> Graph:
    """MobileNetV1 (arXiv:1704.04861) with TensorFlow's SAME padding and a global average pool."""
    net, size = Sketch(channels, side, side), side

    def spatial(name: str, out: int, stride: int, groups: int) -> None:
        nonlocal size
        positions = -(-size // stride)
        total = max((positions - 1) * stride + 3 - size, 0)
        low, size = total // 2, positions
        net.conv(name, out, 3, stride, groups=groups, pads=(low, low, total - low, total - low))
        net.add(f"{name}_relu", "relu6")

    wide = int(32 * width)
    spatial("stem", wide, 2, 1)
    for k, (out, stride) in enumerate(BLOCKS, start=1):
        spatial(f"dw{k}", wide, stride, wide)
        wide = int(out * width)
        net.conv(f"pw{k}", wide, 1)
        net.add(f"pw{k}_relu", "relu6")
    net.classifier(classes)
    return net.done()


def mobilenet_v2(width: float, side: int, classes: int = 1000) -> Graph:
    """MobileNetV2 (arXiv:1801.04381) on colour images; channels are rounded to multiples of 8 as its authors do."""

    def rounded(channels: float) -> int:
        near = max(8, int(channels + 4) // 8 * 8)
        return near + 8 if near < 0.9 * channels else near

    net, before, block = Sketch(3, side, side), rounded(32 * width), 0
    net.conv("stem", before, stride=2)
    net.add("stem_relu", "relu6")
    for expansion, channels, repeats, first in INVERTED:
        for stride in (first, *[1] * (repeats - 1)):
            source, hidden, after = net.last, before * expansion, rounded(channels * width)
            if expansion > 1:
                net.conv(f"expand{block}", hidden, 1)
                net.add(f"expand{block}_relu", "relu6")
            net.conv(f"dw{block}", hidden, stride=stride, groups=hidden)
            net.add(f"dw{block}_relu", "relu6")
            made = net.conv(f"project{block}", after, 1)
            if stride == 1 and before == after:
                net.add(f"join{block}", "add", source, made)
            before, block = after, block + 1
    net.conv("head", 1280, 1)
    net.add("head_relu", "relu6")
    net.classifier(classes)
    return net.done()
