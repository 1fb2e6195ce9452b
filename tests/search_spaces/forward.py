"""A network in plain numpy, one image at a time: slow, short, and independent of the engine's own runtimes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search_spaces.graph import Graph, Op


def forward(graph: Graph, weights: Mapping[str, np.ndarray], image: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of `graph` for one image of `graph.input_shape`; softmax is left to others."""
    found = {graph.input: image}
    for op in graph.ops:
        found[op.name] = _run(op, [found[name] for name in op.inputs], weights)
    return found


def _run(op: Op, inputs: list[np.ndarray], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    x = inputs[0]
    match op.kind:
        case "conv":
            return convolve(op, x, weights[f"{op.name}.weight"]) + weights[f"{op.name}.bias"][:, None, None]
        case "linear":
            return weights[f"{op.name}.weight"] @ x + weights[f"{op.name}.bias"]
        case "affine":
            return x * weights[f"{op.name}.weight"][:, None, None] + weights[f"{op.name}.bias"][:, None, None]
        case "relu":
            return np.maximum(x, 0)
        case "relu6":
            return np.clip(x, 0, 6)
        case "clip":
            return np.clip(x, op["low"], op["high"])
        case "leaky_relu":
            return np.where(x < 0, op["slope"] * x, x)
        case "hard_swish":
            return x * np.clip(x / 6 + 0.5, 0, 1)
        case "tanh":
            return np.tanh(x)
        case "sub":
            return x - inputs[1]
        case "pad":
            top, left, bottom, right = op["pads"]
            return np.pad(x, ((0, 0), (top, bottom), (left, right)))
        case "slice":
            return x[op["start"] : op["stop"]]
        case "shuffle":
            return x.reshape(op["groups"], -1, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape)
        case "sigmoid":
            return 1 / (1 + np.exp(-x))
        case "add":
            return x + inputs[1]
        case "mul":
            return x * inputs[1]
        case "concat":
            return np.concatenate(inputs)
        case "max_pool":
            return _windows(op, x, -np.inf).max((3, 4))
        case "avg_pool":
            return _windows(op, x, 0).mean((3, 4))
        case "global_avg_pool":
            return x.mean((1, 2), keepdims=True)
        case "flatten":
            return x.reshape(-1)
    raise NotImplementedError(op.kind)


def convolve(op: Op, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Without the bias; weight `O x I/groups x KH x KW`."""
    windows = _windows(op, x, 0)  # I x OH x OW x KH x KW
    groups = op["groups"]
    windows = windows.reshape(groups, -1, *windows.shape[1:])
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    return np.einsum("giyxkl,goikl->goyx", windows, weight).reshape(-1, *windows.shape[2:4])


def _windows(op: Op, x: np.ndarray, fill: float) -> np.ndarray:
    top, left, bottom, right = op["pads"]
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=fill)
    views = np.lib.stride_tricks.sliding_window_view(padded, op["kernel"], (1, 2))
    return views[:, :: op["stride"][0], :: op["stride"][1]]
