"""Which channels should a narrower network keep? Accuracy and KL on search_val by criterion, after few steps and many.

    python experiments/importance/run.py [CRITERION ...] [--widths 0.125 0.19] [--seeds 0 1 2] [--arrays FILE]

A criterion is one of `nas.students.importance` (explained, readers) or of `criteria.py` (l1, bn_gamma, taylor,
taylor_logits). Networks are uniform copies of MobileNetV1 in float, refitted on 256 training images and distilled as
the search does; a seed decides those images and the order of the training's. After training a cooled copy is scored.
"""

import argparse
from pathlib import Path

import criteria
import numpy as np
import pandas as pd

from nas import baseline, inputs, material
from nas.config import RunConfig
from nas.data.feed import feed
from nas.data.views import Views
from nas.judge import Judge
from nas.plan import COOLDOWN
from nas.runtime import Session
from nas.students.candidate import Student
from nas.students.importance import by_readers, importance
from nas.students.refit import Reference, refit
from nas.training.distill import Distiller, Recipe

HERE = Path(__file__).parent
IMAGES = 256


def order(name: str, space, weights, reference, x, targets) -> dict[int, np.ndarray]:
    if name == "explained":
        return importance(space.graph, weights, space.channels, reference)
    if name == "readers":
        return by_readers(space.graph, weights, space.channels)
    return getattr(criteria, name)(space, weights, x, targets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("criteria", nargs="*", default=["explained", "readers", "l1", "bn_gamma", "taylor"])
    parser.add_argument("--widths", type=float, nargs="+", default=[0.125, 0.19])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--lengths", type=int, nargs="+", default=[500, 2000], help="steps, without the cool-down")
    parser.add_argument("--arrays", type=Path, help="keeps the original's answers to the views between calls")
    args = parser.parse_args()
    found = inputs.read(RunConfig())
    if args.arrays and args.arrays.exists():
        arrays = dict(np.load(args.arrays))
    else:
        session = Session(found.model_path, threads=2, integer=False)
        arrays = material.gather(found, session, baseline.measure(session, found.data, seed=0), views=2, seed=0)
        if args.arrays:
            np.savez(args.arrays, **arrays)
    task, space, weights = found.data.task, found.space, found.weights
    views = Views(arrays["view_images"], arrays["view_logits"], arrays["y_train"], task)
    judge = Judge(task, arrays["x_search"], arrays["y_search"], arrays["search_logits"])
    table = HERE / "runs.csv"
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    for seed in args.seeds:
        chosen = np.random.default_rng(seed).permutation(views.size)[:IMAGES]
        x = feed(arrays["view_images"][0][chosen])
        reference = Reference(space.graph, weights, x)
        for name in args.criteria:
            kept = order(name, space, weights, reference, x, arrays["y_train"][chosen])
            for width in args.widths:
                genome = space.uniform(width)
                graph = space.apply(genome)

                def record(made, steps, width=width, name=name, seed=seed, graph=graph) -> None:
                    logits = Student(graph, made).logits(judge.images(graph.input_shape))
                    kl = task.distance(arrays["search_logits"], logits)
                    row = {"width": width, "criterion": name, "seed": seed, "steps": steps}
                    rows.append(row | {"accuracy": judge.score(logits), "kl": kl})
                    print(rows[-1], flush=True)

                start = refit(space, genome, weights, reference, kept)
                record(start, 0)
                student = Student(graph, start)
                student.add_norm(x)
                distiller = Distiller(student, views, Recipe(), seed=seed)
                for before, length in zip((0, *args.lengths), args.lengths, strict=False):
                    distiller.run(length - before)
                    record(distiller.cooled(round(COOLDOWN * length)), length)
                pd.DataFrame(rows).to_csv(table, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
