"""Rank correlations and intervals that can be worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from nas.statistics import rank_correlation, ratio_interval


def test_rank_correlation_of_four() -> None:
    """Ranks 1 2 3 4 and 2 1 4 3 differ by one everywhere: 1 - 6 * 4 / (4 * 15)."""
    assert rank_correlation([1, 2, 3, 4], [20, 10, 40, 30]) == pytest.approx(0.6)
    assert rank_correlation([1, 2, 3, 4], [1, 8, 27, 64]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)


def test_too_few_or_a_constant_has_no_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None
    assert rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) is None
    assert rank_correlation([1, 2, 3, 4], [1, 2, 3, 4], without=[5, 5, 5, 5]) is None


def test_what_both_follow_is_taken_out() -> None:
    """The partial correlation of rho 0.6, 0.8 and 0.8: (0.6 - 0.64) / (1 - 0.64)."""
    first, second, third = [1, 3, 2, 4], [2, 1, 3, 4], [1, 2, 3, 4]
    pairs = [(first, second), (first, third), (second, third)]
    assert [rank_correlation(a, b) for a, b in pairs] == pytest.approx([0.4, 0.8, 0.8])
    assert rank_correlation(first, second, without=third) == pytest.approx((0.4 - 0.64) / (1 - 0.64))
    assert rank_correlation(first, third, without=third) is None


def test_the_interval_of_a_ratio() -> None:
    """Every pair has the ratio of two; a single odd pair among four is left out of a third of all resamplings."""
    assert ratio_interval([2.0, 4.0, 6.0], [1.0, 2.0, 3.0], seed=0) == pytest.approx((2.0, 2.0))
    low, high = ratio_interval([1.0, 1.0, 1.0, 5.0], [1.0, 1.0, 1.0, 1.0], seed=0)
    assert low == 1.0
    assert 2 < high <= 5


def test_nothing_below_the_line_is_infinity() -> None:
    assert ratio_interval([1.0, 1.0], [0.0, 0.0], seed=0) == (np.inf, np.inf)
    assert ratio_interval([0.0, 0.0], [0.0, 0.0], seed=0) == (1.0, 1.0)
    assert ratio_interval([1.0, 0.0], [0.0, 0.0], seed=0) == (1.0, np.inf)
