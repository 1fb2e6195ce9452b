"""The real problem: a job becomes a trained, quantized, written and scored network. Calls the rooms in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from nas.int8.qat import Refiner
from nas.int8.quantize import Grid, Quantized, calibrate, on_grid
from nas.judge import Judge
from nas.objectives import Limits, violation
from nas.plan import COOLDOWN
from nas.prices import Prices
from nas.runtime import Session, ending_of
from nas.students.candidate import Student
from nas.students.inherit import importance, inherit
from nas.students.refit import Reference, refit
from nas.tasks import Task
from nas.training.accelerator import Accelerator
from nas.training.distill import Distiller, Recipe
from search_spaces.genes import Genome
from search_spaces.graph import Graph, Weights
from search_spaces.space import SearchSpace
from targets.cost import Cost
from targets.device import Device
from targets.lower import lower
from targets.program import Program, Runtime

REFIT_IMAGES = 256
CALIBRATION_IMAGES = 512
LOOK_IMAGES = 256
FINISH_COOLDOWN = 0.3  # share of a finish's steps with a falling rate
CHUNK = 50  # steps between two looks at the clock
AWARE_SHARE = 0.1
"""Of a finish's steps, those taken as int8 (`nas.int8.qat`) where rounding loses enough.

Rounding to 4 bits always does (2 to 18 points), so networks with such weights take steps as integers at every rung
too: as many as cool the scored copy down.
"""

WORTHWHILE = 0.3
"""Points that int8 must lose to the same weights in float, on search_val before the cool-down, for that."""


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
        train_on: what the workers' `Accelerator` is made of; None = students are trained on the processor.
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
    train_on: str | None = None


@dataclass(frozen=True)
class Scored:
    """An int8 network and its answers to search_val, by the ONNX file that stands for it."""

    quantized: Quantized
    onnx_bytes: bytes
    logits: np.ndarray
    accuracy: float


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
        self.on = None if setup.train_on is None else Accelerator(setup.train_on)
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
        if job.rung <= len(self.setup.rungs):
            left = max(1, round(job.steps * COOLDOWN)) if is_packed(graph) else 0
            return self._score(job, cost, graph, self._train(job, distiller, phases), phases, left)
        weights, left, taken = self._finish(job, graph, distiller, phases)
        found = self._score(job, cost, graph, weights, phases, left)
        return found if taken == job.steps else replace(found, taken=taken)

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
            return Distiller.resume(graph, state, views, self.setup.recipe, seed=job.seed, on=self.on)
        with phases("refit"):
            student = self.student(job.genome)
        return Distiller(student, views, self.setup.recipe, seed=job.seed, on=self.on)

    def student(self, genome: Genome) -> Student:
        """The network with all that it begins its training with."""
        graph = self.space.apply(genome)
        student = Student(graph, self._inherited(genome), ending=self.task.ending)
        student.add_norm(self.reference.at(graph.input_shape).images)
        return student

    def _train(self, job: Job, distiller: Distiller, phases: Phases) -> dict[str, np.ndarray]:
        """The scored copy's weights, after a cool-down; the uncooled state is kept for the next rung."""
        with phases("train"):
            distiller.run(job.steps)
            atomic.write_bytes(self.setup.folder.checkpoint(job.id), checkpoints.dump(distiller.state()))
            return distiller.cooled(max(2, round(job.steps * COOLDOWN)))

    def _finish(
        self, job: Job, graph: Graph, distiller: Distiller, phases: Phases
    ) -> tuple[dict[str, np.ndarray], int, int]:
        """Weights after a cool-down, how many of the job's steps are left to be taken as int8, and how many it takes.

        A look before the cool-down decides between the two ways to spend the last steps; with weights of 4 bits there
        is but one.
        """
        kept = round(job.steps * AWARE_SHARE)
        soon, late = (max(2, round(steps * FINISH_COOLDOWN)) for steps in (job.steps - kept, job.steps))
        first = job.steps - kept - soon
        with phases("train"):
            taken, in_time = self._run(job, distiller, first, soon + kept)
        if self._gains_as_int8(graph, distiller, in_time, phases):
            with phases("train"):
                return distiller.cooled(soon), kept, taken + soon + kept
        with phases("train"):
            if in_time:
                taken += self._run(job, distiller, job.steps - late - first, late)[0]
            return distiller.cooled(late), 0, taken + late

    def _gains_as_int8(self, graph: Graph, distiller: Distiller, in_time: bool, phases: Phases) -> bool:
        if is_packed(graph):
            return True
        return in_time and self._rounding_loss(graph, distiller.student.folded(), phases) >= WORTHWHILE

    def _run(self, job: Job, distiller: Distiller, steps: int, after: int) -> tuple[int, bool]:
        """Trains; how many steps, and False if the clock ended it, so that `after` more still end before the cut-off.

        A training with another seed is never cut short: it would say nothing of the one it repeats.
        """
        start = time.time()
        for done in range(0, steps, CHUNK):
            chunk = min(CHUNK, steps - done)
            distiller.run(chunk)
            if not job.repeat and self._late(start, done + chunk, after):
                return done + chunk, False
        return steps, True

    def _late(self, start: float, done: int, after: int) -> bool:
        """Would that many more steps end after the cut-off at the speed seen so far?"""
        if self.setup.cutoff is None:
            return False
        now = time.time()
        return now + (now - start) / done * after > self.setup.cutoff

    def _rounding_loss(self, graph: Graph, weights: Weights, phases: Phases) -> float:
        """Points by which int8 is worse than the same weights in float on search_val."""
        program = lower(graph, "tflm")
        grid = self._on_grid(graph, program, weights, phases)
        rounded = self._measured(graph, program, grid.quantized, phases)
        with phases("score"):
            student = Student(graph, weights, ending=self.task.ending)
            return self.judge.score(student.logits(self.judge.images(graph.input_shape))) - rounded.accuracy

    def _on_grid(self, graph: Graph, program: Program, weights: Weights, phases: Phases) -> Grid:
        with phases("quantize"):
            images = sized(self.views.images[0][:CALIBRATION_IMAGES], graph.input_shape)
            return on_grid(program, weights, calibrate(program, graph, weights, images))

    def _measured(self, graph: Graph, program: Program, quantized: Quantized, phases: Phases) -> Scored:
        with phases("write"):
            onnx_bytes = qdq_onnx(program, quantized).SerializeToString()
        with phases("score"):
            session = Session(onnx_bytes, threads=1, ending=ending_of(graph, self.task.ending, int8=True))
            logits = session.logits(self.judge.images(graph.input_shape))
            return Scored(quantized, onnx_bytes, logits, self.judge.score(logits))

    def _score(self, job: Job, cost: Cost, graph: Graph, weights: Weights, phases: Phases, left: int = 0) -> Evaluation:
        """Quantizes, trains on as int8 for the steps that are `left`, and writes both files of the better network."""
        program = lower(graph, "tflm")
        grid = self._on_grid(graph, program, weights, phases)
        best = self._measured(graph, program, grid.quantized, phases)
        note = ""
        if left:
            with phases("train"):
                views = self.views.at(graph.input_shape)
                trained = Refiner(graph, program, grid, views, self.setup.recipe, seed=job.seed, on=self.on)
                refined = trained.refine(left)
            other = self._measured(graph, program, refined, phases)
            note = f"{left} steps as int8 gained {other.accuracy - best.accuracy:+.2f} points on search_val"
            best = max(best, other, key=lambda scored: scored.accuracy)
        with phases("write"):
            files = {"onnx": best.onnx_bytes, "tflite": tflite_bytes(program, best.quantized)}
            atomic.write_bytes(self.setup.folder.onnx(job.id), files["onnx"])
            atomic.write_bytes(self.setup.folder.tflite(job.id), files["tflite"])
            cost = self.prices.of_files(cost, graph, files)
        drop = self.judge.original_score - best.accuracy
        kl = self.task.distance(self.search_logits, best.logits)
        return Evaluation(job, cost, best.accuracy, drop, kl, note=note, seconds=phases.seconds)


def is_packed(graph: Graph) -> bool:
    """Has a layer weights of 4 bits?"""
    return any(op.weight_bits < 8 for op in graph.ops)


def builder(setup: Setup) -> Callable[[Mapping[str, np.ndarray]], RealProblem]:
    """What a worker pool calls with its arrays."""
    from functools import partial

    return partial(RealProblem, setup)
