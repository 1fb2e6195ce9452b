"""How long a training step and a look take on this machine, from a few warmed-up steps per network size."""

from __future__ import annotations

import time

import numpy as np
import torch

from nas.data.views import Views
from nas.inputs import Inputs
from nas.plan import fit_prices
from nas.strategies import ladder
from nas.students.candidate import Student
from nas.training.accelerator import Accelerator
from nas.training.distill import Distiller, Recipe
from search_spaces.genes import Genome
from search_spaces.graph import Graph, Weights
from targets.cost import estimate

WARM_UP = 3
STEPS = 8
DIVISORS = (1, 3, 9)
"""The timed networks: the largest feasible one, and ladder networks that many times smaller."""

LOOKS_IN_STEPS = 25.0
"""A look (inherit, refit, calibrate, write, score) in training steps of a mid-sized candidate; corrected by pacing."""


def measure(inputs: Inputs, *, seed: int, on: Accelerator | None = None) -> tuple[tuple[float, float], float, float]:
    """`((per_op, per_mac), look, step)` in seconds on one thread; `step` is that of the mid-sized network.

    Args:
        on: what trains; None is the processor.
    """
    space, device = inputs.space, inputs.device

    def size(genome: Genome) -> float:
        return float(estimate(space.apply(genome), device, "tflm").size_bytes)

    limit = float(inputs.limits.size_bytes or size(space.uniform(1.0)))
    largest = size(ladder.at_size(space, size, limit))
    graphs = [space.apply(ladder.at_size(space, size, largest / d)) for d in DIVISORS]
    data = inputs.data
    rows = slice(0, 1024)
    blank = np.zeros((1, len(data.x_train[rows]), data.outputs), np.float32)
    views = Views(data.x_train[rows][None], blank, data.y_train[rows], data.task)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = [step_seconds(graph, views.at(graph.input_shape), seed=seed, on=on) for graph in graphs]
    finally:
        torch.set_num_threads(before)
    return fit_prices(graphs, seconds), LOOKS_IN_STEPS * seconds[1], seconds[1]


def step_seconds(graph: Graph, views: Views, *, seed: int, on: Accelerator | None = None) -> float:
    """Median seconds of one training step of a fresh network."""
    student = Student(graph, fresh_weights(graph, seed=seed), norm=True, ending=views.task.ending)
    distiller = Distiller(student, views, Recipe(), seed=seed, on=on)
    distiller.run(WARM_UP)
    taken = []
    for _ in range(STEPS):
        start = time.perf_counter()
        distiller.run(1)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def fresh_weights(graph: Graph, *, seed: int) -> Weights:
    """He-scaled random weights, scales of 1: a training step takes the same time whatever the weights are."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, shape in graph.weight_shapes.items():
        if name.endswith(".bias"):
            found[name] = np.zeros(shape, np.float32)
        elif len(shape) < 2:  # scales of an affine or a norm
            found[name] = np.ones(shape, np.float32)
        else:
            scale = (2 / np.prod(shape[1:])) ** 0.5
            found[name] = (rng.standard_normal(shape) * scale).astype(np.float32)
    return found
