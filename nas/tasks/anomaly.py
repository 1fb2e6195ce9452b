"""Rows unlike the training rows, found by how badly an autoencoder reproduces them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.data.feed import feed
from nas.tasks.losses import Loss, Squared
from nas.tasks.metrics import AUC
from nas.tasks.task import Task
from search_spaces.errors import DataError, ModelError
from search_spaces.graph import Shape

CHUNK = 1024  # rows compared at a time


@dataclass(frozen=True)
class Anomaly(Task):
    """The model answers its own input; targets are 0 for normal rows and 1 for anomalies, training rows are normal.

    What is judged is one number a row, the mean squared error of its reproduction.
    """

    name = "anomaly"
    metrics = {"auc": AUC}  # noqa: RUF012
    labelled = False

    def check_model(self, input_shape: Shape, output_shape: Shape, path: object) -> None:
        if input_shape != output_shape:
            law = "a model for anomaly reproduces its input"
            raise ModelError(f"{law}, {path} takes {input_shape} and answers {output_shape}")

    def targets(self, given: np.ndarray, part: str, outputs: int) -> np.ndarray:
        y = given.reshape(-1) if given.ndim == 2 and given.shape[1] == 1 else given
        if y.ndim != 1 or y.dtype.kind not in "iufb" or not np.isin(y, (0, 1)).all():
            raise DataError(f"y_{part} must be N flags, 0 for normal and 1 for an anomaly, got {y.shape} of {y.dtype}")
        if part == "train" and y.any():
            raise DataError(
                f"x_train must hold normal rows only, {int(y.sum())} are flagged in y_train; leave them out"
            )
        return y.astype(np.int64)

    def examine(self, split: str, targets: np.ndarray, outputs: int) -> list[str]:
        if split != "train" and len(np.unique(targets)) < 2:
            kind = "anomalies" if targets.any() else "normal rows"
            raise DataError(f"{split} must hold normal rows and anomalies, it holds {kind} only")
        return []

    def counted(self, outputs: int) -> str:
        return f"{outputs} values reproduced"

    def chance(self, outputs: int) -> float:
        return 50.0

    def answers(self, outputs: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Mean squared error of each row's reproduction."""
        found = np.empty(len(x), np.float32)
        for first in range(0, len(x), CHUNK):
            rows = slice(first, first + CHUNK)
            wanted = feed(x[rows]).reshape(len(x[rows]), -1)
            found[rows] = ((outputs[rows] - wanted) ** 2).mean(1)
        return found

    def distance(self, teacher: np.ndarray, student: np.ndarray) -> float:
        """Mean squared difference over the variance of the original's answers."""
        return float(((teacher - student) ** 2).mean() / _variance(teacher))

    def loss(self, teacher: np.ndarray, targets: np.ndarray) -> Loss:
        """Every view is its own target."""
        return Squared(teacher, None, np.array(_variance(teacher)))


def _variance(teacher: np.ndarray) -> float:
    """The mean of the values' variances: an error counts alike wherever it is, as it does in what is judged."""
    return max(float(teacher.var(0).mean()), 1e-12)
