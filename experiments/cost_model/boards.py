"""Single layers on real boards: how far a few numbers a board bring the prices of its core."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from baselines import relative_nnls

from nas import measurements
from nas.measurements import layer
from targets.calibration import Measured, calibrate
from targets.core import call_cost
from targets.device import load_device
from targets.geometry import Geometry

LAYERS = Path(__file__).parents[1] / "calibration" / "layers"
BOARDS = ("stm32f446", "nrf52832", "stm32l552")
FOLDS = 5
PULLS, DRAWS = (0.0, 0.03, 0.1, 0.3, 1.0), 200
Told = list[tuple[float, float]]


def boards() -> dict[str, Told]:
    """Prints the errors of held-out convolutions; measured and predicted by board and class, for the plot."""
    print(
        "\nConvolutions on boards (TFLM with CMSIS-NN), held out in 5 folds. Errors in percent: mean, 95th percentile."
    )
    print(f"{'':26}{'MACs only':>13}{'linear':>13}{'pooled':>13}{'device file':>13}{'and left of 16':>16}")
    plotted: dict[str, Told] = {}
    for name in BOARDS:
        core = load_device(name).kernel_core
        with (LAYERS / f"{name}.csv").open() as file:
            found = [(layer(row), float(row["cycles"])) for row in csv.DictReader(file)]
        shapes = [shape for shape, _ in found]
        costs = [call_cost(core, shape) for shape in shapes]
        rows = [
            Measured(cost.counted, cost.weight_loads, 1, cycles, cost.path)
            for cost, (_, cycles) in zip(costs, found, strict=True)
        ]
        pooled, by_file = calibrated(rows)
        for title, wanted in (("kernel > 1", "conv"), ("1x1", "conv_1x1")):
            mine = [place for place, row in enumerate(rows) if row.path == wanted]
            cycles = np.array([rows[place].measured for place in mine])
            said = [
                held_out([macs(shapes[place]) for place in mine], cycles),
                held_out([linear(shapes[place]) for place in mine], cycles),
                pooled[mine],
                by_file[mine],
                held_out([[*rows[place][:3], left_of_16(shapes[place])] for place in mine], cycles),
            ]
            told = [100 * np.abs(values / cycles - 1) for values in said]
            text = "".join(f"{error.mean():8.2f} {np.quantile(error, 0.95):5.1f}" for error in told)
            print(f"{name:10} {title:10} {len(mine):4} {text}")
            plotted[f"{name}, {title}"] = list(zip(cycles.tolist(), said[3].tolist(), strict=True))
    return plotted


def calibrated(rows: Sequence[Measured]) -> tuple[np.ndarray, np.ndarray]:
    """Cycles by `nas calibrate`'s numbers of all other folds' rows: the pooled ones, and a whole device file's."""
    pooled, by_file = np.zeros(len(rows)), np.zeros(len(rows))
    for out in folds(len(rows)):
        found = calibrate([row for row, left in zip(rows, out, strict=True) if not left])
        for place in np.flatnonzero(out):
            counted, loads, calls = rows[place][:3]
            pooled[place] = found.pooled.cycles(counted, loads, calls)
            by_file[place] = found.prices(rows[place].path).cycles(counted, loads, calls)
    return pooled, by_file


def few() -> None:
    """Prints how well three layers of a board tell its others, by how far all prices but the scale are held back."""
    print("\nLayers told from three others of their board, mean error in percent, by how far prices are held back.")
    print(f"{'':10}" + "".join(f"{pull:8g}" for pull in PULLS))
    for name in BOARDS:
        rows = measurements.read(LAYERS / f"{name}.csv", load_device(name), "tflm")
        counts, cycles = np.array([row[:3] for row in rows], float), np.array([row.measured for row in rows])
        rng, errors = np.random.default_rng(0), []
        for _ in range(DRAWS):
            kept = np.isin(np.arange(len(rows)), rng.choice(len(rows), 3, replace=False))
            said = [counts[~kept] @ relative_nnls(counts[kept], cycles[kept], pull) for pull in PULLS]
            errors.append([np.abs(values / cycles[~kept] - 1).mean() for values in said])
        print(f"{name:10}" + "".join(f"{100 * error:8.2f}" for error in np.mean(errors, axis=0)))


def macs(g: Geometry) -> list[float]:
    return [g.macs]


def linear(g: Geometry) -> list[float]:
    return [g.macs, g.pixels * g.out_channels, g.pixels * g.channels * g.taps, g.pixels * g.taps, 1]


def left_of_16(g: Geometry) -> int:
    """Values beyond whole steps of 16, which 1x1 kernels of 2023 took one by one and today's take by four."""
    return (g.pixels // 2) * (g.out_channels // 2) * (g.channels % 16) if g.taps == 1 else 0


def folds(count: int) -> list[np.ndarray]:
    """Which rows each fold leaves out."""
    fold = np.random.default_rng(0).permutation(count) % FOLDS
    return [fold == k for k in range(FOLDS)]


def held_out(counts: list[list[float]], measured: np.ndarray) -> np.ndarray:
    said, table = np.zeros(len(measured)), np.array(counts, float)
    for out in folds(len(measured)):
        said[out] = table[out] @ relative_nnls(table[~out], measured[~out])
    return said
