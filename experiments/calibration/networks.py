"""Published networks on real boards against the device files, and how far three of a board's networks tell the fourth.

    python experiments/calibration/networks.py

The networks are the MLPerf Tiny layers of experiments/cost_model/data: IC ResNet-8, KWS DS-CNN, VWW MobileNetV1, AD.
"""

from __future__ import annotations

import csv
from dataclasses import astuple
from itertools import groupby
from pathlib import Path

from targets.calibration import Measured, calibrate, errors_percent
from targets.core import Core, call_cost
from targets.device import Device, load_device
from targets.latency import CALL_CYCLES
from targets.one_call import KEYS, call_geometry

PUBLISHED = Path(__file__).parent / "networks.csv"
LAYERS = Path(__file__).parents[1] / "cost_model" / "data" / "cmsis_nn"


def counted(core: Core, network: str) -> tuple[float, float, int]:
    """Cycles or instructions, weight loads and calls of a network."""
    with (LAYERS / f"{core.name.removeprefix('cortex_')}.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == f"mlperf_{network}"]
    costs = [call_cost(core, call_geometry(row["kind"], **{key: int(row[key]) for key in KEYS})) for row in rows]
    return sum(cost.counted for cost in costs), sum(cost.weight_loads for cost in costs), len(costs)


def told(names: list[str], errors: list[float] | tuple[float, ...]) -> str:
    return ", ".join(f"{name} {error:+.1f} %" for name, error in zip(names, errors, strict=True))


def board(device: Device, rows: list[dict[str, str]]) -> None:
    names, measured = [row["network"] for row in rows], []
    for row in rows:
        if device.clock_hz != 1e6 * float(row["clock_mhz"]):
            raise SystemExit(f"{device.name} runs at {device.clock_hz} Hz, not at {row['clock_mhz']} MHz")
        cycles, loads, calls = counted(device.kernel_core, row["network"])
        own = CALL_CYCLES["tflm"] * calls  # small beside a network; compiled stacks have less
        measured.append(
            Measured(cycles, loads, calls, 1e3 * float(row["milliseconds"]) * float(row["clock_mhz"]) - own)
        )
    ratios = ", ".join(f"{name} {row.measured / row.cycles:.2f}" for name, row in zip(names, measured, strict=True))
    print(f"{device.name}, {rows[0]['stack']}\n  cycles on the chip over what the table counts: {ratios}")
    print(f"  by the device file: {told(names, errors_percent(measured, device.prices))}")
    made = calibrate(measured)
    print(f"  calibrated: {', '.join(f'{price:.4g}' for price in astuple(made.pooled))}")
    if made.left_out_percent:
        print(f"  each left out of that fit: {told(names, made.left_out_percent)}")


def main() -> None:
    with PUBLISHED.open() as file:
        for target, rows in groupby(csv.DictReader(file), key=lambda row: row["target"]):
            board(load_device(target), list(rows))


if __name__ == "__main__":
    main()
