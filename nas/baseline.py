"""What the original does on each split: the measure of every drop, taken from the file as given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nas.data.dataset import DataSet
from nas.inputs import Inputs
from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.quantize import calibrate, quantize
from nas.judge import Judge
from nas.result import Original
from nas.runtime import Session, ending_of
from nas.tasks import Task
from search_spaces.graph import Graph, Weights
from targets.cost import Cost
from targets.lower import lower

TRAIN_SAMPLE = 5000
CALIBRATION_IMAGES = 128
MOST_MACS = 2e11
"""Multiplications that scoring the quantized original may take: about four seconds of one core."""

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


def original(found: Inputs, base: Baseline, judges: Mapping[str, Judge], cost: Cost) -> Original:
    """The original as a result has it.

    Args:
        judges: of `final_val` and `test`.
        cost: of the original as int8.
    """
    graph = found.graph
    return Original(
        found.model_name,
        found.model_path.stat().st_size,
        graph.params,
        graph.macs,
        base.accuracy | {"test": judges["test"].original_score},
        int8_accuracy(graph, found.weights, found.data.x_train, judges),
        cost,
    )


def int8_accuracy(graph: Graph, weights: Weights, images: np.ndarray, judges: Mapping[str, Judge]) -> dict[str, float]:
    """The original's metric by split after quantization without training, in onnxruntime; {} where that takes long.

    Args:
        images: to calibrate with.
        judges: by split.
    """
    if graph.macs * sum(len(judge.targets) for judge in judges.values()) > MOST_MACS:
        return {}
    program = lower(graph)
    quantized = quantize(program, weights, calibrate(program, graph, weights, images[:CALIBRATION_IMAGES]))
    ending = ending_of(graph, next(iter(judges.values())).task.ending, int8=True)
    session = Session(qdq_onnx(program, quantized).SerializeToString(), ending=ending)
    return {split: judge.score(session.logits(judge.x)) for split, judge in judges.items()}


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
