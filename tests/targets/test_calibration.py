"""Calibration: prices that are known come back, and what is left out of a fit is told honestly."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from search_spaces.errors import TargetError
from targets.calibration import (
    FEW,
    LEAST_BAND_PERCENT,
    Calibration,
    Measured,
    calibrate,
    calibrate_power,
    errors_percent,
)
from targets.device import BoardPrices

SHAPES = [(1000.0, 10.0), (50_000.0, 900.0), (200_000.0, 40_000.0), (7000.0, 3000.0), (90_000.0, 100.0), (400.0, 0.0)]


def board(scale: float, per_load: float, per_call: float, *, shapes: int = len(SHAPES)) -> list[Measured]:
    """Layers of a SYNTHETIC board whose prices are known."""
    return [Measured(c, n, 1, scale * c + per_load * n + per_call) for c, n in SHAPES[:shapes]]


@pytest.mark.parametrize("prices", [(1.3, 0.0, 0.0), (1.1, 4.5, 0.0), (1.2, 0.0, 800.0), (0.97, 5.0, 1500.0)])
def test_known_prices_come_back(prices: tuple[float, float, float]) -> None:
    found = calibrate(board(*prices))
    assert astuple(found.pooled) == pytest.approx(prices, abs=1e-6)
    assert found.left_out_percent == pytest.approx([0.0] * len(SHAPES), abs=1e-6)
    assert found.band_percent == LEAST_BAND_PERCENT


def test_one_measurement_gives_a_scale_and_no_band() -> None:
    found = calibrate(board(1.3, 2.0, 0.0, shapes=1))
    assert astuple(found.pooled) == pytest.approx((1.32, 0.0, 0.0))  # 1,320 measured of 1,000 cycles
    assert (found.paths, found.left_out_percent) == ({}, ())
    assert found.band_percent is None
    assert calibrate(board(1.3, 2.0, 0.0, shapes=FEW - 1)).band_percent is None


def test_left_out_errors_are_those_of_fits_without_the_row() -> None:
    """Two layers of 100 cycles that take 100 and 150: fitted to the other one each."""
    found = calibrate([Measured(100, 0, 1, 100), Measured(100, 0, 1, 150)])
    # Relative least squares over 1 and 2/3: scale = (1 + 2/3) / (1 + 4/9) = 15/13.
    assert found.pooled.cycles_scale == pytest.approx(15 / 13)
    assert found.left_out_percent == pytest.approx([50.0, -100 / 3])


def test_left_out_errors_are_those_of_fits_without_the_row_for_several_terms() -> None:
    rng = np.random.default_rng(0)
    rows = [row._replace(measured=row.measured * rng.uniform(0.9, 1.1)) for row in board(1.0, 5.0, 800.0)]
    found = calibrate(rows)
    assert min(astuple(found.pooled)) > 0
    for k, row in enumerate(rows):
        others = np.array([[r.cycles, r.weight_loads, r.calls] for r in rows if r is not row])
        others /= np.array([[r.measured] for r in rows if r is not row])
        prices = np.linalg.lstsq(others, np.ones(len(others)), rcond=None)[0]
        fitted = Calibration(BoardPrices(*prices.tolist()), {}, (), None)
        assert found.left_out_percent[k] == pytest.approx(errors_percent([row], fitted.prices)[0])


def test_a_term_that_helps_nothing_stays_out() -> None:
    rng = np.random.default_rng(1)
    rows = [row._replace(measured=row.measured * rng.uniform(0.99, 1.01)) for row in board(1.3, 0.0, 0.0, shapes=4)]
    assert calibrate(rows).pooled.cycles_scale == pytest.approx(1.3, rel=0.01)


def test_a_path_that_differs_gets_its_own_numbers() -> None:
    """Twice the cycles on one path, three times on the other, four on a third that too few layers measured."""
    rows = [Measured(c, 0, 1, 2 * c, "conv") for c, _ in SHAPES] + [Measured(c, 0, 1, 3 * c, "fc") for c, _ in SHAPES]
    rows += [Measured(c, 0, 1, 4 * c, "add") for c, _ in SHAPES[: FEW - 1]]
    found = calibrate(rows)
    assert {path: round(prices.cycles_scale, 6) for path, prices in found.paths.items()} == {"conv": 2, "fc": 3}
    # 6 rows of 1/2, 6 of 1/3 and 4 of 1/4: the sum 6 over the sum of squares 29/12.
    assert found.pooled.cycles_scale == pytest.approx(72 / 29)
    assert found.prices("add") == found.prices(None) == found.pooled
    assert errors_percent(rows, found.prices)[:12] == pytest.approx([0.0] * 12)
    assert errors_percent(rows, found.prices)[12:] == pytest.approx([100 * (72 / 29 / 4 - 1)] * 4)
    assert found.left_out_percent[:12] == pytest.approx([0.0] * 12)
    assert found.left_out_percent[12] < -37  # of the pooled fit without it
    assert found.band_percent > 37  # and a path that nobody measured may be missed as far


def test_paths_alike_share_their_numbers() -> None:
    """The same layers on two paths: the fits are the same, and half the rows leave more out of each."""
    rng = np.random.default_rng(2)
    rows = [row._replace(measured=row.measured * rng.uniform(0.98, 1.02), path="conv") for row in board(1.3, 4.0, 0.0)]
    assert calibrate(rows + [row._replace(path="fc") for row in rows]).paths == {}
    assert calibrate(rows).paths == {}  # all rows there are: the pooled fit is their own


def test_a_power_by_hand() -> None:
    found = calibrate_power([10.0, 20.0])
    assert found.active_power_mw == pytest.approx((1 / 10 + 1 / 20) / (1 / 100 + 1 / 400))  # 12 mW
    assert found.left_out_percent == pytest.approx([100.0, -50.0])  # 20 for 10, and 10 for 20
    assert found.band_percent is None
    assert calibrate_power([10.0] * FEW).band_percent == LEAST_BAND_PERCENT
    with pytest.raises(TargetError, match="at least one"):
        calibrate_power([])


def test_errors_by_hand() -> None:
    rows = [Measured(100, 10, 2, 200), Measured(50, 0, 1, 50)]
    assert errors_percent(rows, lambda _: BoardPrices(1.0, 2.0, 15.0)) == pytest.approx([-25.0, 30.0])  # 150, 65


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(TargetError, match="at least one measurement"):
        calibrate([])
