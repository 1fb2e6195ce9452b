"""How good answers are, in percent, higher is better; and how sure a loss of it is.

A metric that is a mean over rows has the paired standard error of that mean. One that is not, such as an area under a
curve, gets its standard error from resampled rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nas import functions
from search_spaces.errors import InputError

RESAMPLES = 200

Answers = np.ndarray
Targets = np.ndarray


@dataclass(frozen=True)
class Metric:
    """One figure for a split's answers.

    Attributes:
        name: as a reader knows it, such as "top-1".
        score: of answers and targets, both `N` long; in percent for the built-in ones.
        rows: values, one a row, whose mean is the score; None where it is no mean.
    """

    name: str
    score: Callable[[Answers, Targets], float]
    rows: Callable[[Answers, Targets], np.ndarray] | None = None

    def difference(self, before: Answers, after: Answers, targets: Targets) -> tuple[float, float]:
        """`score(before) - score(after)` and its standard error over the choice of rows, paired."""
        if self.rows is not None:
            lost = self.rows(before, targets) - self.rows(after, targets)
            return float(lost.mean()), float(lost.std() / np.sqrt(len(lost)))
        rng, n = np.random.default_rng(0), len(targets)
        found = []
        for _ in range(RESAMPLES):
            rows = rng.integers(0, n, n)
            found.append(self.score(before[rows], targets[rows]) - self.score(after[rows], targets[rows]))
        spread = np.array(found)[np.isfinite(found)]
        return self.score(before, targets) - self.score(after, targets), float(spread.std()) if len(spread) else np.inf


@dataclass(frozen=True)
class Custom:
    """A user's function of answers and targets; it is looked up where it is used, so that it can go to a worker."""

    spec: str

    @cached_property
    def function(self) -> Callable[..., float]:
        return functions.load(self.spec, "metric", InputError)

    def __call__(self, answers: Answers, targets: Targets) -> float:
        found = self.function(answers, targets)
        try:
            return float(found)
        except (TypeError, ValueError):
            raise InputError(f"metric {self.spec!r} must return one number, got {type(found).__name__}") from None

    def __reduce__(self) -> tuple[type[Custom], tuple[str]]:
        return Custom, (self.spec,)


def custom(spec: str) -> Metric:
    """The metric `package.module:function`: of answers and targets, a number, higher is better."""
    return Metric(spec.rpartition(":")[2], Custom(spec))


def right(answers: Answers, labels: Targets) -> np.ndarray:
    """100 where the largest of `N x classes` is the label, else 0; the first class wins a tie."""
    return 100.0 * (answers.argmax(1) == labels)


def top1(answers: Answers, labels: Targets) -> float:
    """Rows whose largest of `N x classes` is the label, in percent."""
    return float(right(answers, labels).mean())


def labels_right(answers: Answers, labels: Targets) -> np.ndarray:
    """The share of a row's labels, in percent, that the signs of `N x labels` logits get right."""
    found: np.ndarray = 100.0 * ((answers > 0) == (labels > 0.5)).mean(1)
    return found


def label_accuracy(answers: Answers, labels: Targets) -> float:
    """Labels that the signs of `N x labels` logits get right, in percent."""
    return float(labels_right(answers, labels).mean())


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under precision over recall, as steps, of `N` scores; equal scores enter together. 0 to 1."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last row of each run of equal scores
    hits = np.cumsum(positive[order])[ends]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (ends + 1)) / hits[-1])


def mean_average_precision(answers: Answers, labels: Targets) -> float:
    """Mean over the labels that some row has, in percent; not a number without any."""
    known = np.flatnonzero(labels.any(0))
    return 100 * float(np.mean([average_precision(answers[:, k], labels[:, k] > 0.5) for k in known] or [np.nan]))


def explained(answers: Answers, targets: Targets) -> np.ndarray:
    """Values whose mean is `r2`: what each row's errors leave of the variance, in percent."""
    errors = (answers.astype(np.float64) - targets) ** 2
    found: np.ndarray = 100 * (1 - (errors / targets.astype(np.float64).var(0)).mean(1))
    return found


def r2(answers: Answers, targets: Targets) -> float:
    """Share of the targets' variance that `N x values` explain, in percent; the mean over the values."""
    return float(explained(answers, targets).mean())


def auc(scores: Answers, flags: Targets) -> float:
    """How often a flagged row has the higher of two scores, in percent, ties counting half; NaN with one kind only."""
    flagged, rest = scores[flags > 0], np.sort(scores[flags == 0])
    if not len(flagged) or not len(rest):
        return float("nan")
    below = np.searchsorted(rest, flagged, "left") + np.searchsorted(rest, flagged, "right")
    return 100 * float(below.mean()) / (2 * len(rest))


TOP1 = Metric("top-1", top1, right)
LABEL_ACCURACY = Metric("label accuracy", label_accuracy, labels_right)
MEAN_AVERAGE_PRECISION = Metric("mAP", mean_average_precision)
R2 = Metric("R²", r2, explained)
AUC = Metric("AUC", auc)
