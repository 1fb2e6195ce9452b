"""What the original does on each split: the measure of every drop, taken from the file as given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas import judge
from nas.data import DataSet
from nas.runtime import Session

TRAIN_SAMPLE = 5000
SUSPICIOUS_GAP = 1.5
"""Points by which train and validation may lie above the test set before the split is doubted."""


@dataclass(frozen=True)
class Baseline:
    """The original's answers.

    Attributes:
        logits: by split (`search_val`, `final_val`), N x classes.
        accuracy: top-1 in percent by split, a sample of `train` included.
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
        accuracy[split] = judge.accuracy(logits[split], y)
    rows = np.random.default_rng(seed).permutation(len(data.x_train))[:TRAIN_SAMPLE]
    accuracy["train"] = judge.accuracy(session.logits(data.x_train[rows]), data.y_train[rows])
    return Baseline(logits, accuracy)


def doubts(accuracy: dict[str, float], classes: int) -> list[str]:
    """What looks wrong about the original's accuracies, one sentence each."""
    found = []
    validation = (accuracy["search_val"] + accuracy["final_val"]) / 2
    if "test" in accuracy:
        test = accuracy["test"]
        if abs(accuracy["train"] - validation) < 0.3 and validation - test > SUSPICIOUS_GAP:
            found.append(
                f"the original scores {validation:.1f} % on validation as on its training images but {test:.1f} % on "
                "test: it may have seen the validation images, and then drops look larger than they are."
            )
    if validation < 150 / classes:
        found.append(
            f"the original scores {validation:.1f} % on {classes} classes, near chance: labels or input scaling may "
            "not be what it was trained with."
        )
    return found
