"""Runs the quickstart over seeds and strategies, one after the other, and prints the table.

    python experiments/quickstart/bench.py [--seeds 0 1 2] [--strategies nsga2 ladder] [--budget 10m]

Resumable: a finished run is read, an interrupted one goes on. Nothing else should run on the machine meanwhile.
"""

import argparse
from pathlib import Path

import pandas as pd

import nas

HEADLINE = 144 * 1024, 1.84  # bytes and points of the closed system's MobileNetV1


def row(strategy: str, seed: int, result: nas.RunResult) -> dict[str, object]:
    """One run's figures; drops in points, sizes in KB of the `.tflite` file."""
    points = [p for p in result.points if p.within_limits]
    proven = [p for p in points if p.verdict == "proven"]
    small = [p for p in result.points if p.cost.size_bytes <= HEADLINE[0]]
    smallest = min(proven, key=lambda p: p.cost.size_bytes, default=None)
    best = min(small, key=lambda p: p.val_drop, default=None)  # chosen on final_val; its test drop is reported
    return {
        "strategy": strategy,
        "seed": seed,
        "proven_kb": smallest and round(smallest.cost.size_bytes / 1024, 1),
        "proven_val_drop": smallest and round(smallest.val_drop, 2),
        "proven_test_drop": smallest and round(smallest.test_drop, 2),
        "proven_is_ladder": smallest and smallest.is_ladder,
        "kb_at_144": best and round(best.cost.size_bytes / 1024, 1),
        "test_drop_at_144": best and round(best.test_drop, 2),
        "headline": bool(best and best.test_drop <= HEADLINE[1]),
        "hypervolume": round(result.hypervolume, 3),
        "overhead_share": result.overhead_share and round(result.overhead_share, 3),
        "seconds": round(result.seconds["total"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--strategies", nargs="+", default=["nsga2", "ladder"])
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    parser.add_argument("--table", type=Path, default=Path("results/quickstart.csv"))
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        for strategy in args.strategies:
            out = args.out / f"{strategy}-{args.budget}-{seed}"
            if not (out / "result.json").exists():
                begun = (out / "ledger.jsonl").exists()
                nas.optimize(strategy=strategy, seed=seed, budget=args.budget, out=out, resume=begun, quiet=True)
            rows.append(row(strategy, seed, nas.load_result(out)))
            table = pd.DataFrame(rows)
            table.to_csv(args.table, index=False)
            print(table.to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
