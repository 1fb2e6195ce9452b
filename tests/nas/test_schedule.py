"""Where the next seconds go: curves and expectations by arithmetic in powers of two."""

from __future__ import annotations

import numpy as np
import pytest

from nas.schedule import (
    FOUND_RATIO,
    PRIOR_RATIO,
    Curve,
    Measured,
    aim_for,
    expected_drop,
    expected_finish,
    smallest_within,
)

# Twice the size, half the drop: a straight line of slope -1 in octaves.
LINE = [Measured(1024, 8.0), Measured(2048, 4.0), Measured(4096, 2.0)]


def test_the_curve_goes_through_its_points_in_any_order() -> None:
    for points in (LINE, LINE[::-1]):
        curve = Curve(points)
        for point in LINE:
            assert curve.at(point.size) == pytest.approx(point.drop)
    assert Curve(LINE).at(1024 * 2**0.5) == pytest.approx(4 * 2**0.5)


def test_beyond_its_ends_the_curve_goes_on_at_the_outermost_slope() -> None:
    curve = Curve(LINE)
    assert curve.at(512) == pytest.approx(16.0)
    assert curve.at(8192) == pytest.approx(1.0)


def test_the_slope_is_at_most_two_octaves_an_octave() -> None:
    steep = Curve([Measured(1024, 64.0), Measured(2048, 1.0)])
    assert steep.at(512) == pytest.approx(64.0 * 4)
    assert steep.at(2048 * 2) == pytest.approx(64.0 / 16)


def test_noise_that_makes_a_larger_network_worse_does_not_bend_the_curve_upwards() -> None:
    curve = Curve([Measured(1024, 4.0), Measured(2048, 5.0), Measured(4096, 2.0)])
    sizes = np.geomspace(512, 8192, 40)
    assert (np.diff([curve.at(float(size)) for size in sizes]) <= 1e-12).all()
    assert curve.at(2048) == pytest.approx(4.0)


def test_a_single_point_is_given_the_slope_of_minus_one() -> None:
    curve = Curve([Measured(1024, 8.0)])
    assert [curve.at(512), curve.at(1024), curve.at(4096)] == pytest.approx([16, 8, 2])


def test_a_drop_of_zero_or_less_counts_as_a_twentieth() -> None:
    assert Curve([Measured(1024, 8.0), Measured(2048, -1.0)]).at(2048) == pytest.approx(0.5 * 4)  # slope limit of 2
    assert Curve([Measured(1024, 0.1), Measured(2048, -1.0)]).at(2048) == pytest.approx(0.05)


def test_without_a_finish_the_expectation_is_the_prior_share_of_the_scouts() -> None:
    assert expected_drop(2048, Curve(LINE), []) == pytest.approx(4 * PRIOR_RATIO)


def test_one_finish_sets_the_level_everywhere() -> None:
    finish = [Measured(1024, 2.0)]  # a quarter of the scout's 8
    assert expected_drop(1024, Curve(LINE), finish) == pytest.approx(2.0)
    assert expected_drop(4096, Curve(LINE), finish) == pytest.approx(0.5)


def test_of_two_finishes_the_nearer_counts_more() -> None:
    """Ratios 1/4 at 1024 and 1 at 4096: at 1024 the weights are 1 and 2**-4, so the mean log ratio is -2 x 16/17."""
    finishes = [Measured(1024, 2.0), Measured(4096, 2.0)]
    assert expected_drop(1024, Curve(LINE), finishes) == pytest.approx(8 * 2 ** (-2 * 16 / 17))
    assert expected_drop(2048, Curve(LINE), finishes) == pytest.approx(4 * 2**-1)


def test_the_smallest_size_within_the_aim_lies_on_the_expected_curve() -> None:
    """Expected are 0.2 x 4 = 0.8 points at 2048, so an aim of 0.8 is met there and not two percent below."""
    size = smallest_within(0.8 + 1e-9, 512, 8192, Curve(LINE), [])
    assert 2048 <= size <= 2048 * (8192 / 512) ** (1 / 63)
    assert smallest_within(1e-6, 512, 8192, Curve(LINE), []) == 8192
    assert smallest_within(100, 512, 8192, Curve(LINE), []) == pytest.approx(512)


def test_the_aim_leaves_the_margin_of_a_paired_proof() -> None:
    """5 % of 5,000 answers differ: a standard error of 0.316 points, 1.645 of them are 0.520, and 0.2 for picking."""
    assert aim_for(2.0, 5000) == pytest.approx(2 - 0.7202, abs=1e-3)
    assert aim_for(2.0, 20_000) == pytest.approx(2 - 0.4601, abs=1e-3)


def test_on_few_images_the_aim_is_half_the_limit() -> None:
    assert aim_for(2.0, 100) == aim_for(2.0, 0) == 1.0
    assert aim_for(0.0, 5000) == 0.0


def test_a_found_network_is_expected_to_gain_what_its_like_gained() -> None:
    """One finish went from 4 to 1, a quarter; 3 becomes 0.75, and with no finish yet the prior share is left."""
    scout = Measured(2048, 3.0)
    assert expected_finish(scout, [(Measured(1024, 4.0), Measured(1024, 1.0))]) == pytest.approx(0.75)
    assert expected_finish(scout, []) == pytest.approx(3 * FOUND_RATIO)
