"""The real problem: a job becomes a trained, quantized, written and scored network. Calls the rooms in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nas import atomic, checkpoints
from nas.artefacts import RunFolder
from nas.data.augment import Preset
from nas.data.feed import feed
from nas.data.resize import sized
from nas.data.views import Views
from nas.evaluation import Evaluation, Job
from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import calibrate, quantize
from nas.judge import Judge
from nas.objectives import Limits, violation
from nas.plan import COOLDOWN
from nas.prices import Prices
from nas.runtime import Session, ending_of
from nas.students.candidate import Student
from nas.students.inherit import importance, inherit
from nas.students.refit import Reference, refit
from nas.tasks import Task
from nas.training.distill import Distiller, Recipe
from search_spaces.genes import Genome
from search_spaces.graph import Graph, Weights
from search_spaces.space import SearchSpace
from targets.cost import Cost
from targets.device import Device
from targets.lower import lower
from targets.program import Runtime

REFIT_IMAGES = 256
CALIBRATION_IMAGES = 512
LOOK_IMAGES = 256
FINISH_COOLDOWN = 0.3  # share of a finish's steps with a falling rate
CHUNK = 50  # steps between two looks at the clock


@dataclass(frozen=True)
class Setup:
    """What a worker needs beside the arrays.

    Attributes:
        space: the space the genomes belong to.
        device, runtime, limits: what prices and limits refer to.
        task: what students are trained for and scored by.
        recipe: how they are trained.
        rungs: the plan's rungs; a job beyond the last is a finish.
        folder: where checkpoints and scored files go; shared by all workers.
        cutoff: `time.time()` at which a finish must begin to cool down whatever its plan says; None without a clock.
        augment, seed: how the views were made that are too large to be kept.
        refitted: inherited weights are solved by least squares; else they are cut out of the original's and no more.
    """

    space: SearchSpace
    device: Device
    runtime: Runtime
    limits: Limits
    task: Task
    recipe: Recipe
    rungs: tuple[int, ...]
    folder: RunFolder
    cutoff: float | None = None
    augment: Preset = "none"
    seed: int = 0
    refitted: bool = True


@dataclass
class Phases:
    """Wall seconds of a job's phases."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class RealProblem:
    """Trains and scores candidates of one space.

    Args:
        setup: small things.
        arrays: `view_images` K x N x ... (1 x N x ... where K are too many to keep), `view_logits` K x N x values,
            `y_train`, `x_search`, `y_search`, `search_logits`, and the original's weights as `weight:<name>`.
    """

    def __init__(self, setup: Setup, arrays: Mapping[str, np.ndarray]) -> None:
        self.setup = setup
        self.space, self.task = setup.space, setup.task
        images, logits, targets = arrays["view_images"], arrays["view_logits"], arrays["y_train"]
        self.views = Views(images, logits, targets, setup.task, preset=setup.augment, seed=setup.seed)
        self.search_logits = arrays["search_logits"]
        self.judge = Judge(setup.task, arrays["x_search"], arrays["y_search"], self.search_logits)
        self.weights: Weights = {
            name.removeprefix("weight:"): array for name, array in arrays.items() if name.startswith("weight:")
        }
        self.prices = Prices(setup.space, setup.device, setup.runtime, setup.limits, setup.folder.told)

    @cached_property
    def order(self) -> dict[int, np.ndarray]:
        return importance(self.space.graph, self.weights, self.space.channels, self.reference)

    @cached_property
    def reference(self) -> Reference:
        images = feed(self.views.images[0][:REFIT_IMAGES])
        return Reference(self.space.graph, self.weights, images)

    def price(self, genome: Genome) -> Cost:
        return self.prices.price(genome)

    def evaluate(self, job: Job) -> Evaluation:
        phases = Phases()
        cost = self.price(job.genome)
        if violation(cost, self.setup.limits) > 0:
            return Evaluation(job, cost, status="infeasible", note="over a limit; not trained")
        graph = self.space.apply(job.genome)
        if off := self.prices.off_npu(graph):
            return Evaluation(job, cost, status="infeasible", note=f"not trained: {off}")
        if job.rung == 0:
            with phases("refit"):
                weights = self._inherited(job.genome)
            with phases("score"):
                kl = self._look(graph, weights)
            return Evaluation(job, cost, kl=kl, seconds=phases.seconds)
        distiller = self._distiller(job, graph, phases)
        weights = self._train(job, distiller, phases)
        return self._score(job, cost, graph, weights, phases)

    def _inherited(self, genome: Genome) -> dict[str, np.ndarray]:
        """What a student begins with; layers in two parts are always solved."""
        if self.setup.refitted or self.space.factors(genome):
            return refit(self.space, genome, self.weights, self.reference, self.order)
        return inherit(self.space, genome, self.weights, self.order)

    def _look(self, graph: Graph, weights: Weights) -> float:
        """Distance of an untrained student to the original's logits on a few search_val images."""
        rows = slice(0, LOOK_IMAGES)
        images = self.judge.images(graph.input_shape)[rows]
        logits = Student(graph, weights, ending=self.task.ending).logits(images)
        return self.task.distance(self.search_logits[rows], logits)

    def _distiller(self, job: Job, graph: Graph, phases: Phases) -> Distiller:
        views = self.views.at(graph.input_shape)
        if job.origin is not None:
            state = checkpoints.load(self.setup.folder.checkpoint(job.origin))
            return Distiller.resume(graph, state, views, self.setup.recipe, seed=job.seed)
        with phases("refit"):
            weights = self._inherited(job.genome)
            student = Student(graph, weights, ending=self.task.ending)
            student.add_norm(self.reference.at(graph.input_shape).images)
        return Distiller(student, views, self.setup.recipe, seed=job.seed)

    def _train(self, job: Job, distiller: Distiller, phases: Phases) -> dict[str, np.ndarray]:
        """The scored copy's weights, after a cool-down; the uncooled state is kept for the next rung."""
        finish = job.rung > len(self.setup.rungs)
        cool = max(2, round(job.steps * (FINISH_COOLDOWN if finish else COOLDOWN)))
        steps = job.steps - cool if finish else job.steps
        with phases("train"):
            done = 0
            start = time.time()
            while done < steps:
                chunk = min(CHUNK, steps - done)
                distiller.run(chunk)
                done += chunk
                if finish and self._late(start, done, cool):
                    break
            if not finish:
                atomic.write_bytes(self.setup.folder.checkpoint(job.id), checkpoints.dump(distiller.state()))
            return distiller.cooled(cool)

    def _late(self, start: float, done: int, cool: int) -> bool:
        """Would the cool-down end after the cut-off at the speed seen so far?"""
        if self.setup.cutoff is None:
            return False
        now = time.time()
        return now + (now - start) / done * cool > self.setup.cutoff

    def _score(
        self, job: Job, cost: Cost, graph: Graph, weights: Mapping[str, np.ndarray], phases: Phases
    ) -> Evaluation:
        """Quantizes, writes both files, and measures the ONNX file that was written."""
        program = lower(graph, "tflm")
        with phases("quantize"):
            images = sized(self.views.images[0][:CALIBRATION_IMAGES], graph.input_shape)
            ranges = calibrate(program, graph, weights, images)
            quantized = quantize(program, weights, ranges)
        with phases("write"):
            onnx_bytes = qdq_onnx(program, quantized).SerializeToString()
            files = {"onnx": onnx_bytes, "tflite": tflite_bytes(program, quantized)}
            atomic.write_bytes(self.setup.folder.onnx(job.id), files["onnx"])
            atomic.write_bytes(self.setup.folder.tflite(job.id), files["tflite"])
            cost = self.prices.of_files(cost, graph, files)
        with phases("score"):
            session = Session(onnx_bytes, threads=1, ending=ending_of(graph, self.task.ending, int8=True))
            logits = session.logits(self.judge.images(graph.input_shape))
            accuracy = self.judge.score(logits)
            kl = self.task.distance(self.search_logits, logits)
        drop = self.judge.original_score - accuracy
        return Evaluation(job, cost, accuracy, drop, kl, seconds=phases.seconds)


def builder(setup: Setup) -> Callable[[Mapping[str, np.ndarray]], RealProblem]:
    """What a worker pool calls with its arrays."""
    from functools import partial

    return partial(RealProblem, setup)
