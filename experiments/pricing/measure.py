"""Prices distinct random genomes of a model's search space on one core and prints how many a second.

    python experiments/pricing/measure.py [MODEL.onnx] [--genomes 10000] [--target NAME] [--runtime tflm] [--csv FILE]

Processor time is what counts, so that other programs do not. Without MODEL, the quickstart's original is taken. A CSV
file gets a row for each thousand genomes; experiments/cost_model/run.py draws it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from nas import quickstart
from search_spaces.declare import load_declaration
from search_spaces.from_onnx import load_model
from search_spaces.space import derive
from targets.device import load_device
from targets.pricing import Pricer

BATCH = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=quickstart.MODEL_PATH)
    parser.add_argument("--genomes", type=int, default=10_000)
    parser.add_argument("--target", default="nrf52840")
    parser.add_argument("--runtime", default="tflm")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    space = derive(load_model(args.model)[0], load_declaration("mcu"))
    rng = np.random.default_rng(args.seed)
    genomes = list(dict.fromkeys(space.sample(rng=rng) for _ in range(args.genomes)))
    pricer = Pricer(space, load_device(args.target), args.runtime)
    costs, seconds = [], []
    for begin in range(0, len(genomes), BATCH):
        start = time.process_time()
        costs += pricer.price_all(genomes[begin : begin + BATCH])
        seconds.append(time.process_time() - start)
    sizes = np.array([cost.size_bytes for cost in costs])
    assert all(min(c.size_bytes, c.ram_bytes, c.flash_bytes, c.macs, c.params, c.latency_ms) > 0 for c in costs)
    rate = len(genomes) / sum(seconds)
    print(f"{len(genomes)} distinct genomes in {sum(seconds):.2f} s of processor time: {rate:.0f}/s")
    print(f"files from {sizes.min() / 1024:.1f} to {sizes.max() / 1024:.1f} KiB, median {np.median(sizes) / 1024:.1f}")
    if args.csv is not None:
        known = args.csv.read_text().splitlines() if args.csv.exists() else ["run,priced_before,genomes,seconds"]
        run = 1 + max([int(row.split(",")[0]) for row in known[1:]], default=0)
        counts = [min(BATCH, len(genomes) - k * BATCH) for k in range(len(seconds))]
        known += [f"{run},{k * BATCH},{counts[k]},{took:.4f}" for k, took in enumerate(seconds)]
        args.csv.write_text("\n".join(known) + "\n")


if __name__ == "__main__":
    main()
