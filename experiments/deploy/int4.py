"""What do weights of 4 bits cost and save: file size, RAM and accuracy beside the same network, and others, in 8?

    python experiments/deploy/int4.py [--widths 0.125 0.1 0.0625] [--steps 3000] [--seeds 0 1 2]

MobileNetV1 of uniform width, refitted from the bundled original and distilled as in `qat.py`; then rounded ("ptq") and
trained on as integers for the last tenth of the steps ("qat"). Weights of 4 bits in no layer, in the 1x1 convolutions,
or in every convolution; the linear layer keeps 8. Scored by onnxruntime on the files' own integers, on the 10,000
images of both validation splits. Rows are added to `results/deploy-int4.csv` as they are done, and not done twice.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from qat import COOL, SHARE, Bench

from nas.data.feed import feed
from nas.data.views import Views
from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.export.tflite import tflite_bytes
from nas.int8.qat import Refiner
from nas.int8.quantize import Quantized, calibrate, on_grid
from nas.runtime import Session
from nas.students.candidate import Student
from nas.training.distill import Distiller, Recipe
from search_spaces.graph import Op
from targets.cost import estimate
from targets.device import load_device
from targets.lower import lower

TABLE = Path("results/deploy-int4.csv")
LAYERS: dict[str, Callable[[Op], bool]] = {
    "none": lambda op: False,
    "1x1": lambda op: op.kind == "conv" and op["kernel"] == (1, 1) and op["groups"] == 1,
    "every convolution": lambda op: op.kind == "conv",
}
"""Which layers have weights of 4 bits."""


def rows(bench: Bench, width: str, steps: int, seed: int) -> list[dict]:
    graph, weights, images, x = bench.start(width, seed)
    views = Views(images, bench.arrays["view_logits"], bench.found.data.y_train, bench.found.data.task)
    student = Student(graph, weights)
    student.add_norm(feed(images[0][:256]))
    trained, short = Distiller(student, views, Recipe(), seed=seed), round(steps * (1 - SHARE))
    trained.run(short - round(COOL * short))
    weights = trained.cooled(round(COOL * short))
    floats = bench.score(Student(graph, weights).logits(x))
    found = []
    for name, chosen in LAYERS.items():
        packed = replace(graph, ops=tuple(op.stored_in(4) if chosen(op) else op for op in graph.ops))
        program, cost = lower(packed), estimate(packed, load_device("nrf52840"))
        grid = on_grid(program, weights, calibrate(program, packed, weights, images[0][:512]))

        def score(quantized: Quantized) -> float:
            return bench.score(Session(qdq_onnx(program, quantized).SerializeToString()).logits(x))  # noqa: B023

        refined = Refiner(packed, program, grid, views, Recipe(), seed=seed).refine(steps - short)
        row = {"width": width, "seed": seed, "steps": steps, "4 bits": name, "float": floats}
        row |= {"ptq": score(grid.quantized), "qat": score(refined)}
        found.append(row | {"size_bytes": len(tflite_bytes(program, refined)), "ram_bytes": cost.ram_bytes})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", nargs="+", default=["0.125", "0.1", "0.0625"])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = pd.read_csv(TABLE, dtype={"width": str}).to_dict("records") if TABLE.exists() else []
    done = {(row["width"], row["steps"], row["seed"]) for row in table}
    bench = Bench()
    for seed in args.seeds:
        for width in args.widths:
            if (width, args.steps, seed) not in done:
                table += rows(bench, width, args.steps, seed)
                pd.DataFrame(table).to_csv(TABLE, index=False, float_format="%.3f")
                print(pd.DataFrame(table[-3:]).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
