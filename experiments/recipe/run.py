"""What makes a student better after the same number of steps? Ladder networks under several recipes.

    python -m experiments.recipe.run [ARM ...] [--kb 60] [--steps 2000] [--seeds 0 1 2]

An arm is a list of settings, `lr=0.1,weight_decay=1e-4`, or `base`: those of `nas.training.distill.Recipe`, and
`experiments.recipe.students.OWN`. Rows are appended to `arms.csv`; those that are there are not made again.
"""

import argparse
import csv
import itertools
import time
from pathlib import Path

from experiments.recipe.students import Room, settings

TABLE = Path(__file__).with_name("arms.csv")
KEY = ("arm", "kb", "steps", "seed")


def known(table: Path) -> set[tuple[str, ...]]:
    with table.open(newline="") as file:
        return {tuple(row[name] for name in KEY) for row in csv.DictReader(file)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="*", default=["base"])
    parser.add_argument("--kb", type=int, nargs="+", default=[60])
    parser.add_argument("--steps", type=int, nargs="+", default=[2000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    if not TABLE.exists():
        TABLE.write_text(",".join([*KEY, "drop", "kl", "seconds"]) + "\n")
    room = Room()
    for kb, steps, seed, arm in itertools.product(args.kb, args.steps, args.seeds, args.arms):
        if (arm, str(kb), str(steps), str(seed)) in known(TABLE):
            continue
        start = time.time()
        found = room.trained(kb, settings(arm), steps, seed=seed)
        row = [arm, kb, steps, seed, f"{found['drop']:.3f}", f"{found['kl']:.5f}", f"{time.time() - start:.1f}"]
        with TABLE.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
        print(*row, flush=True)


if __name__ == "__main__":
    main()
