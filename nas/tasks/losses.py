"""What a student loses by answering otherwise than the original and the targets: gradients to its outputs.

Every loss is the mean over a batch of `alpha` times the distance to the original's answers and `1 - alpha` times that
to the targets. Outputs and gradients lie as `values x N`; a row number counts views and pictures, `rows % N` pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np


class Loss(Protocol):
    """The original's answers and the targets of all rows, and what follows from them."""

    def gradient(
        self,
        outputs: np.ndarray,
        rows: np.ndarray,
        images: Callable[[], np.ndarray],
        temperature: float,
        alpha: float,
        into: np.ndarray,
    ) -> None:
        """Writes the gradient of the mean loss of some rows to a student's outputs; both `values x len(rows)`.

        Args:
            images: gives what the student was fed, `values x len(rows)`.
        """


class Softmax:
    """alpha T^2 KL(teacher || student at temperature T) + (1 - alpha) cross-entropy (arXiv:1503.02531).

    Args:
        teacher: `(views x N) x classes` logits.
        labels: `N` class numbers.
    """

    def __init__(self, teacher: np.ndarray, labels: np.ndarray) -> None:
        self.teacher, self.labels = teacher, np.ascontiguousarray(labels, np.int64)

    def gradient(
        self,
        outputs: np.ndarray,
        rows: np.ndarray,
        images: Callable[[], np.ndarray],
        temperature: float,
        alpha: float,
        into: np.ndarray,
    ) -> None:
        from nas.training import kernels  # it takes a second to load, and only training needs it

        pictures = rows % len(self.labels)
        kernels.distillation(outputs, self.teacher, rows, self.labels, pictures, temperature, alpha, into)


class Sigmoid:
    """The same for labels that do not exclude each other: binary KL and cross-entropy, summed over the labels.

    Args:
        teacher: `(views x N) x labels` logits.
        labels: `N x labels`, 0 or 1.
    """

    def __init__(self, teacher: np.ndarray, labels: np.ndarray) -> None:
        self.teacher, self.labels = teacher, labels

    def gradient(
        self,
        outputs: np.ndarray,
        rows: np.ndarray,
        images: Callable[[], np.ndarray],
        temperature: float,
        alpha: float,
        into: np.ndarray,
    ) -> None:
        soft = logistic(outputs / temperature) - logistic(self.teacher[rows].T / temperature)
        hard = logistic(outputs) - self.labels[rows % len(self.labels)].T
        into[:] = (alpha * temperature * soft + (1 - alpha) * hard) / len(rows)


class Squared:
    """The mean over the values of squared differences, each divided by the variance of the original's answers.

    Args:
        teacher: `(views x N) x values`.
        targets: `N x values`; None where what a student is fed is what it should answer.
        variance: of each value, or one for all.
    """

    def __init__(self, teacher: np.ndarray, targets: np.ndarray | None, variance: np.ndarray) -> None:
        self.teacher, self.targets = teacher, targets
        self._weights = np.reshape(2 / teacher.shape[1] / variance, (-1, 1)).astype(np.float32)

    def gradient(
        self,
        outputs: np.ndarray,
        rows: np.ndarray,
        images: Callable[[], np.ndarray],
        temperature: float,
        alpha: float,
        into: np.ndarray,
    ) -> None:
        targets = images() if self.targets is None else self.targets[rows % len(self.targets)].T
        wanted = alpha * self.teacher[rows].T + (1 - alpha) * targets
        into[:] = (outputs - wanted) * self._weights / len(rows)


def logistic(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), without overflow."""
    found: np.ndarray = 0.5 + 0.5 * np.tanh(0.5 * logits)
    return found
