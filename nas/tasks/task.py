"""What a model is for: which targets its data has, how answers are scored, and what a student learns by.

A `Task` is the plug between all that trains, judges and reports, which knows no labels, and one kind of problem.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nas.tasks.losses import Loss
from nas.tasks.metrics import Metric
from search_spaces.errors import DataError, ModelError, in_words
from search_spaces.graph import Shape


@dataclass(frozen=True)
class Task(ABC):
    """One kind of problem, judged by one metric.

    Attributes:
        metric: how answers are judged.
        name: as `--task` takes it.
        metrics: by the names that `--metric` takes, the default first.
        ending: the activation that is left out of training where a graph ends in it; "" = none.
        labelled: the training rows need targets.
    """

    metric: Metric
    name: ClassVar[str]
    metrics: ClassVar[Mapping[str, Metric]]
    ending: ClassVar[str] = ""
    labelled: ClassVar[bool] = True

    def check_model(self, input_shape: Shape, output_shape: Shape, path: object) -> None:
        """Raises ModelError where a model with that output is not for this task."""
        if len(output_shape) != 1:
            raise ModelError(
                f"a model for {self.name} has one output of N x {self.value}, {path} has N x {in_words(output_shape)}"
            )

    value: ClassVar[str] = "values"  # what an output holds, in the plural

    @abstractmethod
    def targets(self, given: np.ndarray, part: str, outputs: int) -> np.ndarray:
        """The targets of a part of the data, checked and brought to their dtype.

        Args:
            given: `y_<part>` as it was found.
            outputs: how many numbers the model answers.

        Raises:
            DataError: they do not fit.
        """

    def examine(self, split: str, targets: np.ndarray, outputs: int) -> list[str]:
        """Remarks on a split's targets, one sentence each.

        Raises:
            DataError: nothing can be learned from, or judged on, such targets.
        """
        return []

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """A code for each row; a split made here shares out the rows of each code evenly."""
        return targets

    def counted(self, outputs: int) -> str:
        """ "10 classes": what a model with so many outputs tells apart."""
        return f"{outputs} {self.value}"

    def chance(self, outputs: int) -> float | None:
        """What the task's own metrics give to guesses, in percent; None where that is not known."""
        return None

    def answers(self, outputs: np.ndarray, x: np.ndarray) -> np.ndarray:
        """What is judged, `N` long: the outputs themselves, `N x values`, unless the task is about the inputs `x`."""
        return outputs

    def decisions(self, outputs: np.ndarray) -> np.ndarray | None:
        """What outputs `N x values` decide, `N` long and equal where they decide the same; None where nothing is."""
        return None

    @abstractmethod
    def distance(self, teacher: np.ndarray, student: np.ndarray) -> float:
        """How far a student's outputs are from the original's, both `N x values`; 0 where they are equal."""

    @abstractmethod
    def loss(self, teacher: np.ndarray, targets: np.ndarray) -> Loss:
        """What students are trained by.

        Args:
            teacher: the original's outputs, `(views x N) x values`.
            targets: of the `N` rows.
        """


def table_of(given: np.ndarray, part: str, outputs: int, what: str) -> np.ndarray:
    """Targets as finite float32, `N x outputs`; a single column may be given flat.

    Raises:
        DataError: they have another shape, or hold something else.
    """
    found = given[:, None] if given.ndim == 1 and outputs == 1 else given
    if found.ndim != 2 or found.shape[1] != outputs or found.dtype.kind not in "iufb":
        raise DataError(f"y_{part} must be N x {outputs} {what}, got {in_words(given.shape)} of {given.dtype}")
    table = found.astype(np.float32)
    if not np.isfinite(table).all():
        raise DataError(
            f"y_{part} must hold finite numbers only, row {int(np.argwhere(~np.isfinite(table))[0, 0])} does not"
        )
    return table
