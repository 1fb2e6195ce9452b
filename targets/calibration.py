"""A board's own numbers from measurements of it: cycles a table cycle, a weight load and a call take there.

Least squares on the relative error, so that small layers count like large ones. Of the three terms those are kept with
which measurements that were left out of the fit are met best; a few layers carry only a scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from search_spaces.errors import TargetError

LEAST_BAND_PERCENT = 5
"""No calibration promises less: kernels' versions and two people's boards differ by that much."""

WORTH = 0.95
"""A further term must bring the mean error on left-out measurements below this share of it."""

FEW = 5
"""Below as many measurements, what was left out says too little of the error for a band."""


class Measured(NamedTuple):
    """One measurement: a layer, or a whole network.

    Attributes:
        cycles, weight_loads: sums of `counted` and of `weight_loads` of its calls (`targets.core.CallCost`).
        calls: how many those are.
        measured: cycles on the board, the runtime's own (`targets.latency.CALL_CYCLES`) taken off.
    """

    cycles: float
    weight_loads: float
    calls: int
    measured: float


@dataclass(frozen=True)
class Calibration:
    """What a device file takes from measurements.

    Attributes:
        cycles_scale, cycles_per_weight_load, cycles_per_call: see `targets.device.Device`.
        left_out_percent: each measurement's relative error when all others were fitted; empty if there is only one.
    """

    cycles_scale: float
    cycles_per_weight_load: float
    cycles_per_call: float
    left_out_percent: tuple[float, ...]

    @property
    def band_percent(self) -> float | None:
        """What 95 % of the left-out measurements stay within, in whole percent; None where `FEW` cannot say."""
        if len(self.left_out_percent) < FEW:
            return None
        return max(LEAST_BAND_PERCENT, math.ceil(np.quantile(np.abs(self.left_out_percent), 0.95)))


def calibrate(rows: Sequence[Measured]) -> Calibration:
    """The calibration with the least mean error on left-out measurements, of nearly equal ones that with fewer terms.

    Raises:
        TargetError: there is no measurement, or no term with a positive price explains them.
    """
    if not rows:
        raise TargetError("a calibration needs at least one measurement, got none")
    measured = np.array([row.measured for row in rows], float)
    counts = np.array([[row.cycles, row.weight_loads, row.calls] for row in rows], float) / measured[:, None]
    best: Calibration | None = None
    for terms in [(0, *others) for size in range(3) for others in combinations((1, 2), size)]:
        found = _fit(counts, terms)
        if found is not None and (best is None or _mean(found) < WORTH * _mean(best)):
            best = found
    if best is None:
        raise TargetError("measurements must grow with the cycles of their layers, these do not; check their units")
    return best


def errors_percent(rows: Sequence[Measured], scale: float, per_load: float, per_call: float) -> list[float]:
    """How far each measurement is missed by given prices: predicted over measured, less 1."""
    return [
        100 * ((scale * row.cycles + per_load * row.weight_loads + per_call * row.calls) / row.measured - 1)
        for row in rows
    ]


def _fit(counts: np.ndarray, terms: tuple[int, ...]) -> Calibration | None:
    """Prices of some terms, the others 0; None where they cannot be told apart or one is not positive.

    Args:
        counts: measurements x terms, each row over its measured cycles: its prices should give 1.
    """
    chosen = counts[:, list(terms)]
    size = np.abs(chosen).max(0)
    if len(counts) < len(terms) + (len(terms) > 1) or not size.all():
        return None
    inverse = np.linalg.pinv(chosen / size)
    if np.linalg.matrix_rank(chosen / size) < len(terms):
        return None
    found = inverse.sum(1) / size
    if found.min() <= 0:
        return None
    prices = dict(zip(terms, found.tolist(), strict=True))
    left_out: tuple[float, ...] = ()
    if len(counts) > len(terms):
        # Leaving a row out of a linear fit multiplies its residual by 1 / (1 - its leverage).
        leverage = np.einsum("ij,ji->i", chosen / size, inverse)
        left_out = tuple((100 * (chosen @ found - 1) / np.maximum(1 - leverage, 1e-9)).tolist())
    return Calibration(prices[0], prices.get(1, 0.0), prices.get(2, 0.0), left_out)


def _mean(found: Calibration) -> float:
    return float(np.abs(found.left_out_percent).mean()) if found.left_out_percent else math.inf
