"""Input sizes at which a network stays the same network: the same weights, the same output.

That is so where every map that shrinks with the input ends in a global pool, or in another tensor of which no weight
and no output depends on height and width.
"""

from __future__ import annotations

from dataclasses import replace
from math import floor
from typing import NamedTuple

from search_spaces.errors import ModelError
from search_spaces.graph import Graph, Op, Shape

FRACTIONS = (1 / 2, 5 / 8, 3 / 4, 7 / 8)
FEWEST = 3  # so many smaller sides are wanted; else their grid is made finer


class Window(NamedTuple):
    """Kernel and pads of a convolution or a pool."""

    kernel: tuple[int, int]
    pads: tuple[int, int, int, int]


def resolution_options(graph: Graph) -> tuple[int, ...]:
    """The sides that a square image input may have, ascending, the original's last; empty if it cannot change.

    The sides are near 1/2, 5/8, 3/4 and 7/8 of the original's, rounded to multiples of the network's total stride;
    where that leaves fewer than three, of its half, its quarter and so on.
    """
    if len(graph.input_shape) != 3 or graph.input_shape[1] != graph.input_shape[2]:
        return ()
    side, grid = graph.input_shape[1], total_stride(graph)
    while len(_rounded(side, grid)) < FEWEST and grid > 1:
        grid //= 2
    found = tuple(option for option in _rounded(side, grid) if _same_network(graph, option))
    return (*found, side) if found else ()


def total_stride(graph: Graph) -> int:
    """Rows of the input between neighbouring rows of the coarsest map."""
    steps = {graph.input: 1.0}
    for op in graph.ops:
        step = max(steps[name] for name in op.inputs)
        if op.kind in ("conv", "max_pool", "avg_pool"):
            step *= 1 if graph.shapes[op.name][1] == 1 else op["stride"][0]
        elif op.kind == "resize":
            step /= op["factor"][0]
        steps[op.name] = step
    return max(1, round(max(steps.values())))


def at_side(graph: Graph, side: int) -> Graph:
    """The network for `side` x `side` images; a pool over a whole map pools over the whole of the other map too.

    Raises:
        ModelError: the images are too small for it.
    """
    if graph.input_shape[1:] == (side, side):
        return graph
    found = replace(graph, input_shape=(graph.input_shape[0], side, side))
    ops = tuple(op.replace(kernel=found.shapes[op.inputs[0]][1:]) if _whole(graph, op) else op for op in graph.ops)
    return found if ops == graph.ops else replace(found, ops=ops)


def whole_pools(graph: Graph, sides: tuple[int, ...]) -> dict[str, dict[int, Window]]:
    """The windows of each pool over a whole map, by the input's side."""
    names = [op.name for op in graph.ops if sides and _whole(graph, op)]
    resized = {side: at_side(graph, side).by_name for side in sides} if names else {}
    return {
        name: {side: Window(ops[name]["kernel"], ops[name]["pads"]) for side, ops in resized.items()} for name in names
    }


def _rounded(side: int, grid: int) -> tuple[int, ...]:
    """The fractions of a side as multiples of a grid, halves up, below the side."""
    found = {floor(fraction * side / grid + 0.5) * grid for fraction in FRACTIONS}
    return tuple(sorted(option for option in found if 0 < option < side))


def _whole(graph: Graph, op: Op) -> bool:
    shape = graph.shapes[op.inputs[0]]
    return op.kind in ("max_pool", "avg_pool") and op["kernel"] == shape[1:] != (1, 1) and not any(op["pads"])


def _same_network(graph: Graph, side: int) -> bool:
    """Does the network keep its channels, its outputs and its meaning at another input size?"""
    try:
        resized = at_side(graph, side)
        after = resized.shapes
    except ModelError:
        return False
    before = graph.shapes
    return (
        all(after[name][:1] == shape[:1] for name, shape in before.items())
        and all(after[name] == before[name] for name in graph.outputs)
        and all(
            _keeps_its_meaning(op, [before[n] for n in op.inputs], [after[n] for n in op.inputs]) for op in graph.ops
        )
    )


def _keeps_its_meaning(op: Op, before: list[Shape], after: list[Shape]) -> bool:
    """Would an operator do with other maps what it does with the original's?"""
    if op.kind == "onnx":  # its shapes are part of it
        return before == after
    if op.kind in ("add", "sub", "mul"):  # a side of 1 meets all places, and no other side may become one
        return [a == b for a, b in zip(*before, strict=True)] == [a == b for a, b in zip(*after, strict=True)]
    pool = op.kind in ("max_pool", "avg_pool", "global_avg_pool")
    if pool and after[0][1:] == (1, 1) != before[0][1:]:  # nothing is left to pool
        return False
    if pool and op.kind != "global_avg_pool" and any(op["pads"]):  # SAME padding stays so in the same phase
        sides = zip(before[0][1:], after[0][1:], op["stride"], strict=True)
        return all((old - new) % stride == 0 for old, new, stride in sides)
    return True
