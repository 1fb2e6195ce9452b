"""Does the `series` preset help a student of a 1-D network? The same students with and without, on people held out.

    python -m experiments.har.augment [--kb 8 16] [--steps 1000] [--seeds 0 1 2]

Judged on both people of `val`, never on the test; writes `experiments/har/augment.csv`.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.har.run import CONFIG, train
from nas import baseline, inputs, material
from nas.artefacts import RunFolder
from nas.config import RunConfig
from nas.evaluate import Setup, builder
from nas.evaluation import Job
from nas.strategies import ladder
from nas.training.distill import Recipe
from nas.workers import Serial
from targets.pricing import Pricer

VIEWS = {"none": 1, "series": 8}


def students(preset: str, kb: int, steps: int, seeds: list[int]) -> Iterator[dict[str, object]]:
    config = RunConfig(**{key: CONFIG[key] for key in ("model", "weights", "data")}, augment=preset)
    found = inputs.read(config)
    data = found.data
    x, y = np.concatenate([data.x_search, data.x_final]), np.concatenate([data.y_search, data.y_final])
    found = replace(found, data=replace(data, x_search=x, y_search=y))
    session = found.session(threads=1)
    base = baseline.measure(session, found.data, seed=0)
    arrays = material.gather(found, session, base, views=VIEWS[preset], seed=0)
    price = Pricer(found.space, found.device, "tflm").price
    genome = ladder.at_size(found.space, lambda g: float(price(g).size_bytes), kb * 1024.0)
    folder = RunFolder(Path("results/har/augment").resolve())
    worker = Serial(
        builder(Setup(found.space, found.device, "tflm", found.limits, data.task, Recipe(), (), folder)), arrays
    )
    for seed in seeds:
        worker.submit(Job.make(genome, 1, steps, "refit", run_seed=seed))
        if (done := worker.next()) is not None:
            yield {"preset": preset, "kb": kb, "seed": seed, "drop": done.drop, "kl": done.kl}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kb", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    if not Path(CONFIG["weights"]).exists():
        train(Path(CONFIG["weights"]))
    rows = []
    for kb, preset in itertools.product(args.kb, VIEWS):
        for row in students(preset, kb, args.steps, args.seeds):
            print(row, flush=True)
            rows.append(row)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
