"""Fits the prices of `targets/data/cortex_m4.toml` to emulated kernel calls and prints them with their errors.

    python experiments/latency_model/fit.py

Non-negative least squares on the relative error, one fit per code path; five-fold cross-validation gives the error of
shapes that were not seen. Loads from the weights are fitted the same way and come out as small whole numbers.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from targets.kernels import COUNTS, Geometry, path

ROWS = Path(__file__).parents[2] / "tests" / "targets" / "cmsis_nn_m4.csv"
KINDS = {"avgpool": "avg_pool", "maxpool": "max_pool", "dw3x3": "dw", "dwopt": "dw", "dwgen": "dw"}


def geometry(row: dict[str, str]) -> Geometry:
    """The call of one row; a broadcast mul does not occur."""
    n = {name: int(row[name]) for name in ("H", "W", "C", "OC", "KH", "KW", "SH", "SW", "PH", "PW", "OH", "OW")}
    kind = KINDS.get(row["path"], "conv" if row["path"].startswith("conv") else row["path"])
    sizes = {"size": (n["H"], n["W"]), "out_size": (n["OH"], n["OW"])}
    window = {"kernel": (n["KH"], n["KW"]), "stride": (n["SH"], n["SW"]), "pads": (n["PH"], n["PW"])}
    multiplier = n["OC"] // n["C"] if kind == "dw" else 1
    operands = n["H"] * n["W"] * n["C"] * (2 if kind in ("add", "mul") else 1)
    return Geometry(
        kind, **sizes, channels=n["C"], out_channels=n["OC"], **window, multiplier=multiplier, operands=operands
    )  # fmt: skip


def prices(counts: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Price per loop; counts: rows x loops, measured: rows."""
    relative = counts / measured[:, None]
    scale = np.maximum(np.abs(relative).max(0), 1e-12)
    return nnls(relative / scale, np.ones(len(measured)), maxiter=10_000)[0] / scale


def main() -> None:
    with ROWS.open() as file:
        rows = [row for row in csv.DictReader(file) if row["path"] != "conv1xn"]
    for name, rule in COUNTS.items():
        mine = [(geometry(row), row) for row in rows if path(geometry(row)) == name]
        if not mine:
            continue
        loops = list(rule(mine[0][0]))
        counts = np.array([[rule(shape)[loop] for loop in loops] for shape, _ in mine], float)
        cycles = np.array([float(row["cycles"]) for _, row in mine])
        loads = np.array([max(1.0, float(row["weight_loads"])) for _, row in mine])
        fold = np.random.default_rng(0).permutation(len(mine)) % 5
        held_out = np.concatenate(
            [counts[fold == k] @ prices(counts[fold != k], cycles[fold != k]) / cycles[fold == k] - 1 for k in range(5)]
        )
        error = 100 * np.abs(held_out)
        print(
            f"[{name}]  # {len(mine)} calls, held out: mean {error.mean():.1f} %, p95 {np.quantile(error, 0.95):.1f} %"
        )
        weight_loads = prices(counts, loads) if mine[0][0].filters else np.zeros(len(loops))
        for loop, price, load in zip(loops, prices(counts, cycles), weight_loads, strict=True):
            print(f"{loop} = [{price:.2f}, {load:.2f}]")
        print()


if __name__ == "__main__":
    main()
