"""Builds and runs random genomes of the quickstart's space, and writes some: is every network real, every size exact?

python experiments/pricing/build.py [--genomes 5000] [--files 200]
"""

import argparse

import numpy as np
import torch

from nas import quickstart
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import calibrate, quantize
from nas.students.candidate import Student
from nas.timing import fresh_weights
from search_spaces.declare import load_declaration
from search_spaces.from_onnx import load_model
from search_spaces.space import derive
from targets.device import load_device
from targets.lower import lower
from targets.pricing import Pricer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genomes", type=int, default=5000)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    space = derive(load_model(quickstart.MODEL_PATH)[0], load_declaration("mcu"))
    pricer = Pricer(space, load_device("nrf52840"), "tflm")
    rng = np.random.default_rng(args.seed)
    images = rng.integers(0, 256, (16, 1, 28, 28), dtype=np.uint8)
    ran = equal = 0
    for k in range(args.genomes):
        genome = space.sample(rng=rng)
        graph, cost = space.apply(genome), pricer.price(genome)
        weights = fresh_weights(graph, seed=k)
        with torch.inference_mode():
            logits = Student(graph, weights).eval()(torch.from_numpy(images[:2] / np.float32(255)))
        ran += bool(torch.isfinite(logits).all()) and min(cost.size_bytes, cost.ram_bytes, cost.latency_ms) > 0
        if k < args.files:
            program = lower(graph, "tflm")
            file = tflite_bytes(program, quantize(program, weights, calibrate(program, graph, weights, images)))
            equal += len(file) == cost.size_bytes
    print(f"{ran} of {args.genomes} random networks build, run to finite answers and cost more than nothing")
    print(f"{equal} of {args.files} written files have the predicted size to the byte")


if __name__ == "__main__":
    main()
