"""Who is better than whom: ranks, fronts, knees and hypervolume on arrays of shape points x objectives.

Lower is better everywhere. Equal points do not dominate each other. Infinity is allowed and is the worst; NaN is
refused, since it compares false with everything and would never be dominated. No function draws random numbers.
The only module that imports moocore.
"""

from __future__ import annotations

import moocore
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
    """Volume between the front of `points` and the corner `reference`, which every counted point must dominate; exact.

    Args:
        points: points x two or more objectives; points that are not below the reference everywhere add nothing.
        reference: (objectives,), finite.

    Raises:
        ValueError: a NaN, or a reference that is not finite or of another length.
    """
    points, reference = _checked(points), np.asarray(reference, dtype=np.float64)
    if reference.shape != points.shape[1:] or not np.isfinite(reference).all():
        raise ValueError(f"the reference must be {points.shape[1]} finite numbers, got {reference}")
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def knee(points: np.ndarray) -> int | None:
    """The index of the front's knee: the point furthest below the plane through the ends of its axes.

    Each axis is stretched to 0 at its best and 1 at its worst; the plane is where the coordinates add up to 1, for two
    objectives the chord between the two ends of the front. What bends away from the corner has no knee.

    Reference: Das 1999, https://doi.org/10.1007/BF01195985.

    Args:
        points: a front, points x objectives, finite.
    """
    points = _checked(points)
    if len(points) < 3:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    spread = high > low
    if spread.sum() < 2:
        return None
    below = 1 - ((points - low)[:, spread] / (high - low)[spread]).sum(axis=1)
    furthest = int(below.argmax())
    return furthest if below[furthest] > 1e-9 else None
