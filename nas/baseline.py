"""What the original does on each split: the measure of every drop, taken from the file as given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.data.dataset import DataSet
from nas.judge import Judge
from nas.runtime import Session
from nas.tasks import Task

TRAIN_SAMPLE = 5000
SUSPICIOUS_GAP = 1.5
"""Points by which train and validation may lie above the test set before the split is doubted."""


@dataclass(frozen=True)
class Baseline:
    """The original's answers.

    Attributes:
        logits: by split (`search_val`, `final_val`), N x values.
        accuracy: the task's metric by split; a sample of `train` included where it can be judged.
    """

    logits: dict[str, np.ndarray]
    accuracy: dict[str, float]


def measure(session: Session, data: DataSet, *, seed: int) -> Baseline:
    """Scores the original on everything but the test set, which waits for the end."""
    logits = {}
    accuracy = {}
    for split in ("search_val", "final_val"):
        x, y = data.splits[split]
        logits[split] = session.logits(x)
        accuracy[split] = Judge(data.task, x, y, logits[split]).original_score
    if data.task.labelled:
        rows = np.random.default_rng(seed).permutation(len(data.x_train))[:TRAIN_SAMPLE]
        x, y = data.x_train[rows], data.y_train[rows]
        accuracy["train"] = Judge(data.task, x, y, session.logits(x)).original_score
    return Baseline(logits, accuracy)


def doubts(accuracy: dict[str, float], task: Task, outputs: int) -> list[str]:
    """What looks wrong about the original's accuracies, one sentence each."""
    found = []
    validation = (accuracy["search_val"] + accuracy["final_val"]) / 2
    if "test" in accuracy and "train" in accuracy:
        test = accuracy["test"]
        if abs(accuracy["train"] - validation) < 0.3 and validation - test > SUSPICIOUS_GAP:
            found.append(
                f"the original scores {validation:.1f} % on validation as on its training images but {test:.1f} % on "
                "test: it may have seen the validation images, and then drops look larger than they are."
            )
    chance = task.chance(outputs) if task.metric in task.metrics.values() else None
    if chance is not None and validation < chance + (100 - chance) / 20:
        found.append(
            f"the original scores {validation:.1f} % on {task.counted(outputs)}, near chance: targets or input scaling "
            "may not be what it was trained with."
        )
    return found
