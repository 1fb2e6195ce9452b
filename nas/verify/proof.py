"""One network's proof: several runtimes answer to the same int8 images, and their answers are held against the law.

The law: the compiled C answers what TFLM's interpreter does, byte for byte; both answer what LiteRT's reference kernels
do to within one step; and onnxruntime, whose requantization rounds as floats do, decides the same on nearly all images.
Who breaks it is named with the operator that is the first to differ. Networks with weights of 4 bits have no C.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.runtime import Ending
from nas.tasks import Task
from nas.verify import litert
from nas.verify.record import Answers, Proof
from nas.verify.runner import LITERT, ONNX, TFLM, C, Exported, Runner
from search_spaces.errors import ModelError

TOLERANCES = ((C, TFLM, 0), (TFLM, LITERT, 1), (C, LITERT, 1))
"""Two runtimes, and by how many steps of the int8 output they may differ."""

LEAST_AGREEMENT = 80.0
"""Percent of images on which onnxruntime must decide as LiteRT's reference kernels do.

Rounding alone costs deep networks that were hardly trained up to ten points (`experiments/deploy`); another network's
file costs far more.
"""

CUT_IMAGES = 8  # of those that differ, so many are run through parts of the network


@dataclass(frozen=True)
class Samples:
    """Test rows and how answers to them are judged.

    Attributes:
        task: says what a score and a decision is.
        x, targets: as the data set has them.
        images: the same rows at the size that the network takes.
        ending: what its last operator did to its outputs, to be undone; None = nothing.
    """

    task: Task
    x: np.ndarray
    targets: np.ndarray
    images: np.ndarray
    ending: Ending | None = None

    def outputs(self, model: Exported, answers: np.ndarray) -> np.ndarray:
        """int8 answers as the task takes them, `N x values`."""
        outputs = model.output.values(answers).reshape(len(answers), -1)
        return outputs if self.ending is None else self.ending.undone(outputs)

    def score(self, outputs: np.ndarray) -> float | None:
        """The metric; None where these rows do not tell."""
        found = self.task.metric.score(self.task.answers(outputs, self.x), self.targets)
        return None if math.isnan(found) else float(found)


def proof(name: str, model: Exported, samples: Samples, runners: Sequence[Runner]) -> Proof:
    """The proof of one network.

    Args:
        name: of the point.
        runners: those that are there; `LITERT` among them.
    """
    images = model.input.quantized(samples.images)
    runners = [runner for runner in runners if runner.name != C or not model.packed]
    found: dict[str, np.ndarray] = {}
    broken = []
    for runner in runners:
        try:
            found[runner.name] = runner.answers(model, images)
        except ModelError as error:
            broken.append(str(error))
    by_name = {runner.name: runner for runner in runners}
    for one, other, tolerance in TOLERANCES:
        if one in found and other in found:
            pair = by_name[one], by_name[other]
            broken += _difference(model, images, pair, (found[one], found[other]), tolerance)
    rows = _compared(model, samples, found)
    for row in rows:
        if row.runtime == ONNX and row.agreement is not None and row.agreement < LEAST_AGREEMENT:
            law = f"{ONNX} must decide as {LITERT} on {LEAST_AGREEMENT:g} % of the images"
            broken.append(f"{law}, does on {row.agreement:.1f} %")
    return Proof(name, len(images), found[LITERT].size, rows, tuple(broken))


def _compared(model: Exported, samples: Samples, found: dict[str, np.ndarray]) -> tuple[Answers, ...]:
    """Every runtime's answers beside those of `LITERT`."""
    reference = found[LITERT].astype(np.int16)
    wanted = samples.task.decisions(samples.outputs(model, found[LITERT]))
    rows = []
    for name, answers in found.items():
        outputs, apart = samples.outputs(model, answers), np.abs(answers - reference)
        decided = samples.task.decisions(outputs)
        agreement = None
        if wanted is not None and decided is not None:
            agreement = 100 * float((decided == wanted).reshape(len(wanted), -1).all(1).mean())
        rows.append(Answers(name, samples.score(outputs), agreement, int((apart > 0).sum()), int(apart.max())))
    return tuple(rows)


def _difference(
    model: Exported,
    images: np.ndarray,
    runners: tuple[Runner, Runner],
    found: tuple[np.ndarray, np.ndarray],
    tolerance: int,
) -> list[str]:
    """A sentence if two runtimes are further apart than they may be."""
    apart = np.abs(found[0].astype(np.int16) - found[1]).max(1)
    wrong = np.flatnonzero(apart > tolerance)
    if not len(wrong):
        return []
    one, other = runners
    law = f"{one.name} must answer as {other.name} {f'to within {tolerance} step' if tolerance else 'byte for byte'}"
    said = f"{law}, is up to {apart.max()} off on {len(wrong)} of {len(images)} images"
    try:
        return [f"{said}; the first operator that differs is {culprit(model, images[wrong], one, other)}"]
    except ModelError as error:
        return [f"{said}; where it begins is not known, {error}"]


def culprit(model: Exported, images: np.ndarray, one: Runner, other: Runner) -> str:
    """The operator behind which two runtimes differ and before which they do not, found by halves.

    Args:
        images: int8; the whole network's answers to them differ.

    Raises:
        ModelError: a runtime does not run a part of the network.
    """
    images = images[:CUT_IMAGES]
    names = litert.operators(model)
    alike, differing = 0, len(names)
    while differing - alike > 1:
        middle = (alike + differing) // 2
        part = litert.head(model, middle)
        if np.array_equal(one.answers(part, images), other.answers(part, images)):
            alike = middle
        else:
            differing = middle
    return names[differing - 1]
