"""Functions that exporters take apart: a product of scalar operators that is a hard swish or a GELU becomes that again.

Whatever the order of the pieces, they are one function of one tensor; so the function is evaluated on a grid and
compared, up to a factor, with those the graph has a word for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import erf
from typing import Any

import numpy as np

from search_spaces.onnx_draft import Draft, Node, View

GRID = np.linspace(-8, 8, 65)
TOLERANCE = 1e-4  # largest difference on the grid; exporters round their constants to float32
DEPTH = 10  # operators between a function and its argument

_erf = np.vectorize(erf)
SCALARS: dict[str, Callable[..., np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "erf": _erf,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
}
FUNCTIONS: dict[tuple[str, tuple[tuple[str, bool], ...]], Callable[[np.ndarray], np.ndarray]] = {
    ("hard_swish", ()): lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    ("gelu", (("tanh", False),)): lambda x: x * (1 + _erf(x / 2**0.5)) / 2,
    ("gelu", (("tanh", True),)): lambda x: x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2,
}


def recognise(draft: Draft, node: Node) -> None:
    """Puts a known function in the place of the product that the node has just made, if it is one."""
    view = draft.views[node.outputs[0]]
    for source in _ancestors(draft, view.tensor):
        seen = _value(draft, view.tensor, source, DEPTH)
        if seen is None:
            continue
        for (kind, attrs), function in FUNCTIONS.items():
            wanted = function(GRID)
            factor = float(seen @ wanted / (wanted @ wanted))
            if factor and np.abs(seen / factor - wanted).max() < TOLERANCE:
                return _replace(draft, node, view, source, kind, dict(attrs), factor)
    return None


def _replace(
    draft: Draft, node: Node, view: View, source: str, kind: str, attrs: dict[str, Any], factor: float
) -> None:
    gone = draft.ops.pop()
    draft.shapes.pop(gone.name)
    draft.views.pop(node.outputs[0])
    if abs(factor - 1) < TOLERANCE:
        return draft.emit_like(node, replace(view, tensor=source), kind, **attrs)
    plain = draft.add(f"{node.outputs[0]}.unscaled", kind, source, **attrs)
    size = draft.shapes[source][0]
    weight = np.full(size, float(f"{factor:.6g}"))
    return draft.emit_like(node, replace(view, tensor=plain), "affine", weight=weight, bias=np.zeros(size))


def _ancestors(draft: Draft, tensor: str) -> list[str]:
    """What a tensor may be a scalar function of, the nearest first."""
    found, edge = [], [tensor]
    for _ in range(DEPTH):
        makers = [
            op
            for name in edge
            if (op := draft.maker(name)) and (op.kind in SCALARS or op.kind == "clip" or _uniform(draft, name))
        ]
        edge = list(dict.fromkeys(name for op in makers for name in op.inputs))
        found += edge
    return list(dict.fromkeys(found))


def _uniform(draft: Draft, name: str) -> tuple[float, float] | None:
    """Scale and shift of an affine that treats all channels alike."""
    op = draft.maker(name)
    if op is None or op.kind != "affine":
        return None
    weight, bias = draft.weights[f"{name}.weight"], draft.weights[f"{name}.bias"]
    if np.ptp(weight) or np.ptp(bias):
        return None
    return float(weight[0]), float(bias[0])


def _value(draft: Draft, tensor: str, source: str, depth: int) -> np.ndarray | None:
    """The tensor over the grid of values of `source`; None if it depends on anything else."""
    if tensor == source:
        return GRID
    op = draft.maker(tensor)
    if op is None or not depth:
        return None
    if op.kind == "affine":
        line = _uniform(draft, tensor)
        inner = _value(draft, op.inputs[0], source, depth - 1) if line else None
        return inner if inner is None or line is None else line[0] * inner + line[1]
    if op.kind == "clip":
        inner = _value(draft, op.inputs[0], source, depth - 1)
        return inner if inner is None else np.clip(inner, op["low"], op["high"])
    if op.kind not in SCALARS:
        return None
    values = [_value(draft, name, source, depth - 1) for name in op.inputs]
    known = [value for value in values if value is not None]
    return SCALARS[op.kind](*known) if len(known) == len(values) else None
