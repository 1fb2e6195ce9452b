"""Single layers on real boards: how far a few numbers a board bring the prices of its core."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from baselines import relative_nnls

from nas.measurements import layer
from targets.core import call_cost
from targets.device import load_device
from targets.geometry import Geometry

LAYERS = Path(__file__).parents[1] / "calibration" / "layers"
BOARDS = ("stm32f446", "nrf52832", "stm32l552")
FOLDS = 5
Told = list[tuple[float, float]]


def boards() -> dict[str, Told]:
    """Prints the errors of held-out convolutions; measured and predicted by board, for the plot."""
    print(
        "\nConvolutions on boards (TFLM with CMSIS-NN), held out in 5 folds. Errors in percent: mean, 95th percentile."
    )
    print(f"{'':26}{'MACs only':>13}{'linear':>13}{'board numbers':>15}{'and left of 16':>16}")
    plotted: dict[str, Told] = {}
    for name in BOARDS:
        core = load_device(name).kernel_core
        with (LAYERS / f"{name}.csv").open() as file:
            found = [(layer(row), float(row["cycles"])) for row in csv.DictReader(file) if row["op"] == "conv2d"]
        for title, wanted in (("kernel > 1", False), ("1x1", True)):
            mine = [(shape, cycles) for shape, cycles in found if (shape.taps == 1) == wanted]
            costs = [call_cost(core, shape) for shape, _ in mine]
            board = [[cost.counted, cost.weight_loads, 1] for cost in costs]
            shapes, cycles = [shape for shape, _ in mine], np.array([cycles for _, cycles in mine])
            terms = [
                [[g.macs] for g in shapes],
                [
                    [g.macs, g.pixels * g.out_channels, g.pixels * g.channels * g.taps, g.pixels * g.taps, 1]
                    for g in shapes
                ],
                board,
                [[*row, left_of_16(g)] for row, g in zip(board, shapes, strict=True)],
            ]
            said = [held_out(np.array(rows, float), cycles) for rows in terms]
            told = [100 * np.abs(values / cycles - 1) for values in said]
            text = "".join(f"{error.mean():8.2f} {np.quantile(error, 0.95):5.1f}" for error in told)
            print(f"{name:10} {title:10} {len(mine):4} {text}")
            plotted.setdefault(name, []).extend(zip(cycles.tolist(), said[2].tolist(), strict=True))
    return plotted


def left_of_16(g: Geometry) -> int:
    """Values beyond whole steps of 16, which 1x1 kernels of 2023 took one by one and today's take by four."""
    return (g.pixels // 2) * (g.out_channels // 2) * (g.channels % 16) if g.taps == 1 else 0


def held_out(counts: np.ndarray, measured: np.ndarray) -> np.ndarray:
    fold = np.random.default_rng(0).permutation(len(measured)) % FOLDS
    said = np.zeros(len(measured))
    for k in range(FOLDS):
        said[fold == k] = counts[fold == k] @ relative_nnls(counts[fold != k], measured[fold != k])
    return said
