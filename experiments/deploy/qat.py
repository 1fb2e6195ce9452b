"""What does rounding lose, and what does quantization-aware training win back of it?

    python experiments/deploy/qat.py [--networks 0.125 0.0625 0.03125 resnet8] [--steps 3000] [--seeds 0 1 2]

MobileNetV1 of uniform width, refitted from the bundled original, and a ResNet-8 with random weights on pictures padded
to 32x32, distilled from it. Two arms of equal steps: all of them distillation, then rounded ("plain"); nine tenths of
them, then rounded ("ptq"), then the last tenth as integers ("qat"). Weights of 8 bits and, as a rehearsal, of 4;
activations of 8. Scored by onnxruntime on the 10,000 images of both validation splits, which neither the original nor
a student was trained on. Rows are added to `results/deploy-qat.csv` as they are done, and not done twice.
"""

import argparse
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
from nas.int8.qat import Refiner
from nas.int8.quantize import calibrate, on_grid
from nas.runtime import Session
from nas.students.candidate import Student
from nas.students.inherit import importance
from nas.students.refit import Reference, refit
from nas.timing import fresh_weights
from nas.training.distill import Distiller, Recipe
from search_spaces.graph import Graph, Op
from targets.lower import lower

TABLE = Path("results/deploy-qat.csv")
COOL, SHARE = 0.3, 0.1  # of the steps: at a falling rate; as int8


def resnet8(side: int = 32, width: int = 16, classes: int = 10) -> Graph:
    """MLPerf Tiny's ResNet-8 for one color."""
    ops: list[Op] = []

    def add(name: str, kind: str, *inputs: str, **attrs: object) -> str:
        ops.append(Op.make(name, kind, *inputs, **attrs))
        return name

    def conv(name: str, source: str, out: int, kernel: int, stride: int) -> str:
        low, total = (kernel - 1) // stride // 2, max(kernel - stride, 0)
        pads = (low, low, total - low, total - low)
        sides = {"kernel": (kernel, kernel), "stride": (stride, stride), "dilation": (1, 1)}
        return add(name, "conv", source, out_channels=out, pads=pads, groups=1, **sides)

    last = add("stem_relu", "relu", conv("stem", "image", width, 3, 1))
    for k, (out, stride) in enumerate([(width, 1), (2 * width, 2), (4 * width, 2)]):
        first = add(f"relu{k}", "relu", conv(f"first{k}", last, out, 3, stride))
        past = conv(f"past{k}", last, out, 1, stride) if stride > 1 else last
        last = add(f"out{k}", "relu", add(f"sum{k}", "add", conv(f"second{k}", first, out, 3, 1), past))
    add("logits", "linear", add("flat", "flatten", add("mean", "global_avg_pool", last)), out_channels=classes)
    return Graph("image", (1, side, side), tuple(ops), ("logits",))


class Bench:
    """The bundled original's data, and its answers to two views of the training images."""

    def __init__(self) -> None:
        self.found = inputs.read(RunConfig())
        session = Session(self.found.model_path, threads=1, integer=False)
        base = baseline.measure(session, self.found.data, seed=0)
        self.arrays = material.gather(self.found, session, base, views=2, seed=0)
        data = self.found.data
        self.x, self.y = np.concatenate([data.x_search, data.x_final]), np.concatenate([data.y_search, data.y_final])

    def rows(self, network: str, steps: int, seed: int) -> list[dict]:
        graph, weights, images, x = self.start(network, seed)
        views = Views(images, self.arrays["view_logits"], self.found.data.y_train, self.found.data.task)
        student = Student(graph, weights)
        student.add_norm(feed(images[0][:256]))
        trained = Distiller(student, views, Recipe(), seed=seed)
        program, short = lower(graph), round(steps * (1 - SHARE))
        trained.run(short - round(COOL * short))
        weights = trained.cooled(round(COOL * short))
        from_here = trained.step
        start = time.perf_counter()
        trained.run(steps - round(COOL * steps) - trained.step)
        plain = trained.finish(round(COOL * steps))
        step_ms = 1000 * (time.perf_counter() - start) / (steps - from_here)

        def float32(weights) -> float:
            return self.score(Student(graph, weights).logits(x))

        def rounded(quantized) -> float:
            return self.score(Session(qdq_onnx(program, quantized).SerializeToString()).logits(x))

        def grid(weights, bits: int):
            ranges = calibrate(program, graph, weights, images[0][:512])
            return on_grid(program, weights, ranges, limit=2 ** (bits - 1) - 1)

        found = []
        for bits in (8, 4):
            ptq = grid(weights, bits)
            refiner = Refiner(graph, program, ptq, views, Recipe(), seed=seed)
            refiner.refine(0)  # what is made before the first step is not what a step takes
            start = time.perf_counter()
            qat = refiner.refine(steps - short)
            seconds = time.perf_counter() - start
            row = {"network": network, "seed": seed, "steps": steps, "bits": bits, "float": float32(weights)}
            row |= {"ptq": rounded(ptq.quantized), "qat": rounded(qat), "plain_float": float32(plain)}
            row |= {"plain": rounded(grid(plain, bits).quantized), "step_ms": step_ms}
            found.append(row | {"qat_step_ms": 1000 * seconds / (steps - short)})
        return found

    def start(self, network: str, seed: int):
        """A network and its first weights, the training views and the validation images."""
        space, images = self.found.space, self.arrays["view_images"]
        if network == "resnet8":
            graph = resnet8()
            sides = [(2, 2), (2, 2)]
            images, x = (np.pad(part, [(0, 0)] * (part.ndim - 2) + sides) for part in (images, self.x))
            return graph, fresh_weights(graph, seed=seed), images, x
        genome = space.uniform(float(network))
        reference = Reference(space.graph, self.found.weights, feed(images[0][:256]))
        order = importance(space.graph, self.found.weights, space.channels, reference)
        return space.apply(genome), refit(space, genome, self.found.weights, reference, order), images, self.x

    def score(self, logits: np.ndarray) -> float:
        return 100 * float((logits.argmax(1) == self.y).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["0.125", "0.0625", "0.03125", "resnet8"])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = pd.read_csv(TABLE, dtype={"network": str}).to_dict("records") if TABLE.exists() else []
    done = {(row["network"], row["steps"], row["seed"]) for row in rows}
    bench = Bench()
    for seed in args.seeds:
        for network in args.networks:
            if (network, args.steps, seed) not in done:
                rows += bench.rows(network, args.steps, seed)
                pd.DataFrame(rows).to_csv(TABLE, index=False, float_format="%.3f")
                print(pd.DataFrame(rows[-2:]).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
