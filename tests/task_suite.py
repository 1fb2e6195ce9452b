"""One contract for every task: its targets, its loss written out in torch, and small data to try it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nas.tasks import Task, load_task

ROWS, VALUES = 40, 3


def softmax_loss(logits: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    """alpha T^2 KL(teacher || student at temperature T) + (1 - alpha) cross-entropy, the mean of a batch."""
    log_soft, target = torch.log_softmax(logits / temperature, 1), torch.log_softmax(teacher / temperature, 1)
    divergence = (target.exp() * (target - log_soft)).sum(1).mean()
    return alpha * temperature**2 * divergence + (1 - alpha) * F.cross_entropy(logits, labels)


def sigmoid_loss(logits: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    """The same for binary labels, summed over them."""
    soft = F.binary_cross_entropy_with_logits(
        logits / temperature, torch.sigmoid(teacher / temperature), reduction="sum"
    )
    hard = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    return (alpha * temperature**2 * soft + (1 - alpha) * hard) / len(logits)


def squared_loss(variance: Tensor) -> Callable[..., Tensor]:
    """Squared differences in units of a variance."""

    def loss(outputs: Tensor, teacher: Tensor, targets: Tensor, temperature: float, alpha: float) -> Tensor:
        near, far = ((outputs - teacher) ** 2 / variance).mean(), ((outputs - targets) ** 2 / variance).mean()
        return alpha * near + (1 - alpha) * far

    return loss


@dataclass
class Case:
    """A task with data for it.

    Attributes:
        x: `ROWS` inputs, float.
        targets: of them.
        teacher: `ROWS x VALUES` outputs of a good original.
        perfect: outputs that the metric gives 100.
        wanted: what the loss draws outputs to beside the teacher, one a row.
        loss_for: from all of the original's outputs, `rows x VALUES`, to the mean loss of a batch.
        wrong: targets that are refused, and a word of why.
    """

    task: Task
    x: np.ndarray
    targets: np.ndarray
    teacher: np.ndarray
    perfect: np.ndarray
    wanted: np.ndarray
    loss_for: Callable[[np.ndarray], Callable[..., Tensor]]
    wrong: tuple[tuple[np.ndarray, str], ...]


def cases() -> dict[str, Case]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((ROWS, VALUES)).astype(np.float32)
    x = rng.standard_normal((ROWS, VALUES)).astype(np.float32)
    labels = np.arange(ROWS) % VALUES
    several = (rng.random((ROWS, VALUES)) < 0.4).astype(np.float32)
    numbers = (10 * rng.standard_normal((ROWS, VALUES)) + 50).astype(np.float32)
    flags = (np.arange(ROWS) % 4 == 0).astype(np.int64)
    one_hot = np.eye(VALUES, dtype=np.float32)[labels]
    guess, drift = numbers + noise, x + 0.1 * noise
    return {
        "classification": Case(
            load_task("classification"), x, labels, 3 * one_hot + noise, one_hot, labels, lambda teacher: softmax_loss,
            ((one_hot, "integers"), (labels + 1, r"0\.\.2"), (labels / 2, "integers")),
        ),
        "multilabel": Case(
            load_task("multilabel"), x, several, 4 * several - 2 + noise, several - 0.5, several,
            lambda teacher: sigmoid_loss,
            ((labels, "N x 3"), (several[:, :2], "N x 3"), (several * 2, "0 and 1"), (several + np.nan, "finite")),
        ),
        "regression": Case(
            load_task("regression"), x, numbers, guess, numbers, numbers,
            lambda teacher: squared_loss(torch.from_numpy(teacher.var(0))),
            ((numbers[:, :2], "N x 3"), (numbers * np.inf, "finite"), (numbers.astype(str), "N x 3")),
        ),
        "anomaly": Case(
            load_task("anomaly"), x, flags, drift, x + flags[:, None], x,
            lambda teacher: squared_loss(torch.tensor(teacher.var(0).mean())),
            ((flags + 1, "0 for normal"), (one_hot, "flags")),
        ),
    }  # fmt: skip
