"""Links networks as C for emulated cores and puts flash, RAM and cycles beside the bill: results/deploy-firmware.csv.

    python experiments/deploy/firmware.py [--cores m4,m0,m3,m7,m33,m55] [--images 20]

Needs arm-none-eabi-gcc and qemu-system-arm, else the extra `emulate`. Weights are random: no cost depends on them.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import originals
from torch import Tensor, nn

from nas import quickstart
from nas.deploy.model import prove
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import calibrate, quantize
from nas.pytorch import modules
from search_spaces.declare import load_declaration
from search_spaces.from_onnx import load_model
from search_spaces.graph import Graph, Weights
from search_spaces.space import derive
from targets.lower import lower

RESULT = Path(__file__).parents[2] / "results" / "deploy-firmware.csv"
QUANTITIES = ("flash_bytes", "ram_bytes", "instructions", "cycles")


class Bottleneck(nn.Module):
    """MobileNetV2's block: six times as wide, depthwise, narrow, and a shortcut where the shape stays."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        wide = 6 * into
        parts = originals.block(into, wide, 1), originals.block(wide, wide, 3, stride, wide)
        self.main = nn.Sequential(*parts, originals.block(wide, out, 1, act=nn.Identity))
        self.adds = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x) if self.adds else self.main(x)


def peers() -> dict[str, nn.Module]:
    """Those of `originals.py`, a DS-CNN and a MobileNetV2."""
    stem = originals.block(1, 64, 5, 2)
    pairs = [(originals.block(64, 64, groups=64), originals.block(64, 64, 1)) for _ in range(4)]
    blocks = [Bottleneck(8, 8, 1), Bottleneck(8, 16, 2), Bottleneck(16, 16, 1), Bottleneck(16, 24, 2)]
    return originals.networks() | {
        "ds_cnn": nn.Sequential(stem, *sum(pairs, ()), originals.head(64)),
        "mobilenet_v2": nn.Sequential(originals.block(1, 8, 3, 2), *blocks, originals.head(24)),
    }


def graphs(folder: Path) -> Iterator[tuple[str, Graph]]:
    """The quickstart's original at three widths, and the peers as they are."""
    space = derive(load_model(quickstart.model_path())[0], load_declaration("width-only"))
    for width in (0.25, 0.19, 0.125):
        yield f"mobilenet_v1 x{width}", space.apply(space.uniform(width))
    for name, net in peers().items():
        file = folder / f"{name}.onnx"
        modules.export(net.eval(), (28, 28) if name == "series" else (1, 28, 28), file)
        yield name, load_model(file)[0]


def tflite_of(graph: Graph, weights: Weights | None = None) -> bytes:
    """An int8 file calibrated on noise, without `weights` of random ones."""
    rng = np.random.default_rng(0)
    shapes = graph.weight_shapes.items()
    drawn = {k: rng.standard_normal(s).astype(np.float32) / np.sqrt(np.prod(s[1:]) / 2) for k, s in shapes}
    weights = weights or drawn
    program, images = lower(graph), rng.random((32, *graph.input_shape), np.float32)
    return tflite_bytes(program, quantize(program, weights, calibrate(program, graph, weights, images)))


def rows(cores: list[str], count: int) -> Iterator[dict[str, object]]:
    with tempfile.TemporaryDirectory() as temporary:
        for name, graph in graphs(Path(temporary)):
            file = Path(temporary) / "network.tflite"
            file.write_bytes(tflite_of(graph))
            for core in cores:
                found = prove(file, core=core, count=count)
                row: dict[str, object] = {"network": name, "core": core, "images": found.images, "same": found.same}
                for what in QUANTITIES:
                    measured, billed = getattr(found, what), getattr(found.bill, what)
                    error = round(100 * (billed / measured - 1), 2) if measured and billed else ""
                    row |= {what: measured, f"{what}_billed": billed, f"{what}_error_percent": error}
                yield row | {"stack_bytes": found.stack_bytes}
                print(f"\n{name}\n{found.text()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", default="m4,m0,m3,m7,m33,m55")
    parser.add_argument("--images", type=int, default=20)
    args = parser.parse_args()
    found = list(rows(args.cores.split(","), args.images))
    with RESULT.open("w", newline="") as file:
        writer = csv.DictWriter(file, found[0].keys())
        writer.writeheader()
        writer.writerows(found)


if __name__ == "__main__":
    main()
