"""Tuning the recipe inside a run: the network it is tuned on, its share of the budget, and its place in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch

from nas import timing
from nas.artefacts import RunFolder
from nas.config import RunConfig
from nas.evaluate import RealProblem, Setup
from nas.inputs import Inputs
from nas.ledger import Entry, Ledger
from nas.strategies import ladder
from nas.students.candidate import Student
from nas.training.distill import Distiller, Recipe
from nas.tuning import Score, Tuned, sentence, tune
from search_spaces.genes import Genome

ENTRY = "recipe"
STEPPING = 0.6
"""Share of its seconds that tuning plans to spend on steps: the rest goes into refits and scores, and without time for
its last trainings nothing is proven."""

DIVISOR = 3
"""The network is the ladder's of the largest feasible size divided by that."""


def tuned(
    config: RunConfig,
    inputs: Inputs,
    arrays: Mapping[str, np.ndarray],
    ledger: Ledger,
    deadline: float,
    *,
    train_on: str | None = None,
    told: Callable[[str], None],
) -> Tuned:
    """The run's recipe: from the ledger, found now and written there, or the default where none is to be looked for.

    Args:
        arrays: those of `RealProblem`.
        deadline: `time.time()` at which the run's last job should be done; tuning takes its share of what is left.
        train_on: torch's name of the device that students are trained on; None is the processor.
    """
    share = config.options.tune_share
    if not share:
        return Tuned(Recipe())
    for entry in ledger.entries:
        if entry["entry"] == ENTRY:
            return _of(entry)
    told("tuning the recipe")
    setup = Setup(
        inputs.space, inputs.device, config.runtime, inputs.limits, inputs.data.task, Recipe(), (),
        RunFolder(config.folder.resolve()), augment=inputs.augment, seed=config.seed, refitted=config.options.refitted,
        train_on=train_on,
    )  # fmt: skip
    problem = RealProblem(setup, arrays)
    genome = _network(problem)
    until = time.time() + share * (deadline - time.time())
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steps = config.parsed_budget.steps
        if steps is None:
            steps = int(STEPPING * (until - time.time()) / _step_seconds(problem, genome, config.seed))
        else:
            steps = int(share * steps)
        found = tune(
            lambda recipe, seed: _Pupil(problem, genome, recipe, seed),
            Recipe(), views=problem.views.count, steps=steps, seed=config.seed, late=lambda: time.time() > until,
        )  # fmt: skip
    finally:
        torch.set_num_threads(before)
    ledger.append(ENTRY, found.to_json())
    return found


def notes(entries: Iterable[Entry]) -> list[str]:
    """What a report should say of the recipe, if it was to be tuned."""
    return [sentence(_of(entry)) for entry in entries if entry["entry"] == ENTRY]


def _of(entry: Entry) -> Tuned:
    return Tuned.from_json({name: value for name, value in entry.items() if name != "entry"})


def _network(problem: RealProblem) -> Genome:
    space, limits = problem.space, problem.setup.limits

    def size(genome: Genome) -> float:
        return float(problem.price(genome).size_bytes)

    largest = ladder.at_size(space, size, float(limits.size_bytes or size(space.uniform(1.0))))
    return ladder.at_size(space, size, size(largest) / DIVISOR)


def _step_seconds(problem: RealProblem, genome: Genome, seed: int) -> float:
    graph = problem.space.apply(genome)
    return timing.step_seconds(graph, problem.views.at(graph.input_shape), seed=seed, on=problem.on)


class _Pupil:
    """The proxy network in training, scored in float on search_val."""

    def __init__(self, problem: RealProblem, genome: Genome, recipe: Recipe, seed: int) -> None:
        self.problem, self.graph = problem, problem.space.apply(genome)
        views = problem.views.at(self.graph.input_shape)
        self.distiller = Distiller(problem.student(genome), views, recipe, seed=seed, on=problem.on)

    def run(self, steps: int) -> None:
        self.distiller.run(steps)

    def score(self, falling: int) -> Score:
        judge, task = self.problem.judge, self.problem.task
        weights = self.distiller.cooled(max(falling, 1))
        outputs = Student(self.graph, weights, ending=task.ending).logits(judge.images(self.graph.input_shape))
        distance = task.distance(self.problem.search_logits, outputs)
        return Score(distance, judge.original_score - judge.score(outputs))
