"""How sure a drop is: the paired bound, the verdict, and which model is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from nas.data.resize import Sizes
from nas.tasks import Task
from search_spaces.graph import Shape

if TYPE_CHECKING:
    from nas.result import Point, Verdict

Z95 = 1.6449
"""One-sided 95 % quantile of the normal distribution."""


class Judge:
    """Scores answers to one split, beside the original's to the same rows.

    Args:
        task: says what a score is.
        x, targets: the split.
        original: the original's outputs, `N x values`.
    """

    def __init__(self, task: Task, x: np.ndarray, targets: np.ndarray, original: np.ndarray) -> None:
        self.task, self.x, self.targets = task, x, targets
        self._sizes = Sizes(x)
        self._original = task.answers(original, x)
        self.original_score = task.metric.score(self._original, targets)

    def images(self, shape: Shape) -> np.ndarray:
        """The split's images for a network with an input of this shape."""
        return self._sizes.at(shape)

    def score(self, outputs: np.ndarray) -> float:
        """The metric of outputs `N x values`: of the built-in ones in percent, higher is better."""
        return self.task.metric.score(self.task.answers(outputs, self.x), self.targets)

    def drop(self, outputs: np.ndarray) -> tuple[float, float]:
        """The original's score minus that of outputs, and its one-sided 95 % upper bound, paired by row.

        Of top-1 only rows on which the two disagree carry information: with shares `lost` (the original alone is
        right) and `won`, the drop is `d = lost - won` and its standard error `sqrt((lost + won - d**2) / n)`.
        """
        drop, error = self.task.metric.difference(self._original, self.task.answers(outputs, self.x), self.targets)
        return drop, drop + Z95 * error


def verdict(drop: float, upper95: float, max_drop: float | None) -> Verdict:
    """`proven` if the bound is within the limit, `likely` if only the point estimate is, else `not`."""
    if max_drop is None or upper95 <= max_drop:
        return "proven"
    return "likely" if drop <= max_drop else "not"


def choose(points: Iterable[Point], resource: str = "size_bytes") -> Point | None:
    """The smallest proven point within the limits, else the smallest likely one, else None.

    Args:
        resource: by which field of `Cost` it is the smallest.
    """
    inside = [point for point in points if point.within_limits]
    for wanted in ("proven", "likely"):
        found = [point for point in inside if point.verdict == wanted]
        if found:
            return min(found, key=lambda point: (getattr(point.cost, resource), point.val_drop, point.id))
    return None
