"""Does a student lose accuracy by padding as TFLite does, where its original pads as PyTorch does?

    python experiments/padding/run.py [--networks mobilenet_v1] [--widths 0.125] [--steps 2000] [--seeds 0 1 2]

Both arms inherit from the same original, are refitted and distilled for as many steps, and are scored as int8 on the
10,000 images of both validation splits. Rows are added to `results/padding.csv` as they are done, and not done twice.
"""

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import torch

from nas import baseline, inputs, material, quickstart
from nas.config import RunConfig
from nas.data.feed import feed
from nas.data.views import Views
from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.quantize import calibrate, on_grid
from nas.runtime import Session
from nas.students.candidate import Student
from nas.students.inherit import importance
from nas.students.refit import Reference, refit
from nas.training.distill import Distiller, Recipe
from search_spaces.declare import Declaration
from search_spaces.from_onnx import load_model
from search_spaces.graph import Graph
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from targets.lower import lower

sys.path.insert(0, str(Path(__file__).parents[1] / "deploy"))
import candidates

TABLE, FOLDER = Path("results/padding.csv"), Path("results/padding")
COOL = 0.3  # of the steps, at a falling rate


def turned() -> tuple[Path, dict[str, np.ndarray]]:
    """The bundled original turned by 180 degrees, kernels and pictures alike: it answers as before, pads as PyTorch."""
    graph, weights = load_model(quickstart.model_path())
    both = {op.name: op.replace(pads=(1, 1, 1, 1)) for op in graph.ops if op.kind == "conv" and any(op["pads"])}
    ops = tuple(both.get(op.name, op) for op in graph.ops)
    kernels, arrays = (
        {key: np.ascontiguousarray(a[..., ::-1, ::-1]) if a.ndim == 4 else a for key, a in found.items()}
        for found in (weights, quickstart.arrays())
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(Graph(graph.input, graph.input_shape, ops, graph.outputs), kernels), FOLDER / "turned.onnx")
    return FOLDER / "turned.onnx", arrays


class Bench:
    """An original with PyTorch's padding, its data, and its answers to two views of the training images."""

    def __init__(self, network: str) -> None:
        if network == "mobilenet_v1":
            path, data = turned()
        else:
            path, data = candidates.original(network, FOLDER), candidates.originals.arrays(network)
        config = RunConfig(model=str(path), data="arrays", max_size="", max_drop="", out=str(FOLDER / "run"))
        self.network, self.found = network, inputs.read(config, data=data)
        session, data = self.found.session(threads=1), self.found.data
        self.arrays = material.gather(self.found, session, baseline.measure(session, data, seed=0), views=2, seed=0)
        self.x, self.y = np.concatenate([data.x_search, data.x_final]), np.concatenate([data.y_search, data.y_final])

    def row(self, width: float, same: bool, steps: int, seed: int) -> dict:
        found, images = self.found, self.arrays["view_images"]
        space = derive(found.graph, Declaration(depth=False, kernel=False, same_padding=same))
        genome = space.uniform(width)
        graph, program = space.apply(genome), lower(space.apply(genome))
        reference = Reference(space.graph, found.weights, feed(images[0][:256]))
        order = importance(space.graph, found.weights, space.channels, reference)
        weights = refit(space, genome, found.weights, reference, order)
        student = Student(graph, weights)
        refitted = self.score(student.logits(self.x))
        student.add_norm(feed(images[0][:256]))
        views = Views(images, self.arrays["view_logits"], found.data.y_train, found.data.task)
        trained = Distiller(student, views, Recipe(), seed=seed)
        trained.run(steps - round(COOL * steps))
        weights = trained.finish(round(COOL * steps))
        grid = on_grid(program, weights, calibrate(program, graph, weights, images[0][:512]))
        score = self.score(Session(qdq_onnx(program, grid.quantized).SerializeToString()).logits(self.x))
        row = {"network": self.network, "width": width, "same_padding": same, "steps": steps, "seed": seed}
        return row | {"refitted": refitted, "int8": score}

    def score(self, logits: np.ndarray) -> float:
        return 100 * float((logits.argmax(1) == self.y).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["mobilenet_v1"])
    parser.add_argument("--widths", type=float, nargs="+", default=[0.125])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    done = {(row["network"], row["width"], row["same_padding"], row["steps"], row["seed"]) for row in rows}
    for network in args.networks:
        wanted = itertools.product([network], args.widths, [False, True], [args.steps], args.seeds)
        missing = [key[1:] for key in wanted if key not in done]
        bench = Bench(network) if missing else None
        for key in missing:
            rows.append(bench.row(*key))
            pd.DataFrame(rows).to_csv(TABLE, index=False, float_format="%.3f")
            print(rows[-1], flush=True)
    grouped = pd.DataFrame(rows).groupby(["network", "width", "steps", "same_padding"])
    print(grouped[["refitted", "int8"]].agg(["mean", "min", "max"]).to_string())


if __name__ == "__main__":
    main()
