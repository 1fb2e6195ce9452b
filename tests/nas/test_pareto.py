"""Ranks, fronts and hypervolume on a handful of points that can be checked on paper."""

from __future__ import annotations

import numpy as np
import pytest

from nas.pareto import front, hypervolume, knee, ranks

#   5 |  A . . . .      A, B, C are the front; D is behind B, E is behind all but A.
#   4 |  . . . . E
#   3 |  . B . D .
#   1 |  . . . C .
#        1 2 3 4 5
A, B, C, D, E = [1, 5], [2, 3], [4, 1], [4, 3], [5, 4]
FIVE = np.array([A, B, C, D, E], dtype=float)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    """Nowhere worse and somewhere better."""
    return bool((a <= b).all() and (a < b).any())


def brute_ranks(points: np.ndarray) -> list[int]:
    """The length of the longest chain of dominators above each point."""
    above = [[j for j in range(len(points)) if dominates(points[j], points[i])] for i in range(len(points))]

    def rank(i: int) -> int:
        return max((rank(j) + 1 for j in above[i]), default=0)

    return [rank(i) for i in range(len(points))]


def brute_volume(points: np.ndarray, reference: np.ndarray) -> int:
    """Unit cells below the reference that some point dominates, for integer points."""
    cells = np.stack(np.meshgrid(*[np.arange(r) for r in reference], indexing="ij"), axis=-1).reshape(
        -1, len(reference)
    )
    return int((points[:, None] <= cells[None]).all(axis=2).any(axis=0).sum())


def test_the_front_of_five() -> None:
    assert front(FIVE).tolist() == [0, 1, 2]


def test_the_ranks_of_five() -> None:
    assert ranks(FIVE).tolist() == [0, 0, 0, 1, 2]


def test_equal_points_stay_together() -> None:
    twice = np.array([B, D, B, D], dtype=float)
    assert front(twice).tolist() == [0, 2]
    assert ranks(twice).tolist() == [0, 1, 0, 1]


def test_infinity_is_the_worst_and_nan_is_refused() -> None:
    assert ranks(np.array([A, [np.inf, np.inf], [0, np.inf]], dtype=float)).tolist() == [0, 1, 0]
    for broken in (front, ranks):
        with pytest.raises(ValueError, match="NaN"):
            broken(np.array([[1.0, np.nan]]))


def test_no_points_have_an_empty_front() -> None:
    empty = np.empty((0, 2))
    assert front(empty).tolist() == ranks(empty).tolist() == []
    assert hypervolume(empty, np.array([1.0, 1.0])) == 0.0


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_ranks_are_lengths_of_chains(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    for _ in range(20):
        points = rng.integers(0, 5, (12, objectives)).astype(float)
        assert ranks(points).tolist() == brute_ranks(points)
        assert front(points).tolist() == np.flatnonzero(ranks(points) == 0).tolist()


def test_the_area_of_five() -> None:
    # Strips below y = 6 from the left: x 1..2 high 1, x 2..4 high 3, x 4..6 high 5.
    assert hypervolume(FIVE, np.array([6.0, 6.0])) == 1 + 6 + 10


def test_points_beyond_the_reference_add_nothing() -> None:
    # Reference (4, 5): A is on its upper edge and C on its right one; B has (4 - 2) x (5 - 3).
    assert hypervolume(FIVE, np.array([4.0, 5.0])) == 4.0
    assert hypervolume(FIVE, np.array([1.0, 1.0])) == 0.0
    assert hypervolume(np.array([A, [0, np.inf]], dtype=float), np.array([6.0, 6.0])) == 5.0


def test_the_volume_of_two_boxes() -> None:
    # 2 x 2 x 1 and 1 x 1 x 2 below (2, 2, 2) share 1 x 1 x 1.
    assert hypervolume(np.array([[0.0, 0, 1], [1, 1, 0]]), np.array([2.0, 2, 2])) == 4 + 2 - 1


def test_the_volume_of_five_in_three_and_four_objectives() -> None:
    """The five above with a third coordinate, and a fourth that is the same for all, 2 below the reference.

    Below z = 3: at z 0..1 only E (5, 4), 1 x 2 = 2; at 1..2 also B (2, 3), 4 x 3 = 12 and E inside it; at 2..3 also
    A (1, 5) and C (4, 1): the area of 17.
    """
    solid = np.column_stack([FIVE, [2.0, 1, 2, 2, 0]])
    assert hypervolume(solid, np.array([6.0, 6, 3])) == 2 + 12 + 17
    assert hypervolume(np.column_stack([solid, np.ones(5)]), np.array([6.0, 6, 3, 3])) == 2 * (2 + 12 + 17)


def test_the_knee_is_furthest_below_the_chord() -> None:
    """From (0, 10) to (10, 0): (2, 3) is 0.5 below the chord, (5, 2) is 0.3 and (1, 9) on it."""
    points = np.array([[0.0, 10], [1, 9], [2, 3], [5, 2], [10, 0]])
    assert knee(points) == 2
    assert knee(points[::-1]) == 2
    assert knee(points * [1000.0, 0.001] + [5.0, -3.0]) == 2


def test_a_straight_or_a_bulging_or_a_short_front_has_no_knee() -> None:
    assert knee(np.array([[0.0, 2], [1, 1], [2, 0]])) is None
    assert knee(np.array([[0.0, 10], [9, 9], [10, 0]])) is None
    assert knee(FIVE[:2]) is None
    assert knee(np.empty((0, 2))) is None
    assert knee(np.array([[1.0, 5], [1, 5], [1, 5]])) is None


def test_the_knee_of_three_objectives() -> None:
    """Three ends add up to 1 each; the middle one to 0.6, another to 0.9."""
    points = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [0.3, 0.3, 0.3], [0.2, 0.2, 0.2]])
    assert knee(points) == 4


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_volumes_count_cells(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    reference = np.full(objectives, 5)
    for _ in range(20):
        points = rng.integers(0, 7, (6, objectives)).astype(float)
        assert hypervolume(points, reference) == brute_volume(points, reference)


def test_a_front_of_a_formula() -> None:
    # n points on the diagonal from (0, 1) to (1, 0): a staircase of n - 1 steps covers 1/2 - 1/(2(n - 1)) below (1, 1).
    x = np.linspace(0, 1, 101)
    assert hypervolume(np.stack([x, 1 - x], axis=1), np.array([1.0, 1.0])) == pytest.approx(0.5 - 1 / 200)


def test_a_reference_must_be_finite_and_fit() -> None:
    for reference in ([6.0], [6.0, np.inf], [6.0, np.nan]):
        with pytest.raises(ValueError, match="reference must be 2 finite numbers"):
            hypervolume(FIVE, np.array(reference))
