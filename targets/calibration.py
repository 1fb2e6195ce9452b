"""A board's own numbers from measurements of it: cycles a table cycle, a weight load and a call take there, and power.

Least squares on the relative error, so that small layers count like large ones. Of the three terms those are kept with
which measurements that were left out of the fit are met best; a few layers carry only a scale. What a board adds
differs by kernel, so a code path that enough layers measured gets numbers of its own where they do better; all other
paths, and whole networks, have those of all measurements together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from search_spaces.errors import TargetError
from targets.device import BoardPrices

LEAST_BAND_PERCENT = 5
"""No calibration promises less: kernels' versions and two people's boards differ by that much."""

WORTH = 0.98
"""A further term, or a path's own numbers, must bring the mean left-out error below this share of it."""

FEW = 5
"""Below as many measurements, what was left out says too little of the error for a band or a path's own numbers."""


class Measured(NamedTuple):
    """One measurement: a layer, or a whole network.

    Attributes:
        cycles, weight_loads: sums of `counted` and of `weight_loads` of its calls (`targets.core.CallCost`).
        calls: how many those are.
        measured: cycles on the board, the runtime's own (`targets.latency.CALL_CYCLES`) taken off.
        path: a layer's code path; a network has none.
        power_mw: while it ran, where that was measured.
    """

    cycles: float
    weight_loads: float
    calls: int
    measured: float
    path: str | None = None
    power_mw: float | None = None


class Fit(NamedTuple):
    """Numbers fitted to measurements.

    Attributes:
        prices: the numbers.
        left_out_percent: each measurement's relative error when all others were fitted; empty if there is only one.
    """

    prices: BoardPrices
    left_out_percent: tuple[float, ...]

    def better_than(self, others_percent: Sequence[float]) -> bool:
        """Whether its left-out errors are smaller by what `WORTH` asks."""
        return not others_percent or (bool(self.left_out_percent) and self.mean < WORTH * _mean(others_percent))

    @property
    def mean(self) -> float:
        """Of the errors' sizes."""
        return _mean(self.left_out_percent)


@dataclass(frozen=True)
class Calibration:
    """What a device file takes from measured times.

    Attributes:
        pooled: fitted to all measurements.
        paths: a code path's own numbers, fitted to its measurements alone.
        left_out_percent: each measurement's relative error when all others were fitted; empty if there is only one.
        band_percent: what 95 % of the measurements left out of the pooled fit stay within, in whole percent: a path
            that nobody measured has its numbers. None where `FEW` cannot say.
    """

    pooled: BoardPrices
    paths: Mapping[str, BoardPrices]
    left_out_percent: tuple[float, ...]
    band_percent: float | None

    def prices(self, path: str | None) -> BoardPrices:
        """The numbers of a code path, or of a whole network."""
        return self.paths.get(path, self.pooled) if path else self.pooled


@dataclass(frozen=True)
class PowerCalibration:
    """What a device file takes from measured powers.

    Attributes:
        active_power_mw: of the least relative error.
        left_out_percent, band_percent: as of a `Calibration`.
    """

    active_power_mw: float
    left_out_percent: tuple[float, ...]
    band_percent: float | None


def calibrate(rows: Sequence[Measured]) -> Calibration:
    """The calibration with the least mean error on left-out measurements, of nearly equal ones that with fewer terms.

    Raises:
        TargetError: there is no measurement, or no term with a positive price explains them.
    """
    if not rows:
        raise TargetError("a calibration needs at least one measurement, got none")
    pooled = _best(rows)
    if pooled is None:
        raise TargetError("measurements must grow with the cycles of their layers, these do not; check their units")
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.path is not None:
            places[row.path].append(place)
    paths, left_out = {}, list(pooled.left_out_percent)
    for path, mine in sorted(places.items()):
        own = _best([rows[place] for place in mine]) if FEW <= len(mine) < len(rows) else None
        if own is not None and own.better_than([pooled.left_out_percent[place] for place in mine]):
            paths[path] = own.prices
            for place, error in zip(mine, own.left_out_percent, strict=True):
                left_out[place] = error
    return Calibration(pooled.prices, paths, tuple(left_out), _band_percent(pooled.left_out_percent))


def calibrate_power(powers_mw: Sequence[float]) -> PowerCalibration:
    """One power for measurements that gave several.

    Raises:
        TargetError: there is none.
    """
    found = _fit(np.array([[1 / power] for power in powers_mw], float), (0,)) if powers_mw else None
    if found is None:
        raise TargetError("a power needs at least one measurement, got none")
    return PowerCalibration(found.prices.cycles_scale, found.left_out_percent, _band_percent(found.left_out_percent))


def errors_percent(rows: Sequence[Measured], prices: Callable[[str | None], BoardPrices]) -> list[float]:
    """How far each measurement is missed by given numbers of its path: predicted over measured, less 1."""
    return [100 * (prices(row.path).cycles(row.cycles, row.weight_loads, row.calls) / row.measured - 1) for row in rows]


def _best(rows: Sequence[Measured]) -> Fit | None:
    """The terms that meet left-out measurements best; None where none explains them."""
    measured = np.array([row.measured for row in rows], float)
    counts = np.array([[row.cycles, row.weight_loads, row.calls] for row in rows], float) / measured[:, None]
    best: Fit | None = None
    for terms in [(0, *others) for size in range(3) for others in combinations((1, 2), size)]:
        found = _fit(counts, terms)
        if found is not None and (best is None or found.better_than(best.left_out_percent)):
            best = found
    return best


def _fit(counts: np.ndarray, terms: tuple[int, ...]) -> Fit | None:
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
    return Fit(BoardPrices(prices[0], prices.get(1, 0.0), prices.get(2, 0.0)), left_out)


def _mean(errors_percent: Sequence[float]) -> float:
    return float(np.abs(errors_percent).mean()) if errors_percent else math.inf


def _band_percent(left_out_percent: Sequence[float]) -> float | None:
    if len(left_out_percent) < FEW:
        return None
    return max(LEAST_BAND_PERCENT, math.ceil(np.quantile(np.abs(left_out_percent), 0.95)))
