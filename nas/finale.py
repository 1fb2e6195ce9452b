"""The end of a run: exported files are scored on images the search never saw, judged, and put in order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from nas import atomic, judge, pareto, wording
from nas.artefacts import RunFolder
from nas.evaluation import Evaluation, Job
from nas.judge import Judge
from nas.objectives import OBJECTIVES, Limits, objective_vector, reference_point, value_of, violation
from nas.result import ArchiveRow, Point
from nas.runtime import Session, ending_of
from nas.verify import litert
from nas.verify.litert import LiteRT
from search_spaces.genes import Genome
from search_spaces.graph import Graph
from search_spaces.space import SearchSpace
from targets.cost import Cost

MOST = 24
"""So many candidates are scored on final_val at most, the best by search_val first."""


REFERENCE_MACS = 4e10
"""Multiplications that the test images may take in LiteRT's reference kernels, 3e9 a second of one core.

The quickstart's points take 2 to 3e10. Where they take more, the built-in kernels answer five times faster: they round
a value in a thousand otherwise, and through a deep network that decides otherwise on an image in a hundred or two.
"""


BUILTIN_NOTE = (
    "the test images were too many for TFLite's reference kernels: test accuracies are those of its built-in kernels, "
    "which round a little otherwise; nas verify takes the reference kernels on some of the images."
)


def contenders(
    evaluations: Iterable[Evaluation], finish_rung: int, names: tuple[str, ...] = OBJECTIVES
) -> list[Evaluation]:
    """Who is scored on final_val: each genome's furthest training; finishes, then by non-dominated rank."""
    furthest: dict[Genome, Evaluation] = {}
    for evaluation in evaluations:
        if evaluation.status != "ok" or evaluation.drop is None or evaluation.cost is None:
            continue
        before = furthest.get(evaluation.job.genome)
        if before is None or evaluation.job.rung > before.job.rung:
            furthest[evaluation.job.genome] = evaluation
    found = list(furthest.values())
    if not found:
        return []
    rank = pareto.ranks(np.array([_plain(e.cost, e.drop, names) for e in found]))  # type: ignore[arg-type]
    keyed = sorted(zip(found, rank, strict=True), key=lambda p: (p[0].job.rung < finish_rung, p[1], p[0].job.id))
    return [evaluation for evaluation, _ in keyed[:MOST]]


def trained_steps(evaluations: Iterable[Evaluation]) -> dict[str, int]:
    """By job id, the training steps of that job and of those whose checkpoints it continues."""
    found: dict[str, int] = {}
    for evaluation in evaluations:  # in order of arrival: a checkpoint's job comes before whoever continues it
        job = evaluation.job
        found[job.id] = evaluation.steps + (found.get(job.origin, 0) if job.origin else 0)
    return found


def phase_seconds(evaluations: Iterable[Evaluation]) -> tuple[float, float, float]:
    """Worker seconds of training, of quantizing, and of the other arithmetic (refit, scoring)."""
    train = quantize = other = 0.0
    for evaluation in evaluations:
        for phase, seconds in evaluation.seconds.items():
            if phase == "train":
                train += seconds
            elif phase == "quantize":
                quantize += seconds
            elif phase != "write":
                other += seconds
    return train, quantize, other


def score(
    found: list[Evaluation],
    space: SearchSpace,
    final: Judge,
    limits: Limits,
    folder: RunFolder,
    ladder: set[Genome],
    steps: Mapping[str, int],
    *,
    threads: int,
    until: float | None = None,
    finish_rung: int = 0,
) -> tuple[list[Point], dict[str, np.ndarray]]:
    """Points from exported files on final_val, test figures still missing, and by id what their files answered.

    Args:
        final: of the final_val images.
        until: `time.time()` from which on only finishes, the jobs of `finish_rung`, are still scored.
    """
    points: list[Point] = []
    answered: dict[str, np.ndarray] = {}
    for evaluation in found:
        job, cost = evaluation.job, evaluation.cost
        if until is not None and job.rung < finish_rung and time.time() > until and points:
            break
        assert cost is not None
        assert evaluation.drop is not None
        graph = space.apply(job.genome)
        logits = answers(folder, job.id, graph, final, threads=threads)
        drop, upper = final.drop(logits)
        answered[job.genome.key] = final.answers(logits)
        home = f"models/{job.genome.key}"
        points.append(
            Point(
                id=job.genome.key,
                values=space.values(job.genome),
                input_shape=graph.input_shape,
                cost=cost,
                steps=steps[job.id],
                search_drop=evaluation.drop,
                val_accuracy=final.score(logits),
                val_drop=drop,
                val_drop_upper95=upper,
                verdict=judge.verdict(drop, upper, limits.drop),
                test_accuracy=None,
                test_drop=None,
                onnx=f"{home}/model.onnx",
                tflite=f"{home}/model.tflite",
                on_front=False,
                within_limits=violation(cost, limits, drop) == 0,
                is_ladder=job.genome in ladder,
            )
        )
    return points, answered


def mark_front(points: list[Point], names: tuple[str, ...] = OBJECTIVES) -> list[Point]:
    """The same points, those on the front within the limits marked, and its knee; drops are those on final_val."""
    inside = [k for k, point in enumerate(points) if point.within_limits]
    if not inside:
        return points
    vectors = np.array([_plain(points[k].cost, points[k].val_drop, names) for k in inside])
    chosen = [inside[k] for k in pareto.front(vectors)]
    axes = np.array([objective_vector(points[k].cost, points[k].val_drop, names) for k in chosen])
    bend = pareto.knee(axes)
    knee = None if bend is None else chosen[bend]
    return [replace(point, on_front=k in chosen, knee=k == knee) for k, point in enumerate(points)]


def _plain(cost: Cost, drop: float, names: tuple[str, ...]) -> list[float]:
    """The objectives in plain units: a drop below zero still counts."""
    return [value_of(name, cost, drop) for name in names]


def score_test(
    points: list[Point],
    jobs: Mapping[str, Job],
    space: SearchSpace,
    test: Judge,
    folder: RunFolder,
    *,
    threads: int,
    reference: bool = True,
) -> list[Point]:
    """Fills in the test figures, once, from the `.tflite` files in LiteRT; nothing is chosen by them.

    Args:
        jobs: by point id.
        test: of the test images.
        reference: in the reference kernels, else in the built-in ones (`affordable`).
    """
    kernels = LiteRT(reference=reference, threads=threads)
    scored = []
    for point in points:
        job = jobs[point.id]
        accuracy = test.score(shipped_answers(folder, job.id, space.apply(job.genome), test, kernels))
        scored.append(replace(point, test_accuracy=accuracy, test_drop=test.original_score - accuracy))
    return scored


def answers(folder: RunFolder, job_id: str, graph: Graph, judge: Judge, *, threads: int) -> np.ndarray:
    """What a job's ONNX file, of that network, answers to a judge's images in onnxruntime, `N x values`."""
    ending = ending_of(graph, judge.task.ending, int8=True)
    session = Session(folder.onnx(job_id).read_bytes(), threads=threads, ending=ending)
    return session.logits(judge.images(graph.input_shape))


def affordable(points: Iterable[Point], images: int) -> bool:
    """Is there time to score these points on so many images in LiteRT's reference kernels?"""
    return sum(point.cost.macs for point in points) * images <= REFERENCE_MACS


def shipped_answers(folder: RunFolder, job_id: str, graph: Graph, judge: Judge, kernels: LiteRT) -> np.ndarray:
    """What a job's `.tflite` file answers to a judge's images, `N x values`."""
    model = litert.exported(folder.tflite(job_id).read_bytes())
    images = model.input.quantized(judge.images(graph.input_shape))
    answers = kernels.answers(model, images)
    outputs = model.output.values(answers).reshape(len(answers), -1)
    ending = ending_of(graph, judge.task.ending, int8=True)
    return outputs if ending is None else ending.undone(outputs)


def publish(point: Point, job_id: str, folder: RunFolder, genome: Genome) -> None:
    """Puts a point's files into `models/<id>/`."""
    home = folder.models / point.id
    for source, name in ((folder.onnx(job_id), "model.onnx"), (folder.tflite(job_id), "model.tflite")):
        atomic.write_bytes(home / name, source.read_bytes())
    content = {"genome": genome.to_json(), "values": point.values, "input_shape": point.input_shape}
    atomic.write_text(home / "genome.json", json.dumps(content, indent=1) + "\n")


def hypervolume(
    found: Iterable[tuple[Cost, float]], limits: Limits, original: Cost, names: tuple[str, ...] = OBJECTIVES
) -> float:
    """What prices and drops dominate below the limits, see `reference_point`."""
    vectors = [objective_vector(cost, drop, names) for cost, drop in found]
    return pareto.hypervolume(np.array(vectors), reference_point(limits, names, original)) if vectors else 0.0


def binding_sentence(
    chosen: Point | None, points: list[Point], limits: Limits, evaluations: Iterable[Evaluation] = ()
) -> str:
    """Which limit stops the chosen model, or, without one, the nearest misses."""
    if chosen is not None:
        return wording.binding_sentence(chosen.cost, limits, chosen.val_drop_upper95)
    nearest = min(points, key=lambda p: violation(p.cost, limits, p.val_drop), default=None)
    failures = [evaluation.note for evaluation in evaluations if evaluation.status == "failed"]
    if nearest is None and failures:
        return f"No candidate could be scored; the last one said: {failures[-1]}"
    if nearest is None:
        return "No candidate was trained before the budget ended."
    sentence = wording.binding_sentence(nearest.cost, limits, nearest.val_drop)
    return f"Nothing meets the limits; nearest: {sentence}"


def archive(evaluations: Iterable[Evaluation], ladder: set[Genome]) -> tuple[ArchiveRow, ...]:
    """Every evaluation of the search as a row."""
    return tuple(
        ArchiveRow(
            e.job.genome.key,
            e.job.rung,
            e.steps,
            e.cost,
            e.accuracy,
            e.drop,
            e.kl,
            e.status,
            e.job.genome in ladder,
        )
        for e in evaluations
    )
