"""Closed-form refit: each layer of a cut network is solved by least squares to reproduce the original's outputs.

Layer by layer in order of execution, from the student's own inputs (so that later layers make up for the errors of
earlier ones) to the original's values before the activation, on the channels that are kept (after arXiv:1707.06168 and
arXiv:1707.06342). Weights stay near the inherited ones by a ridge, which settles what the images leave open.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nas.students.candidate import PLAIN
from nas.students.factorize import factorize, read
from nas.students.frozen import run_of
from nas.students.inherit import Order, inherit
from nas.students.layers import convolve
from nas.students.reference import Reference
from search_spaces.factors import factored
from search_spaces.genes import Genome
from search_spaces.graph import Graph, Op, Weights
from search_spaces.ops import is_depthwise
from search_spaces.space import SearchSpace

__all__ = ["Reference", "refit", "solve"]

RIDGE = 0.03
"""Weight of the ridge, relative to the mean of the diagonal of a layer's Gram matrix.

Of 0.003 to 0.3 the best on six MobileNetV1 candidates with 512 images, and near it with 256: without training, x0.125
answers 70 % of Fashion-MNIST right, x0.35 88 % (the original 94 %, the same cuts without a refit 10 %).
"""

ROWS = 20_000
"""A layer is solved on about this many places of all images at most."""


@torch.no_grad()
def refit(
    space: SearchSpace,
    genome: Genome,
    weights: Weights,
    reference: Reference,
    order: Order,
    *,
    ridge: float = RIDGE,
    rows: int = ROWS,
) -> dict[str, np.ndarray]:
    """Weights for `space.apply(genome)`: inherited, then solved layer by layer.

    Args:
        weights: the original's.
        reference: the original's values on the images to fit.
        order: as `importance` gives it; which channels are kept.
        ridge: see `RIDGE`.
        rows: see `ROWS`.

    Returns:
        Float32 arrays by name, of the shapes of `space.apply(genome).weight_shapes`.
    """
    whole = space.unfactored(genome)
    graph, origins, factors = space.apply(whole), space.origins(whole), space.factors(genome)
    found = inherit(space, whole, weights, order)
    reference = reference.at(graph.input_shape)
    values = {graph.input: torch.tensor(reference.images)}
    last_use = {name: k for k, op in enumerate(graph.ops) for name in op.inputs}
    for k, op in enumerate(graph.ops):
        inputs = [values[name] for name in op.inputs]
        if f"{op.name}.weight" in found:
            origin = origins[op.name]
            kept = torch.from_numpy(space.keep(origin, order))
            target = reference.tensor(origin.tensor)
            if op.kind != "conv_transpose":  # keeps what it inherited
                _solve_layer(graph, op, inputs[0], target, kept, found, ridge, rows)
            if op.name in factors:
                values[op.name] = _split_layer(op, inputs[0], *factors[op.name], found, rows)
            else:
                values[op.name] = _apply(op, inputs[0], found)
        else:
            run = run_of(op, found) if op.kind == "onnx" else PLAIN[op.kind](op, graph.shapes[op.inputs[0]])
            values[op.name] = run(*inputs)
        for name in op.inputs:
            if last_use[name] == k:
                values.pop(name, None)
    return found


def _solve_layer(
    graph: Graph, op: Op, x: Tensor, target: Tensor, kept: Tensor, found: dict[str, np.ndarray], ridge: float, rows: int
) -> None:
    """Replaces a layer's weights by the solved ones; grouped convolutions that are not depthwise stay as inherited."""
    shape = graph.shapes[op.inputs[0]]
    weight, bias = torch.tensor(found[f"{op.name}.weight"]), found[f"{op.name}.bias"]
    if op.kind == "conv":
        places = _places(graph.shapes[op.name], x.shape[0], rows)
        patches = _patches(op, x, places)  # C x taps x rows
        wanted = target[:, places][kept].flatten(1)
        if is_depthwise(op, shape[0]):
            per_input = patches.repeat_interleave(len(weight) // shape[0], 0)
            solved, offset = solve(per_input, wanted[:, None], weight.flatten(2), ridge)
        elif op["groups"] == 1:
            flat = weight.flatten(1)
            solved, offset = solve(patches.flatten(0, 1)[None], wanted[None], flat[None], ridge)
        else:
            return
    else:
        wanted = target[kept].flatten(1)
        inputs = x.movedim(0, -1).flatten(1)
        if op.kind == "affine":
            solved, offset = solve(inputs[:, None], wanted[:, None], weight[:, None, None], ridge)
        else:
            solved, offset = solve(inputs[None], wanted[None], weight[None], ridge)
    found[f"{op.name}.weight"] = solved.reshape(weight.shape).numpy()
    found[f"{op.name}.bias"] = offset.reshape(bias.shape).numpy()


def _split_layer(op: Op, x: Tensor, first: str, rank: int, found: dict[str, np.ndarray], rows: int) -> Tensor:
    """Replaces a solved layer's weights by those of the two that stand in for it; returns what these make of `x`."""
    weight = found[f"{op.name}.weight"]
    made = factorize(weight.reshape(len(weight), -1), found[f"{op.name}.bias"], read(op, x, rows), rank)
    tail = weight.shape[2:]
    found |= {
        f"{first}.weight": made.first.reshape(*made.first.shape, *tail),
        f"{first}.bias": np.zeros(rank, np.float32),
    }
    found |= {f"{op.name}.weight": made.second.reshape(*made.second.shape, *tail), f"{op.name}.bias": made.bias}
    for layer in factored(op, rank, first):
        x = _apply(layer, x, found)
    return x


def solve(x: Tensor, target: Tensor, start: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Ridge regressions with an intercept: `w, b` that minimise |w x + b - target|^2 + l |w - start|^2.

    Args:
        x: `B x inputs x rows`, B problems at once.
        target: `B x outputs x rows`.
        start: `B x outputs x inputs`.
        ridge: l relative to the mean diagonal of the Gram matrix of x, centred.

    Returns:
        `w` like `start` and `b`, `B x outputs`, float32; solved in float64.
    """
    x, target, start = x.double(), target.double(), start.double()
    x_mean, target_mean = x.mean(2, keepdim=True), target.mean(2, keepdim=True)
    x = x - x_mean
    gram = x @ x.mT
    scale = gram.diagonal(dim1=1, dim2=2).mean(1)
    scale = torch.where(scale > 0, scale, 1.0)
    residual = (target - target_mean) @ x.mT - start @ gram
    gram.diagonal(dim1=1, dim2=2).add_(ridge * scale[:, None])
    w = start + torch.linalg.solve(gram, residual.mT).mT
    return w.float(), (target_mean - w @ x_mean)[..., 0].float()


def _places(shape: tuple[int, ...], count: int, rows: int) -> Tensor:
    """Rows of the output map to solve on: evenly spaced, both borders among them."""
    _, height, width = shape
    wanted = min(height, max(1, round(rows / (count * width))))
    return torch.from_numpy(np.unique(np.linspace(0, height - 1, wanted).round().astype(np.int64)))


def _patches(op: Op, x: Tensor, places: Tensor) -> Tensor:
    """What a convolution's windows see in the given rows of its output: `C x taps x (rows W N)`."""
    (kh, kw), (sh, sw), (dh, dw) = op["kernel"], op["stride"], op["dilation"]
    top, left, bottom, right = op["pads"]
    planes = x.permute(1, 2, 3, 0).contiguous()
    if any(op["pads"]):
        planes = torch.nn.functional.pad(planes, (0, 0, left, right, top, bottom))
    width = (planes.shape[2] - dw * (kw - 1) - 1) // sw + 1
    taps = []
    for dy in range(kh):
        rows = planes[:, places * sh + dy * dh]
        taps += [rows[:, :, dx * dw : dx * dw + (width - 1) * sw + 1 : sw].flatten(1) for dx in range(kw)]
    return torch.stack(taps, 1)


def _apply(op: Op, x: Tensor, weights: dict[str, np.ndarray]) -> Tensor:
    """The layer's output with its new weights."""
    weight, bias = torch.tensor(weights[f"{op.name}.weight"]), torch.tensor(weights[f"{op.name}.bias"])
    if op.kind == "linear":
        return torch.nn.functional.linear(x, weight, bias)
    if op.kind == "affine":
        tail = (-1, *(1 for _ in x.shape[2:]))
        return x * weight.view(tail) + bias.view(tail)
    return convolve(op, x, weight, bias)
