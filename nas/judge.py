"""How sure a drop is: the paired bound, the verdict, and which model is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.data.resize import Sizes
from nas.objectives import Limits, violation
from nas.tasks import Task
from search_spaces.graph import Shape

if TYPE_CHECKING:
    from nas.result import Point, Verdict
    from targets.cost import Cost

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

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """What the metric is of."""
        return self.task.answers(outputs, self.x)

    def resampled(self, answers: Sequence[np.ndarray], count: int, *, scored: int, seed: int) -> np.ndarray:
        """Drops of several networks on rows drawn anew, `resamplings x networks`; the same rows for all of them.

        Args:
            answers: of each network, as `answers` gives them.
            count: resamplings; only `scored` where the metric is no mean over rows, and fewer where it is undefined.
            seed: of the rows.
        """
        rng, n, metric = np.random.default_rng(seed), len(self.targets), self.task.metric
        if metric.rows is not None:
            own = metric.rows(self._original, self.targets)
            lost = np.array([own - metric.rows(one, self.targets) for one in answers]).reshape(len(answers), n)
            return np.array([lost[:, rng.integers(0, n, n)].mean(axis=1) for _ in range(count)])
        found = []
        for _ in range(scored):
            rows = rng.integers(0, n, n)
            before = metric.score(self._original[rows], self.targets[rows])
            found.append([before - metric.score(one[rows], self.targets[rows]) for one in answers])
        drops = np.array(found).reshape(scored, len(answers))
        return drops[np.isfinite(drops).all(axis=1)]

    def score(self, outputs: np.ndarray) -> float:
        """The metric of outputs `N x values`: of the built-in ones in percent, higher is better."""
        return self.task.metric.score(self.answers(outputs), self.targets)

    def drop(self, outputs: np.ndarray) -> tuple[float, float]:
        """The original's score minus that of outputs, and its one-sided 95 % upper bound, paired by row.

        Of top-1 only rows on which the two disagree carry information: with shares `lost` (the original alone is
        right) and `won`, the drop is `d = lost - won` and its standard error `sqrt((lost + won - d**2) / n)`.
        """
        drop, error = self.task.metric.difference(self._original, self.answers(outputs), self.targets)
        return drop, drop + Z95 * error


def fits(cost: Cost, limits: Limits) -> bool:
    """Is it within every limit but that on the drop?"""
    return violation(cost, limits) == 0


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
