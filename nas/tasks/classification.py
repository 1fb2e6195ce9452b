"""One class out of several for each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.tasks.losses import Loss, Softmax
from nas.tasks.metrics import TOP1
from nas.tasks.task import Task
from search_spaces.errors import DataError, ModelError, in_words
from search_spaces.graph import Shape


@dataclass(frozen=True)
class Classification(Task):
    """Targets are class numbers; an original may end in a softmax."""

    name = "classification"
    metrics = {"top1": TOP1}  # noqa: RUF012
    ending = "softmax"
    value = "classes"

    def check_model(self, input_shape: Shape, output_shape: Shape, path: object) -> None:
        super().check_model(input_shape, output_shape, path)
        if output_shape == (1,):
            advice = "say --task multilabel --metric label-accuracy for yes or no, --task regression for a number"
            raise ModelError(f"a classifier has at least two outputs, {path} has one; {advice}")

    def targets(self, given: np.ndarray, part: str, outputs: int) -> np.ndarray:
        y = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
        if y.ndim != 1 or y.dtype.kind not in "iu":
            advice = "give class numbers as integers"
            if y.ndim == 2:
                advice = "give class numbers (one_hot.argmax(1)), or say --task multilabel or regression"
            raise DataError(f"y_{part} must be N integers, got {in_words(y.shape)} of {y.dtype}; {advice}")
        y = y.astype(np.int64)
        if len(y) and (y.min() < 0 or y.max() >= outputs):
            worst = int(y.min() if y.min() < 0 else y.max())
            raise DataError(f"y_{part} must lie in 0..{outputs - 1} (the model has {outputs} outputs), got {worst}")
        return y

    def examine(self, split: str, targets: np.ndarray, outputs: int) -> list[str]:
        missing = np.flatnonzero(np.bincount(targets, minlength=outputs) == 0)
        if not len(missing):
            return []
        what = f"class {missing[0]}" if len(missing) == 1 else f"classes {', '.join(map(str, missing[:5]))}"
        if split == "train":
            raise DataError(f"every class needs images in train, {what} of the model's {outputs} has none")
        return [f"{split} holds no image of {what}: its accuracy says nothing about it."]

    def chance(self, outputs: int) -> float:
        return 100 / outputs

    def decisions(self, outputs: np.ndarray) -> np.ndarray:
        """The likeliest class, of equal ones the first."""
        found: np.ndarray = outputs.argmax(1)
        return found

    def distance(self, teacher: np.ndarray, student: np.ndarray) -> float:
        """Mean KL(teacher || student) in nats."""
        p, q = _log_softmax(teacher), _log_softmax(student)
        return float((np.exp(p) * (p - q)).sum(1).mean())

    def loss(self, teacher: np.ndarray, targets: np.ndarray) -> Loss:
        return Softmax(teacher, targets)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    centred = logits.astype(np.float64)
    centred -= centred.max(1, keepdims=True)
    found: np.ndarray = centred - np.log(np.exp(centred).sum(1, keepdims=True))
    return found
