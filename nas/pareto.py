"""Who is better than whom: ranks, fronts and hypervolume on arrays of shape points x objectives.

Lower is better everywhere. Equal points do not dominate each other. Infinity is allowed and is the worst; NaN is
refused, since it compares false with everything and would never be dominated. No function draws random numbers.
"""

from __future__ import annotations

import numpy as np


def _checked(points: np.ndarray) -> np.ndarray:
    """The points as float64, points x objectives.

    Raises:
        ValueError: not two axes, or a NaN.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2:
        raise ValueError(f"points must be an array of points x objectives, got shape {points.shape}")
    if np.isnan(points).any():
        raise ValueError("objectives must not be NaN; give a failed point infinity")
    return points


def front(points: np.ndarray) -> np.ndarray:
    """Indices, ascending, of the points that no other dominates; equal points are all kept."""
    points = _checked(points)
    kept = np.ones(len(points), dtype=bool)
    for i, point in enumerate(points):
        # A dominated point needs no turn of its own: whoever dominates it dominates all that it dominates.
        if kept[i]:
            kept &= ~((points >= point).all(axis=1) & (points > point).any(axis=1))
    return np.flatnonzero(kept)


def ranks(points: np.ndarray) -> np.ndarray:
    """Each point's non-dominated rank: 0 on the front, 1 on the front of the rest, and so on.

    Reference: NSGA-II, Deb et al. 2002, https://doi.org/10.1109/4235.996017.
    """
    points = _checked(points)
    found = np.zeros(len(points), dtype=np.int64)
    left = np.arange(len(points))
    rank = 0
    while len(left):
        best = front(points[left])
        found[left[best]] = rank
        left = np.delete(left, best)
        rank += 1
    return found


def hypervolume(points: np.ndarray, reference: np.ndarray) -> float:
    """Volume between the front of `points` and the corner `reference`, which every counted point must dominate.

    Exact. A sweep for two objectives; above that, slices along the last objective, each measured by the same function
    one dimension lower: fine for the few dozen points and the two to four objectives of a run.

    Args:
        points: points x objectives; points that are not below the reference everywhere add nothing.
        reference: (objectives,), finite.

    Raises:
        ValueError: a NaN, or a reference that is not finite or of another length.
    """
    points, reference = _checked(points), np.asarray(reference, dtype=np.float64)
    if reference.shape != points.shape[1:] or not np.isfinite(reference).all():
        raise ValueError(f"the reference must be {points.shape[1]} finite numbers, got {reference}")
    inside = points[(points < reference).all(axis=1)]
    return _volume(inside[front(inside)], reference)


def _volume(points: np.ndarray, reference: np.ndarray) -> float:
    """Hypervolume of points that all lie below the reference; dominated ones among them do no harm."""
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(reference[0] - points.min())
    points = points[np.argsort(points[:, -1], kind="stable")]
    floors, ceilings = points[:, -1], np.append(points[1:, -1], reference[-1])
    if points.shape[1] == 2:  # the sweep: a slab is as wide as the best first objective seen so far allows
        widths = reference[0] - np.minimum.accumulate(points[:, 0])
        return float(widths @ (ceilings - floors))
    return sum(
        _volume(points[: i + 1, :-1], reference[:-1]) * float(ceilings[i] - floors[i])
        for i in range(len(points))
        if ceilings[i] > floors[i]
    )
