"""Are large layers in two parts worth more than as many bytes of width?

    python experiments/genes/run.py [--kb 36.5 60 122] [--shares 0 0.25] [--steps 2000 8000] [--seeds 0 1 2]

The quickstart's MobileNetV1 at uniform width, as wide as the size lets it be; with a share all its large linear layers
and 1x1 convolutions are two of ranks nearest to that share of the full ones, and share 0 is the plain ladder. Every
network is refitted, distilled for as many steps and scored as int8. Rows are added to `results/genes-ranks.csv` as they
are done, and not done twice.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nas import baseline, inputs, material
from nas.config import RunConfig
from nas.data.feed import feed
from nas.data.views import Views
from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.quantize import calibrate, on_grid
from nas.runtime import Session
from nas.strategies import ladder
from nas.students.candidate import Student
from nas.students.inherit import importance
from nas.students.refit import Reference, refit
from nas.training.distill import Distiller, Recipe
from search_spaces.declare import Declaration
from search_spaces.genes import Genome
from search_spaces.space import derive
from targets.cost import Cost, estimate
from targets.lower import lower

TABLE, ARRAYS = Path("results/genes-ranks.csv"), Path("results/genes/arrays.npz")
KEYS = ["kb", "share", "steps", "seed"]
COOL = 0.3  # of the steps, at a falling rate


class Bench:
    """The original, its data, and its answers to two views of the training images."""

    def __init__(self) -> None:
        self.found = inputs.read(RunConfig())
        self.space = derive(self.found.graph, Declaration(rank=True))
        session, data = self.found.session(threads=1), self.found.data
        self.base = baseline.measure(session, data, seed=0)
        if not ARRAYS.exists():
            ARRAYS.parent.mkdir(parents=True, exist_ok=True)
            np.savez(ARRAYS, **material.gather(self.found, session, self.base, views=2, seed=0))
        self.arrays = dict(np.load(ARRAYS))
        self.reference = Reference(self.space.graph, self.found.weights, feed(self.arrays["view_images"][0][:256]))
        self.order = importance(self.space.graph, self.found.weights, self.space.channels, self.reference)

    def cost(self, genome: Genome) -> Cost:
        return estimate(self.space.apply(genome), self.found.device)

    def network(self, kb: float, share: float) -> Genome:
        """The widest uniform network of at most `kb`, its large layers in two parts if there is a share."""
        if not share:
            return ladder.at_size(self.space, lambda genome: self.cost(genome).size_bytes, kb * 1024)
        widths = [self.space.factored(self.space.uniform(k / 500), share) for k in range(10, 250)]
        found = {genome: self.cost(genome).size_bytes for genome in widths}
        return max((genome for genome in found if found[genome] <= kb * 1024), key=found.__getitem__)

    def row(self, kb: float, share: float, steps: int, seed: int) -> dict:
        found, images, genome = self.found, self.arrays["view_images"], self.network(kb, share)
        graph, program, cost = self.space.apply(genome), lower(self.space.apply(genome)), self.cost(genome)
        student = Student(graph, refit(self.space, genome, found.weights, self.reference, self.order))
        student.add_norm(self.reference.images)
        views = Views(images, self.arrays["view_logits"], found.data.y_train, found.data.task)
        trained, began = Distiller(student, views, Recipe(), seed=seed), time.process_time()
        trained.run(steps - round(COOL * steps))
        weights = trained.finish(round(COOL * steps))
        seconds = time.process_time() - began
        grid = on_grid(program, weights, calibrate(program, graph, weights, images[0][:512]))
        session = Session(qdq_onnx(program, grid.quantized).SerializeToString())
        splits = {name: found.data.splits[name] for name in ("search_val", "final_val")}
        drops = {name: self.base.accuracy[name] - score(session, *split) for name, split in splits.items()}
        return {
            "kb": kb, "share": share, "steps": steps, "seed": seed,
            "size_bytes": cost.size_bytes, "ram_bytes": cost.ram_bytes, "latency_ms": cost.latency_ms,
            "macs": graph.macs, "layers": len(program.calls), "cpu_ms_per_step": 1000 * seconds / steps,
            "final_val_drop": drops["final_val"], "drop": sum(drops.values()) / 2,
        }  # fmt: skip


def score(session: Session, x: np.ndarray, y: np.ndarray) -> float:
    return 100 * float((session.logits(x).argmax(1) == y).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kb", type=float, nargs="+", default=[36.5, 60, 122])
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.25])
    parser.add_argument("--steps", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    done = set(pd.read_csv(TABLE)[KEYS].itertuples(index=False, name=None)) if TABLE.exists() else set()
    bench = Bench()
    for seed, steps, kb, share in itertools.product(args.seeds, args.steps, args.kb, args.shares):
        if (kb, share, steps, seed) not in done:
            row = pd.DataFrame([bench.row(kb, share, steps, seed)])
            row.to_csv(TABLE, mode="a", header=not TABLE.exists(), index=False, float_format="%.3f")
            print(row.to_string(), flush=True)
    told = ["size_bytes", "ram_bytes", "latency_ms", "cpu_ms_per_step", "final_val_drop", "drop"]
    print(pd.read_csv(TABLE).groupby(["steps", "kb", "share"])[told].mean().round(2).to_string())


if __name__ == "__main__":
    main()
