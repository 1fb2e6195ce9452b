"""May an untrained look rank candidates? Rank correlations with the int8 drop after 400 steps of distillation.

    python experiments/ranking/run.py [--per-bin 3] [--workers 2]

Twelve MobileNetV1 networks, three in each of four size bins, each refitted, then trained through 25, 100 and 400 steps.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from nas import baseline, inputs, material
from nas.artefacts import RunFolder
from nas.config import RunConfig
from nas.evaluate import Setup, builder
from nas.evaluation import Job
from nas.ray_pool import RayPool
from nas.runtime import Session
from nas.training.distill import Recipe
from targets.pricing import Pricer

BINS = [(180, 256), (115, 160), (70, 100), (40, 60)]  # KB
HERE = Path(__file__).parent


def sample(space, price, low, high, rng):
    """A random network whose file has between `low` and `high` KB."""
    while True:
        genome = space.sample(rng=rng)
        if low * 1024 <= price(genome).size_bytes <= high * 1024:
            return genome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-bin", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("results/ranking"))
    args = parser.parse_args()
    found = inputs.read(RunConfig())
    session = Session(found.model_path, threads=2, integer=False)
    arrays = material.gather(found, session, baseline.measure(session, found.data, seed=0), views=1, seed=0)
    price = Pricer(found.space, found.device, "tflm").price
    folder = RunFolder(args.folder.resolve())
    setup = Setup(found.space, found.device, "tflm", found.limits, found.data.task, Recipe(), (25, 100, 400), folder)
    pool = RayPool(builder(setup), arrays, count=args.workers)
    rng = np.random.default_rng(0)
    chosen = [(k, sample(found.space, price, *BINS[k], rng)) for k in range(len(BINS)) for _ in range(args.per_bin)]
    rows = {g: {"bin": k, "size_kb": price(g).size_bytes / 1024, "params": price(g).params} for k, g in chosen}
    queue = [Job.make(g, rung, 0 if rung == 0 else 25, run_seed=0) for g in rows for rung in (1, 0)]
    while queue or pool.free < args.workers:
        while pool.free and queue:
            pool.submit(queue.pop())
        done = pool.next()
        job, row = done.job, rows[done.job.genome]
        if job.rung == 0:
            row["kl"] = done.kl
        else:
            row[f"drop_{setup.rungs[job.rung - 1]}"] = done.drop
        if 1 <= job.rung < 3:
            steps = setup.rungs[job.rung] - setup.rungs[job.rung - 1]
            queue.append(Job.make(job.genome, job.rung + 1, steps, f"checkpoint:{job.id}", run_seed=0))
    pool.close()
    table = pd.DataFrame(rows.values())
    table.to_csv(HERE / "candidates.csv", index=False, float_format="%.4f")
    print(table.round(3).to_string(index=False))
    table["log_params"] = -np.log(table["params"])
    for name in ("log_params", "kl", "drop_25", "drop_100"):
        inside = table.groupby("bin")[[name, "drop_400"]].transform(lambda v: rankdata(v) - (len(v) + 1) / 2)
        overall = spearmanr(table[name], table["drop_400"])[0]
        within = np.corrcoef(inside[name], inside["drop_400"])[0, 1]
        print(f"{name:12s} overall {overall:+.2f}   inside size bins {within:+.2f}")


if __name__ == "__main__":
    main()
