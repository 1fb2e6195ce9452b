"""What training alone gives at a size: uniform MobileNetV1 distilled for as long as a whole run.

    python -m experiments.search_bench.ceiling [--widths 0.19 0.11 0.05] [--seeds 0 1 2] [--budget 10m]

Each network is refitted and trained by one worker on one thread, two of them side by side, with the run's own recipe,
views and int8 path; rows are written when both have ended, and rows that are there are not made again.
"""

import argparse
import csv
import time
from pathlib import Path

from experiments.runs import append
from experiments.search_bench.bench import busy
from experiments.search_bench.cells import FOLDER, HERE
from nas import baseline, finale, inputs, judge, material, timing
from nas.artefacts import RunFolder
from nas.config import RunConfig
from nas.evaluate import Setup, builder
from nas.evaluation import Job
from nas.judge import Judge
from nas.objectives import parse_budget
from nas.ray_pool import RayPool
from nas.training.distill import Recipe

VIEWS = 2
START_SECONDS = 20.0
"""What a worker needs before its first step, and after its last one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=float, nargs="+", default=[0.19, 0.11, 0.05])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--table", type=Path, default=HERE / "ceiling.csv")
    args = parser.parse_args()
    budget = parse_budget(args.budget).seconds
    assert budget is not None, "the ceiling is one of wall time"
    found = inputs.read(RunConfig())
    session = found.session(threads=2)
    base = baseline.measure(session, found.data, seed=0)
    arrays = material.gather(found, session, base, views=VIEWS, seed=0)
    final = Judge(found.data.task, found.data.x_final, found.data.y_final, base.logits["final_val"])
    test = Judge(found.data.task, found.data.x_test, found.data.y_test, session.logits(found.data.x_test))
    (per_op, per_mac), _, _ = timing.measure(found, seed=0)
    known = set()
    if args.table.exists():
        with args.table.open(newline="") as file:
            known = {(row["width"], row["seed"], row["budget"]) for row in csv.DictReader(file)}
    pairs = [(w, s) for s in args.seeds for w in args.widths if (str(w), str(s), args.budget) not in known]
    for k in range(0, len(pairs), 2):
        # A fresh cut-off for each pair: a finish begins to cool down in time whatever was planned.
        cutoff = time.time() + budget - START_SECONDS / 2
        folder = RunFolder((FOLDER / "ceiling").resolve())
        setup = Setup(
            found.space,
            found.device,
            "tflm",
            found.limits,
            found.data.task,
            Recipe(),
            (),
            folder,
            cutoff,
            found.augment,
        )
        wave, jobs, load = pairs[k : k + 2], {}, busy()
        pool = RayPool(builder(setup), arrays, count=len(wave))
        for width, seed in wave:
            genome = found.space.uniform(width)
            graph = found.space.apply(genome)
            step = per_op * len(graph.ops) + per_mac * graph.macs
            steps = int(max(20, 1.2 * (budget - START_SECONDS) / step))
            job = Job.make(genome, 1, steps, run_seed=seed)
            jobs[job.seed] = (width, seed, graph, job)
            pool.submit(job)
        for done in [pool.next() for _ in wave]:
            width, seed, graph, job = jobs[done.job.seed]
            drop, bound = final.drop(finale.answers(folder, job.id, graph, final, threads=1))
            tested, _ = test.drop(finale.answers(folder, job.id, graph, test, threads=1))
            row = {
                "width": width, "seed": seed, "budget": args.budget, "kb": round(done.cost.size_bytes / 1024, 2),
                "val_drop": round(drop, 3), "bound": round(bound, 3), "test_drop": round(tested, 3),
                "verdict": judge.verdict(drop, bound, found.limits.drop),
                "train_seconds": round(done.seconds["train"], 1), "load": round(load, 2),
            }  # fmt: skip
            append(args.table, [row])
            print(row, flush=True)
        pool.close()


if __name__ == "__main__":
    main()
