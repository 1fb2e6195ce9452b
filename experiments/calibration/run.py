"""How far a calibration carries: all layers of a board left out in turn, and a few layers against all others.

python experiments/calibration/run.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas import measurements
from targets.calibration import Calibration, calibrate, errors_percent
from targets.device import BoardPrices, load_device

LAYERS = Path(__file__).parent / "layers"
FEW, DRAWS = (1, 3, 5, 10, 20, 50), 200


def told(errors: np.ndarray) -> str:
    """Mean and 95th percentile of the errors' sizes."""
    size = np.abs(errors)
    return f"{size.mean():.1f} / {np.quantile(size, 0.95):.1f} %"


def numbers(prices: BoardPrices) -> str:
    found = prices.cycles_scale, prices.cycles_per_weight_load, prices.cycles_per_call
    return f"scale {found[0]:.3f}, load {found[1]:.2f}, call {found[2]:.0f}"


def main() -> None:
    for file in sorted(LAYERS.glob("*.csv")):
        device = load_device(file.stem)
        if device.kernels is None:
            print(f"{file.stem}: no kernel prices for {device.core} yet\n")
            continue
        rows, rng = measurements.read(file, device, "tflm"), np.random.default_rng(0)
        found = calibrate(rows)
        print(f"{file.stem}: {len(rows)} layers; all: {numbers(found.pooled)}")
        for path, prices in found.paths.items():
            print(f"  {path}: {numbers(prices)}")
        print(f"  left out one by one, mean / 95 %: {told(np.array(found.left_out_percent))}")
        together = np.array(calibrate([row._replace(path=None) for row in rows]).left_out_percent)
        kinds = np.array([row.path for row in rows])
        for kind in sorted(set(kinds)):
            mine = np.array(found.left_out_percent)[kinds == kind]
            print(f"    {kind}, {len(mine)}: {told(mine)}, by the numbers of all {told(together[kinds == kind])}")
        scale = float(np.exp(np.mean([np.log(row.measured / row.cycles) for row in rows])))
        alone = Calibration(BoardPrices(scale), {}, (), None)
        print(f"  one scale for all, in-sample: {told(np.array(errors_percent(rows, alone.prices)))}")
        for count in [count for count in FEW if 2 * count <= len(rows)]:
            errors = []
            for _ in range(DRAWS):
                drawn = set(rng.choice(len(rows), count, replace=False).tolist())
                made = calibrate([rows[k] for k in sorted(drawn)])
                others = [row for k, row in enumerate(rows) if k not in drawn]
                errors.append(float(np.abs(errors_percent(others, made.prices)).mean()))
            worst = np.quantile(errors, 0.9)
            print(f"  {count:2} layers: mean {np.mean(errors):.1f} % on the others, {worst:.1f} % in a bad draw of ten")
        print()


if __name__ == "__main__":
    main()
