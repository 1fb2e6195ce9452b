"""What the makers' own tools say of a few networks on their NPUs, and how far RV1106's simulator is from onnxruntime.

    NAS_RKNN_PYTHON=rknn/bin/python python -m experiments.npu.run > results/npu.csv

Rows of a tool that is not installed are left out. The first network is the quickstart's original, cut to a uniform
width: its weights are the least-squares refit of the original's. The other networks' weights are random.
"""

import argparse
import csv
import sys
from collections.abc import Iterator

import numpy as np

from experiments.npu.networks import mobilenet_v2, resnet8, students
from nas import quickstart
from nas.deploy.npu import agreement
from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import calibrate, quantize
from nas.timing import fresh_weights
from search_spaces.graph import Graph, Weights
from targets.device import load_device
from targets.lower import lower
from targets.makers import installed, maker_of

TARGETS = ("ethos_u55_128", "ethos_u65_256", "ethos_u85_256", "rv1106")
COLUMNS = (
    "network", "weights", "target", "tool", "version", "tflite_bytes", "macs", "ram_bytes", "flash_bytes", "cycles",
    "latency_ms", "operators", "on_cpu", "uncounted", "images", "same_argmax", "different_percent", "worst_lsb",
)  # fmt: skip


def networks() -> Iterator[tuple[str, str, Graph, Weights, np.ndarray]]:
    """Name, where its weights are from, the network, and the images it is calibrated and compared on."""
    pictures = quickstart.arrays()["x_train"][:256]
    for name, graph, weights in students((1.0, 0.5, 0.25), pictures):
        yield name, "refit", graph, weights, pictures
    rng = np.random.default_rng(0)
    for name, graph in (("ResNet-8", resnet8()), ("MobileNetV2 x0.35, 96 x 96", mobilenet_v2())):
        images = rng.integers(0, 256, (64, *graph.input_shape), dtype=np.uint8)
        yield name, "random", graph, fresh_weights(graph, seed=0), images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    args = parser.parse_args()
    table = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    table.writeheader()
    for name, source, graph, weights, images in networks():
        program = lower(graph)
        quantized = quantize(program, weights, calibrate(program, graph, weights, images))
        files = {"tflite": tflite_bytes(program, quantized), "onnx": qdq_onnx(program, quantized).SerializeToString()}
        for device in map(load_device, TARGETS):
            tool = maker_of(device)
            if tool is None or not installed(device):
                continue
            found = tool.compiled(files[tool.takes], device).estimate
            row = {
                "network": name, "weights": source, "target": device.name, "tool": found.tool,
                "version": found.version, "tflite_bytes": len(files["tflite"]), "macs": graph.macs,
                "ram_bytes": found.ram_bytes, "flash_bytes": found.flash_bytes, "cycles": found.cycles,
                "latency_ms": f"{found.latency_ms:.4f}", "operators": len(found.calls), "on_cpu": len(found.on_cpu),
                "uncounted": len(found.uncounted),
            }  # fmt: skip
            if tool.takes == "onnx":
                near = agreement(files["onnx"], images[: args.images], device)
                row |= {
                    "images": near.images, "same_argmax": near.same_argmax,
                    "different_percent": f"{100 * near.different:.1f}", "worst_lsb": near.worst_lsb,
                }  # fmt: skip
            table.writerow(row)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
