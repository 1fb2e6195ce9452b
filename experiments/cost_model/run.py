"""How well are kernel calls, layers on boards and whole networks told from their shapes? Every figure, held out.

    python experiments/cost_model/run.py

prints the tables of the README beside it and draws `results/cost-model-*.png` and `results/pricing-speed.png`.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from baselines import linear_per_kind, macs_only
from boards import boards, few
from files import files
from fitting import held_out
from networks import networks
from plots import draw_boards, draw_calls, draw_files, draw_networks, draw_scratch, draw_speed
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
    return plotted


def scratch() -> dict[str, Told]:
    """Prints how many calls' scratch is exact; measured and predicted bytes by core, for the plot."""
    plotted: dict[str, Told] = {}
    print("\nScratch bytes:")
    for core, extension in EXTENSIONS.items():
        found = [(row.scratch_bytes, scratch_bytes(row.geometry, extension)) for row in rows(core)]
        print(f"  {core}: {sum(measured == said for measured, said in found)} of {len(found)} calls exact")
        plotted[core] = [(float(measured), float(said)) for measured, said in found]
    return plotted


def speed() -> dict[str, Told]:
    """Prints the rates that `experiments/pricing/measure.py` wrote; genomes priced before and a second, by run."""
    plotted: dict[str, Told] = {}
    with (RESULTS / "pricing-speed.csv").open() as file:
        for row in csv.DictReader(file):
            rate = float(row["genomes"]) / float(row["seconds"])
            plotted.setdefault(f"run {row['run']}", []).append((float(row["priced_before"]), rate))
    print("\nFull bills a second on one core, by experiments/pricing/measure.py:")
    for run, told in plotted.items():
        rates = [rate for _, rate in told]
        print(
            f"  {run}: {1 / np.mean(1 / np.array(rates)):.0f}, the thousands from {min(rates):.0f} to {max(rates):.0f}"
        )
    return plotted


def _network(found: list[tuple[Row, float]], network: str, what: str) -> float:
    """Signed error of a network's sum, in percent, each call priced by a fit that did not see its shape."""
    mine = [(row.measured[what], said) for row, said in found if row.group == f"mlperf_{network}"]
    measured, said = np.array(mine).sum(0)
    return float(100 * (said / measured - 1))


if __name__ == "__main__":
    draw_calls(RESULTS, calls())
    draw_scratch(RESULTS, scratch())
    draw_boards(RESULTS, boards())
    few()
    draw_networks(RESULTS, networks(), goal_percent=8)
    draw_files(RESULTS, files())
    draw_speed(RESULTS / "pricing-speed.png", speed(), goal=2000)
