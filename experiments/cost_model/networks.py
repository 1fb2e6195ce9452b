"""Whole MLPerf Tiny networks on real boards: each network told from the other three on the same board."""

from __future__ import annotations

import csv

import numpy as np
from baselines import relative_nnls
from rows import DATA, rows

from targets.core import call_cost, load_core
from targets.one_call import CORES

NETWORKS = ("ic", "kws", "vww", "ad")
CORE_OF = {"M4F": "m4", "M33": "m33", "M85": "m55"}
OLD_IM2COL = 1.078
"""Convolutions of 2022's kernels against today's: emulated, IC takes 38.95 M cycles with those, 36.26 M with these."""

Told = list[tuple[float, float]]


def terms(core: str, network: str, im2col: float) -> list[float]:
    """Counted cycles or instructions, loads from the weights, calls."""
    found = [call_cost(load_core(CORES[core]), row.geometry) for row in rows(core) if row.group == f"mlperf_{network}"]
    counted = sum(cost.counted * (im2col if cost.path == "conv" else 1) for cost in found)
    return [counted, sum(cost.weight_loads for cost in found), len(found)]


def networks() -> dict[str, Told]:
    """Prints signed errors in percent; measured and predicted cycles by board, for the plot."""
    with (DATA / "mlperf_tiny.csv").open() as file:
        published = list(csv.DictReader(file))
    plotted: dict[str, Told] = {}
    print("\nMLPerf Tiny networks on boards, leaving one network out. Signed errors in percent.")
    print(f"{'':46}" + "".join(f"{name:>8}" for name in NETWORKS) + f"{'mean size':>11}")
    for board, stack in dict.fromkeys((row["board"], row["stack"]) for row in published):
        mine = {row["net"]: row for row in published if (row["board"], row["stack"]) == (board, stack)}
        core = CORE_OF[mine["ic"]["core"]]
        cycles = np.array([1e6 * float(mine[net]["mhz"]) / float(mine[net]["inf_per_s"]) for net in NETWORKS])
        releases = (
            ((1.0, "today's kernels"), (OLD_IM2COL, "im2col of 2022")) if core != "m55" else ((1.0, "today's kernels"),)
        )
        for im2col, title in releases:
            counts = np.array([terms(core, net, im2col) for net in NETWORKS])
            counts = counts[:, [0, 2]] if core == "m55" else counts[:, :2]
            said = np.zeros(len(NETWORKS))
            for k in range(len(NETWORKS)):
                others = np.arange(len(NETWORKS)) != k
                said[k] = counts[k] @ relative_nnls(counts[others], cycles[others])
            error = 100 * (said / cycles - 1)
            text = "".join(f"{value:+8.1f}" for value in error)
            print(f"{board:16} {core:4} {title:24}{text}{np.abs(error).mean():11.1f}")
            plotted[board] = list(zip(cycles.tolist(), said.tolist(), strict=True))
    return plotted
