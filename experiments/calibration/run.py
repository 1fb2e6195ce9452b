"""How far a calibration carries: all layers of a board left out in turn, and a few layers against all others.

python experiments/calibration/run.py
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from nas import measurements
from targets.calibration import calibrate, errors_percent
from targets.device import load_device

LAYERS = Path(__file__).parent / "layers"
FEW, DRAWS = (1, 3, 5, 10, 20, 50), 200


def told(errors: np.ndarray) -> str:
    """Mean and 95th percentile of the errors' sizes."""
    size = np.abs(errors)
    return f"{size.mean():.1f} / {np.quantile(size, 0.95):.1f} %"


def kinds_of(file: Path) -> list[str]:
    """Each row's operator, 1x1 convolutions apart from larger ones."""
    with file.open() as rows:
        return [f"{row['op']} {row['kernel']}".rstrip() if row["kernel"] in ("", "1x1") else f"{row['op']} larger"
                for row in csv.DictReader(rows)]  # fmt: skip


def main() -> None:
    for file in sorted(LAYERS.glob("*.csv")):
        device = load_device(file.stem)
        if device.kernels is None:
            print(f"{file.stem}: no kernel prices for {device.core} yet\n")
            continue
        rows, rng = measurements.read(file, device, "tflm"), np.random.default_rng(0)
        found = calibrate(rows)
        prices = found.cycles_scale, found.cycles_per_weight_load, found.cycles_per_call
        print(f"{file.stem}: {len(rows)} layers, scale {prices[0]:.3f}, load {prices[1]:.2f}, call {prices[2]:.0f}")
        print(f"  left out one by one, mean / 95 %: {told(np.array(found.left_out_percent))}")
        kinds = np.array(kinds_of(file))
        for kind in sorted(set(kinds)):
            apart = calibrate([row for row, own in zip(rows, kinds, strict=True) if own == kind])
            alone = f", calibrated apart {told(np.array(apart.left_out_percent))}" if apart.left_out_percent else ""
            print(f"    {kind}: {told(np.array(found.left_out_percent)[kinds == kind])}{alone}")
        scale = float(np.exp(np.mean([np.log(row.measured / row.cycles) for row in rows])))
        print(f"  one scale for all, in-sample: {told(np.array(errors_percent(rows, scale, 0, 0)))}")
        for count in [count for count in FEW if 2 * count <= len(rows)]:
            errors = []
            for _ in range(DRAWS):
                drawn = set(rng.choice(len(rows), count, replace=False).tolist())
                made = calibrate([rows[k] for k in sorted(drawn)])
                others = [row for k, row in enumerate(rows) if k not in drawn]
                missed = errors_percent(others, made.cycles_scale, made.cycles_per_weight_load, made.cycles_per_call)
                errors.append(float(np.abs(missed).mean()))
            worst = np.quantile(errors, 0.9)
            print(f"  {count:2} layers: mean {np.mean(errors):.1f} % on the others, {worst:.1f} % in a bad draw of ten")
        print()


if __name__ == "__main__":
    main()
