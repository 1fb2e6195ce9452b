"""Which network deserves the next seconds: pure functions of what has been measured so far.

Scouts say how the drop of a shortly trained ladder network falls with size. Finishes say what full training makes of
it. From both comes the smallest size expected to meet the drop limit, and that is where the budget goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PRIOR_RATIO = 0.20
"""A finish's drop is about this share of the scout's at the same size, until a finish of this run says better."""

FOUND_RATIO = 0.25
"""The same for a found network, which is ahead after the last rung and gains less from there on."""

SELECTION = 0.2
"""Points by which the best of a few finishes looks better on the images it was picked by than on others."""

SLOPE_WEIGHT = 2.0

FLOOR = 0.05
"""Drops and KLs below it are taken for it: their logarithms would be noise."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A network's size and its int8 drop on search_val, in points.

    Its size is what is to be small: bytes of the file, or another resource of it in that resource's unit.
    """

    size: float
    drop: float


class Curve:
    """Drop over log size from a few ladder networks: never rising with size, straight between the points.

    Args:
        points: at least one; their order does not matter.
    """

    def __init__(self, points: Sequence[Measured]) -> None:
        ordered = sorted(points, key=lambda p: p.size)
        self.sizes = np.log2([p.size for p in ordered])
        drops = np.maximum([p.drop for p in ordered], FLOOR)
        # Noise can make a larger network look worse; the running minimum from the small end keeps the curve monotone.
        self.drops = np.log2(np.minimum.accumulate(drops))

    def at(self, size: float) -> float:
        """Drop in points; beyond the ends the outermost slope goes on, at most 2 octaves of drop per octave of size."""
        x = float(np.log2(size))
        if len(self.sizes) == 1:
            return float(2.0 ** (self.drops[0] - (x - self.sizes[0])))
        k = int(np.clip(np.searchsorted(self.sizes, x), 1, len(self.sizes) - 1))
        run = max(self.sizes[k] - self.sizes[k - 1], 1e-9)
        slope = float(np.clip((self.drops[k] - self.drops[k - 1]) / run, -2.0, 0.0))
        return float(2.0 ** (self.drops[k - 1] + slope * (x - self.sizes[k - 1])))


def expected_drop(size: float, scouts: Curve, finished: Sequence[Measured]) -> float:
    """Drop that a full training is expected to leave at that size.

    The scouts' curve gives the shape. Its level is the mean log ratio of finishes to scouts, near sizes counting more.
    """
    base = np.log2(scouts.at(size))
    if not finished:
        return float(2.0 ** (base + np.log2(PRIOR_RATIO)))
    ratios = np.array([np.log2(max(f.drop, FLOOR)) - np.log2(scouts.at(f.size)) for f in finished])
    distance = np.array([abs(np.log2(f.size / size)) for f in finished])
    weights = np.exp2(-SLOPE_WEIGHT * distance)
    return float(2.0 ** (base + ratios @ weights / weights.sum()))


def expected_finish(scout: Measured, finished: Sequence[tuple[Measured, Measured]]) -> float:
    """Drop that a full training is expected to leave of a network's drop after the last rung.

    Args:
        scout: the network after the last rung.
        finished: other networks after the last rung and after a full training; near sizes count more.
    """
    if not finished:
        return FOUND_RATIO * scout.drop
    ratios = np.array([np.log2(max(full.drop, FLOOR)) - np.log2(max(short.drop, FLOOR)) for short, full in finished])
    distance = np.array([abs(np.log2(short.size / scout.size)) for short, _ in finished])
    weights = np.exp2(-SLOPE_WEIGHT * distance)
    return float(max(scout.drop, FLOOR) * 2.0 ** (ratios @ weights / weights.sum()))


def smallest_within(
    aim: float, low: float, high: float, scouts: Curve, finished: Sequence[Measured], *, steps: int = 64
) -> float:
    """The smallest size from `low` to `high` whose expected drop is at most `aim`; `high` if none is."""
    for size in np.geomspace(low, high, steps):
        if expected_drop(float(size), scouts, finished) <= aim:
            return float(size)
    return float(high)


def aim_for(max_drop: float, images: int, *, disagreement: float = 0.05) -> float:
    """The drop to aim at so that the limit can be proven on `images`: the limit less the one-sided 95 % margin.

    The margin is 1.645 times the paired standard error at that share of differing answers plus `SELECTION`, but never
    more than half the limit: on a small validation set proof is out of reach and the point estimate has to do.
    """
    margin = 1.645 * 100 * float(np.sqrt(disagreement / max(images, 1))) + SELECTION
    return max_drop - min(margin, max_drop / 2)
