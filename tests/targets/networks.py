"""Networks and devices that several tests here share."""

from __future__ import annotations

from search_spaces.graph import Graph
from targets.device import Device
from tests.toys import Sketch

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]

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
