"""How sure a drop is: the paired bound, the verdict, and which model is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nas.result import Point, Verdict

Z95 = 1.6449
"""One-sided 95 % quantile of the normal distribution."""


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 in percent of `N x classes` logits; the first class wins a tie."""
    return 100.0 * float((logits.argmax(1) == labels).mean())


def kl_divergence(teacher: np.ndarray, student: np.ndarray, *, temperature: float = 1.0) -> float:
    """Mean KL(teacher || student) in nats of two `N x classes` logit arrays, both divided by `temperature`."""

    def log_softmax(logits: np.ndarray) -> np.ndarray:
        scaled = logits.astype(np.float64) / temperature
        scaled -= scaled.max(1, keepdims=True)
        return scaled - np.log(np.exp(scaled).sum(1, keepdims=True))

    p, q = log_softmax(teacher), log_softmax(student)
    return float((np.exp(p) * (p - q)).sum(1).mean())


def drop_with_bound(original_right: np.ndarray, student_right: np.ndarray) -> tuple[float, float]:
    """The drop in points and its one-sided 95 % upper bound, paired by image.

    Only images on which the two disagree carry information: with shares `lost` (the original alone is right) and
    `won`, the drop is `d = lost - won` and its standard error `sqrt((lost + won - d**2) / n)`.

    Args:
        original_right, student_right: booleans, one per image, same order.
    """
    n = len(original_right)
    lost = float((original_right & ~student_right).mean())
    won = float((~original_right & student_right).mean())
    drop = lost - won
    error = float(np.sqrt(max(lost + won - drop * drop, 0.0) / n))
    return 100 * drop, 100 * (drop + Z95 * error)


def verdict(drop: float, upper95: float, max_drop: float | None) -> Verdict:
    """`proven` if the bound is within the limit, `likely` if only the point estimate is, else `not`."""
    if max_drop is None or upper95 <= max_drop:
        return "proven"
    return "likely" if drop <= max_drop else "not"


def choose(points: Iterable[Point]) -> Point | None:
    """The smallest proven point within the limits, else the smallest likely one, else None."""
    inside = [point for point in points if point.within_limits]
    for wanted in ("proven", "likely"):
        found = [point for point in inside if point.verdict == wanted]
        if found:
            return min(found, key=lambda point: (point.cost.size_bytes, point.val_drop, point.id))
    return None
