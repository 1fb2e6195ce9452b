"""Any number of labels for each row, such as the sounds in a recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.tasks.losses import Loss, Sigmoid, logistic
from nas.tasks.metrics import LABEL_ACCURACY, MEAN_AVERAGE_PRECISION
from nas.tasks.task import Task, table_of
from search_spaces.errors import DataError


@dataclass(frozen=True)
class MultiLabel(Task):
    """Targets are `N x labels` of 0 and 1; an original may end in a sigmoid."""

    name = "multilabel"
    metrics = {"map": MEAN_AVERAGE_PRECISION, "label-accuracy": LABEL_ACCURACY}  # noqa: RUF012
    ending = "sigmoid"
    value = "labels"

    def targets(self, given: np.ndarray, part: str, outputs: int) -> np.ndarray:
        table = table_of(given, part, outputs, "of 0 and 1 (the model's outputs)")
        strange = table[(table != 0) & (table != 1)]
        if strange.size:
            raise DataError(f"y_{part} must hold 0 and 1 only, got {float(strange[0]):g}")
        return table

    def examine(self, split: str, targets: np.ndarray, outputs: int) -> list[str]:
        missing = np.flatnonzero(~targets.any(0))
        if not len(missing):
            return []
        what = ", ".join(map(str, missing[:5]))
        if split == "train" or len(missing) == outputs:
            raise DataError(f"every label needs rows in train and some in {split}, {what} of {outputs} has none")
        return [f"{split} holds no row with label {what}: its {self.metric.name} says nothing about it."]

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Rows with the same set of labels."""
        return np.unique(targets, axis=0, return_inverse=True)[1].reshape(-1)

    def decisions(self, outputs: np.ndarray) -> np.ndarray:
        """Which labels are likelier than not."""
        found: np.ndarray = outputs > 0
        return found

    def distance(self, teacher: np.ndarray, student: np.ndarray) -> float:
        """Mean over the rows of the labels' summed binary KL(teacher || student) in nats."""
        t, s = teacher.astype(np.float64), student.astype(np.float64)
        return float((logistic(t) * (t - s) + np.logaddexp(0, s) - np.logaddexp(0, t)).sum(1).mean())

    def loss(self, teacher: np.ndarray, targets: np.ndarray) -> Loss:
        return Sigmoid(teacher, targets)
