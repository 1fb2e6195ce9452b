"""What a candidate takes over from the original: the most important channels and the middle of each kernel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nas.students.importance import importance
from search_spaces.genes import Genome
from search_spaces.graph import Op, Shape, Weights
from search_spaces.ops import CONVOLUTIONS
from search_spaces.space import SearchSpace

__all__ = ["Order", "importance", "inherit"]

Order = Mapping[int, np.ndarray]
"""For each atom id a permutation of its channels, most important first."""


def inherit(space: SearchSpace, genome: Genome, weights: Weights, order: Order) -> dict[str, np.ndarray]:
    """Weights for `space.apply(space.unfactored(genome))` cut out of the original's, float32.

    A layer that took over a segment which is left out, or that reads other channels than it used to, has nothing to
    inherit and gets zeros: the refit is to fill it. A kernel that grows has zeros around the original's taps.
    """
    genome = space.unfactored(genome)
    graph, origins, channels = space.apply(genome), space.origins(genome), space.channels
    found: dict[str, np.ndarray] = {}
    for op in graph.ops:
        if op.kind == "onnx":
            found |= {f"{op.name}.{role}": weights[f"{op.name}.{role}"] for role, *_ in op["learned"]}
        if f"{op.name}.weight" not in weights:
            continue
        original = space.graph.by_name[op.name]
        source, out = origins[op.inputs[0]], origins[op.name]
        same_input = channels.of[source.tensor] == channels.of[original.inputs[0]]
        if out.tensor != op.name or not same_input:
            shapes = graph.weight_shapes
            found |= {
                f"{op.name}.{key}": np.zeros(shapes[f"{op.name}.{key}"], np.float32) for key in ("weight", "bias")
            }
            continue
        rows = space.keep(out, order)
        weight = np.asarray(weights[f"{op.name}.weight"], np.float32)[rows]
        if op.kind == "linear" or (op.kind in CONVOLUTIONS and original["groups"] == 1):
            weight = weight[:, space.keep(source, order)]
        elif op.kind in CONVOLUTIONS and weight.shape[1] > 1:  # the same channels of every group
            weight = weight[:, space.keep(source, order)[: graph.weight_shapes[f"{op.name}.weight"][1]]]
        if op.kind == "conv" and op["kernel"] != original["kernel"]:
            weight = _resized(space, op, weight, graph.input_shape)
        found[f"{op.name}.weight"] = np.ascontiguousarray(weight)
        found[f"{op.name}.bias"] = np.asarray(weights[f"{op.name}.bias"], np.float32)[rows]
    return found


def _resized(space: SearchSpace, op: Op, weight: np.ndarray, input_shape: Shape) -> np.ndarray:
    """The taps of a smaller kernel, or the original's taps amid zeros: `O x I x side x side`."""
    side, before = op["kernel"][0], weight.shape[-1]
    crop = space.kernel_crop(op, side, input_shape[-1])
    resized = np.zeros((*weight.shape[:2], side, side), np.float32)
    y, x = crop.offset_y, crop.offset_x
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + side, before), min(x + side, before)
    resized[:, :, top - y : bottom - y, left - x : right - x] = weight[:, :, top:bottom, left:right]
    return resized
