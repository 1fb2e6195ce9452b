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

HELD_BACK = 0.03
"""How far the prices of a load and of a call are pulled to 0. Of 0.03, 0.1, 0.3 and 1 that with which three layers of
a board (`experiments/calibration`) tell the others best; not chosen on networks."""

Signed = dict[str, float]


def terms(core: str, network: str, im2col: float) -> list[float]:
    """Counted cycles or instructions, loads from the weights, calls."""
    found = [call_cost(load_core(CORES[core]), row.geometry) for row in rows(core) if row.group == f"mlperf_{network}"]
    counted = sum(cost.counted * (im2col if cost.path == "conv" else 1) for cost in found)
    return [counted, sum(cost.weight_loads for cost in found), len(found)]


def networks() -> dict[str, Signed]:
    """Prints signed errors in percent; those of the last model by board and network, for the plot."""
    with (DATA / "mlperf_tiny.csv").open() as file:
        published = list(csv.DictReader(file))
    plotted: dict[str, Signed] = {}
    print("\nMLPerf Tiny networks on boards, leaving one network out. Signed errors in percent.")
    print(f"{'':51}" + "".join(f"{name:>8}" for name in NETWORKS) + f"{'mean size':>11}")
    for board, stack in dict.fromkeys((row["board"], row["stack"]) for row in published):
        mine = {row["net"]: row for row in published if (row["board"], row["stack"]) == (board, stack)}
        core = CORE_OF[mine["ic"]["core"]]
        cycles = np.array([1e6 * float(mine[net]["mhz"]) / float(mine[net]["inf_per_s"]) for net in NETWORKS])
        counts, older = (np.array([terms(core, net, f) for net in NETWORKS]) for f in (1.0, OLD_IM2COL))
        second = 2 if core == "m55" else 1
        models = {
            "a scale": told(counts[:, :1], cycles),
            f"and a {'call' if second == 2 else 'load'}": told(counts[:, [0, second]], cycles),
            **({"the same, im2col of 2022": told(older[:, [0, second]], cycles)} if core != "m55" else {}),
            "load and call, held back": told(counts, cycles, HELD_BACK),
        }
        for title, said in models.items():
            error = 100 * (said / cycles - 1)
            text = "".join(f"{value:+8.1f}" for value in error)
            print(f"{board:16} {core:4} {title:29}{text}{np.abs(error).mean():11.1f}")
        plotted[f"{board}\n{stack.split(' (')[0]}"] = dict(zip(NETWORKS, error.tolist(), strict=True))
    return plotted


def told(counts: np.ndarray, cycles: np.ndarray, held_back: float = 0.0) -> np.ndarray:
    """Each network's cycles by the prices of the other three."""
    said = np.zeros(len(cycles))
    for k in range(len(cycles)):
        others = np.arange(len(cycles)) != k
        said[k] = counts[k] @ relative_nnls(counts[others], cycles[others], held_back)
    return said
