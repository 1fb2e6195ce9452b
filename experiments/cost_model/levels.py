"""What -O2 and -Os do to the cycles of a kernel call, from calls that were compiled at each level.

    python experiments/cost_model/levels.py     # prints the spread, writes targets/data/compiler_levels.csv

The same random shapes were run on the emulated M4 at -O3, -O2 and -Os. A path's factor is its median; the other cores
are assumed to follow.
"""

from __future__ import annotations

import csv

import numpy as np
from rows import rows

from targets.levels import FILE

LEVELS = {"O2": "m4_o2", "Os": "m4_os"}
SOURCE = "emulated: CMSIS-NN 99f736a6 on an M4, GCC 12.2, median of {} shapes; 10 to 90 % are {:.2f} to {:.2f}"


def main() -> None:
    fast = {(row.kind, row.shape): row.measured["cycles"] for row in rows("m4")}
    table = []
    for level, name in LEVELS.items():
        ratios: dict[str, list[float]] = {}
        for row in rows(name):
            if (row.kind, row.shape) in fast:
                ratios.setdefault(row.code, []).append(row.measured["cycles"] / fast[row.kind, row.shape])
        for path, found in sorted(ratios.items()):
            low, middle, high = np.quantile(found, (0.1, 0.5, 0.9))
            table.append((level, path, f"{middle:.3f}", SOURCE.format(len(found), low, high)))
            print(f"-{level} {path:10} {len(found):4} calls: {low:.2f} {middle:.2f} {high:.2f}")
    with FILE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("level", "path", "factor", "source"))
        writer.writerows(table)


if __name__ == "__main__":
    main()
