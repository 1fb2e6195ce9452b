"""Numbers for each row, such as angles or concentrations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.tasks.losses import Loss, Squared
from nas.tasks.metrics import R2
from nas.tasks.task import Task, table_of
from search_spaces.errors import DataError

STRATA = 10


@dataclass(frozen=True)
class Regression(Task):
    """Targets are `N x values`, in whatever units the original answers in."""

    name = "regression"
    metrics = {"r2": R2}  # noqa: RUF012

    def targets(self, given: np.ndarray, part: str, outputs: int) -> np.ndarray:
        return table_of(given, part, outputs, "numbers (the model's outputs)")

    def examine(self, split: str, targets: np.ndarray, outputs: int) -> list[str]:
        constant = np.flatnonzero(targets.min(0) == targets.max(0))
        if len(constant):
            raise DataError(
                f"y_{split} must vary, value {constant[0]} is {float(targets[0, constant[0]]):g} in all rows"
            )
        return []

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Ten equal parts by the mean of the values, each in its own standard deviations."""
        height = ((targets - targets.mean(0)) / np.maximum(targets.std(0), 1e-12)).mean(1)
        return np.argsort(np.argsort(height, kind="stable"), kind="stable") * STRATA // len(height)

    def chance(self, outputs: int) -> float:
        return 0.0

    def distance(self, teacher: np.ndarray, student: np.ndarray) -> float:
        """Mean squared difference over the variance of the original's answers, the mean over the values."""
        return float((((teacher - student) ** 2).mean(0) / _variance(teacher)).mean())

    def loss(self, teacher: np.ndarray, targets: np.ndarray) -> Loss:
        return Squared(teacher, targets, _variance(teacher))


def _variance(teacher: np.ndarray) -> np.ndarray:
    """Of each value; one that hardly varies beside the others counts as a thousandth of the largest."""
    found = teacher.var(0)
    return np.maximum(found, max(1e-3 * float(found.max()), 1e-12))
