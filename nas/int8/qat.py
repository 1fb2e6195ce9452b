"""Quantization-aware training: a quantized network's integers are trained on, its scales stay.

Forward everything is what the files compute: weights and biases are their integers times their scales, activations are
rounded to int8 where `targets.program` holds them (`nas.students.rounding`). Backward rounding counts as nothing. The
numbers behind the integers are counted in steps of int8 (of its size, where weights have fewer bits), and Adam moves
each by at most about `RATE` of a step at a time, so one rate suits every filter, however large its scale and however
channels were equalized.

References: arXiv:1712.05877; Adam, arXiv:1412.6980.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nas.data.views import Views
from nas.int8.quantize import BIAS_LIMIT, WEIGHT_LIMIT, Grid, Quantized
from nas.students.candidate import Student
from nas.students.rounding import Rounding
from nas.training import accelerator
from nas.training.accelerator import Accelerator
from nas.training.distill import Distiller, Recipe
from search_spaces.graph import Graph
from targets.program import Program

RATE = 0.3
"""Steps that a weight moves in the first training step, and a bias of its output's; it falls linearly to 0."""

HANDED_ON = frozenset({"max_pool", "pad", "reshape", "slice", "concat", "transpose", "resize_nearest", "crop"})
"""Calls that make no values of their own: theirs are on the grid already."""


class Refiner(Distiller):
    """Trains the integers of one quantized network; otherwise a `Distiller`.

    Args:
        program: what `graph` was lowered to.
        grid: the network, of equalized channels.
        views, recipe: what it learns from, and by which loss; rates, momentum and decay are this module's own.
    """

    def __init__(
        self,
        graph: Graph,
        program: Program,
        grid: Grid,
        views: Views,
        recipe: Recipe,
        *,
        seed: int,
        rate: float = RATE,
        on: Accelerator | None = None,
    ) -> None:
        laid = parameters(program, grid)
        weights = {name: np.zeros(shape, np.float32) for name, shape in graph.weight_shapes.items()}
        student = Student(graph, weights, ending=views.task.ending)
        student.round(roundings(program, grid))
        super().__init__(student, views, recipe, seed=seed, on=on)
        self._grid, self._peak, self._taken = grid, rate, 0
        shapes = {name: tuple(value.shape) for name, value in student.parameters_by_name().items()}
        spread = {name: [_spread(part, shapes[name]) for part in parts] for name, parts in laid.items()}
        laid_out = (np.concatenate([spread[name][k].ravel() for name in self._names]) for k in range(4))
        put = torch.from_numpy if on is None else on.put
        self._exact, self._steps, self._coarse, self._limits = (put(vector) for vector in laid_out)
        self._moments = torch.zeros_like(self._exact), torch.zeros_like(self._exact)
        self._values.copy_(self._integers() * self._steps)

    def quantized(self) -> Quantized:
        """The network with the integers as they now are."""
        found = self._grid.quantized
        ends = np.cumsum([self._gradients[name].numel() for name in self._names])
        integers = dict(zip(self._names, np.split(self._integers().cpu().numpy(), ends[:-1]), strict=True))
        weights, biases = (
            {op: integers[f"{op}.{role}"].reshape(old.shape).astype(old.dtype) for op, old in was.items()}
            for role, was in (("weight", found.weights), ("bias", found.biases))
        )
        return replace(found, weights=weights, biases=biases)

    def refine(self, steps: int) -> Quantized:
        """Trains that many steps at a falling rate, on the pictures as they are; the network afterwards.

        Raises:
            TrainingDiverged: see there.
        """
        self._train([self._peak * (steps - k) / steps for k in range(steps)], self._rows(plain=True))
        return self.quantized()

    def _update(self, rate: float) -> None:
        from nas.training import kernels  # they take a second to load, and only training needs them

        self._taken += 1
        fixed = self._steps, self._coarse, self._limits
        state = self._exact, self._gradient, *self._moments, *fixed, self._values
        if self.on is not None:
            accelerator.adam_on_grid(*state, rate, self._taken)
        else:
            kernels.adam_on_grid(*(vector.numpy() for vector in state), rate, self._taken)

    def _integers(self) -> Tensor:
        return (self._exact * self._coarse).round()


def roundings(program: Program, grid: Grid) -> dict[str, Rounding]:
    """Where a student of the program's graph has to round: every tensor that a call makes new values of."""
    made = [program.input, *(call.output for call in program.calls if call.kind not in HANDED_ON)]
    scales, zero_points = grid.quantized.scales * grid.unit, grid.quantized.zero_points
    held = [program.by_name[name] for name in made]
    return {a.tensor: Rounding.of(scales[a.scale_group], int(zero_points[a.scale_group])) for a in held}


def parameters(program: Program, grid: Grid) -> dict[str, tuple[np.ndarray, ...]]:
    """By parameter: the start, an integer's step in the float network's units, integers in what is 1 here, the limit.

    A weight is counted in 127ths of the largest of its filter; a bias, whose steps are fine, in steps of the output.
    """
    of = grid.quantized
    found: dict[str, tuple[np.ndarray, ...]] = {}
    for call in program.calls:
        if call.op is None or not call.weight_shape:
            continue
        source, to = (program.by_name[name].scale_group for name in (call.inputs[0], call.output))
        steps = of.weight_scales[call.op] * (grid.unit[to] / grid.unit[source])
        coarse = np.full(1, grid.limits[call.op] / WEIGHT_LIMIT)
        found[f"{call.op}.weight"] = grid.weights[call.op] / coarse, steps, coarse, np.full(1, WEIGHT_LIMIT)
        coarse = float(of.scales[to]) / of.bias_scales[call.op].astype(np.float64)
        bias, steps = of.biases[call.op] / coarse, of.bias_scales[call.op] * grid.unit[to]
        found[f"{call.op}.bias"] = bias, steps, coarse, BIAS_LIMIT / coarse
    return found


def _spread(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A value per filter, or one for all, as one for each number."""
    along = values.reshape(-1, *[1] * (len(shape) - 1)) if values.ndim < len(shape) else values
    return np.broadcast_to(along, shape).astype(np.float32)
