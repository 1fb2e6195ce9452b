"""How well are kernel calls, layers on boards and whole networks told from their shapes? Every figure, held out.

    python experiments/cost_model/run.py

prints the tables of the README beside it and draws `results/cost-model-*.png`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from baselines import linear_per_kind, macs_only
from boards import boards
from fitting import held_out
from networks import networks
from plots import draw
from rows import EXTENSIONS, Row, rows

from targets.scratch import scratch_bytes

RESULTS = Path(__file__).parents[2] / "results"
Told = list[tuple[float, float]]


def errors(told: Told) -> np.ndarray:
    """Sizes in percent."""
    measured, said = np.array(told).T
    return 100 * np.abs(said / measured - 1)


def spread(told: Told) -> str:
    found = errors(told)
    return f"{found.mean():6.2f} {np.quantile(found, 0.95):7.2f} {found.max():7.1f}"


def calls() -> dict[str, Told]:
    """Prints the errors of kernel calls; measured and predicted by core, for the plot."""
    every = {core: rows(core) for core in EXTENSIONS}
    out = held_out(every)
    plotted: dict[str, Told] = {}
    print("Kernel calls, held out in 5 folds of shapes. Errors in percent: mean, 95th percentile, worst.")
    for (core, what), found in out.items():
        if what == "loads":
            continue
        told = [(row.measured[what], said) for row, said in found]
        plotted[f"{core} {what}"] = told
        print(f"\n{core} {what}: {len(told)} calls   {spread(told)}")
        for name, baseline in (("MACs only", macs_only), ("linear per kind", linear_per_kind)):
            print(f"  {name + ':':34}{spread(baseline(every[core], what))}")
        for path in sorted({row.path for row, _ in found}):
            mine = [(row.measured[what], said) for row, said in found if row.path == path]
            print(f"  {path:10} {len(mine):5} calls {'':12}{spread(mine)}")
        for network in ("ic", "kws", "vww", "ad"):
            print(f"  MLPerf Tiny {network}: {_network(found, network, what):+.2f} %")
    print("\nScratch bytes:")
    for core, mine in every.items():
        wrong = sum(scratch_bytes(row.geometry, EXTENSIONS[core]) != row.scratch_bytes for row in mine)
        print(f"  {core}: {len(mine) - wrong} of {len(mine)} calls exact")
    return plotted


def _network(found: list[tuple[Row, float]], network: str, what: str) -> float:
    """Signed error of a network's sum, in percent, each call priced by a fit that did not see its shape."""
    mine = [(row.measured[what], said) for row, said in found if row.group == f"mlperf_{network}"]
    measured, said = np.array(mine).sum(0)
    return float(100 * (said / measured - 1))


if __name__ == "__main__":
    draw(RESULTS, calls(), boards(), networks())
