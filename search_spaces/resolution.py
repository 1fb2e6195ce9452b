"""Input sizes at which a network stays the same network: the same weights, the same output.

That is so where every map that shrinks with the input ends in a global pool, or in another tensor of which no weight
and no output depends on height and width.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from math import floor

from search_spaces.depth import Unit
from search_spaces.errors import ModelError
from search_spaces.graph import Graph, Op, Shape
from search_spaces.ops import KINDS
from search_spaces.padding import WINDOWED, same_pads

FRACTIONS = (1 / 2, 5 / 8, 3 / 4, 7 / 8)
FEWEST = 3  # so many smaller sides are wanted; else their grid is made finer


def resolution_options(graph: Graph) -> tuple[int, ...]:
    """The sides that a square image input may have, ascending, the original's last; empty if it cannot change.

    The sides are near 1/2, 5/8, 3/4 and 7/8 of the original's, rounded to multiples of the network's total stride;
    where fewer than three of these do, of its half, its quarter and so on.
    """
    if len(graph.input_shape) != 3 or graph.input_shape[1] != graph.input_shape[2]:
        return ()
    side, grid = graph.input_shape[1], total_stride(graph)
    same = cache(partial(_same_network, graph))
    while len(found := [option for option in _rounded(side, grid) if same(option)]) < FEWEST and grid > 1:
        grid //= 2
    return (*found, side) if found else ()


def total_stride(graph: Graph) -> int:
    """Rows of the input between neighbouring rows of the coarsest map."""
    steps = {graph.input: 1.0}
    for op in graph.ops:
        step = max(steps[name] for name in op.inputs)
        if op.kind in WINDOWED:
            step *= 1 if graph.shapes[op.name][1] == 1 else op["stride"][0]
        elif op.kind == "resize":
            step /= op["factor"][0]
        elif op.kind == "conv_transpose":
            step /= op["stride"][0]
        steps[op.name] = step
    return max(1, round(max(steps.values())))


def at_side(graph: Graph, side: int) -> Graph:
    """The network for `side` x `side` images.

    A pool over a whole map pools over the whole of the other map too. Pads stay, unless the network pads as
    TensorFlow's SAME does, which goes by the size of a map: then they are the other map's.

    Raises:
        ModelError: the images are too small for it.
    """
    if graph.input_shape[1:] == (side, side):
        return graph
    keeps_same = _pads_as_same(graph)
    shapes: dict[str, Shape] = {graph.input: (graph.input_shape[0], side, side)}
    found = []
    for op in graph.ops:
        shape = shapes[op.inputs[0]]
        if _whole(graph, op):
            op = op.replace(kernel=shape[1:])
        elif keeps_same and op.kind in WINDOWED and any(op["pads"]):
            op = op.replace(pads=same_pads(op, shape))
        found.append(op)
        shapes[op.name] = KINDS[op.kind].shape(op, [shapes[name] for name in op.inputs])
    return replace(graph, input_shape=shapes[graph.input], ops=tuple(found))


def _pads_as_same(graph: Graph) -> bool:
    """Is all padding SAME, and some of it such as only SAME is: more below than above under a stride?"""
    padded = [op for op in graph.ops if op.kind in WINDOWED and any(op["pads"])]
    uneven = any(op["pads"][:2] != op["pads"][2:] and max(op["stride"]) > 1 for op in padded)
    return uneven and all(op["pads"] == same_pads(op, graph.shapes[op.inputs[0]]) for op in padded)


def idle_pools(graph: Graph, side: int) -> Unit | None:
    """The pools that have a single place to pool at this side and not in the original: they can be left out."""
    shapes = at_side(graph, side).shapes
    idle = [op for op in graph.ops if _is_idle(graph, op, shapes[op.inputs[0]])]
    reads = tuple((op.name, op.inputs[0]) for op in idle)
    return Unit("", tuple(op.name for op in idle), reads, ()) if idle else None


def _is_idle(graph: Graph, op: Op, resized: Shape) -> bool:
    whole = op.kind == "global_avg_pool" or _whole(graph, op)
    return whole and resized[1:] == (1, 1) != graph.shapes[op.inputs[0]][1:]


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
        and not any(_is_idle(graph, op, after[op.inputs[0]]) for op in graph.ops if op.name in graph.outputs)
        and all(
            _keeps_its_meaning(op, [before[n] for n in op.inputs], [after[n] for n in op.inputs]) for op in resized.ops
        )
    )


def _keeps_its_meaning(op: Op, before: list[Shape], after: list[Shape]) -> bool:
    """Would an operator do with other maps what it does with the original's?"""
    if op.kind == "onnx":  # its shapes are part of it
        return before == after
    if op.kind == "norm" and op["over"] == "positions":  # of one position nothing would be left
        return after[0][1:] != (1, 1) or before == after
    if op.kind in ("add", "sub", "mul"):  # what met place by place may not become one value for all places
        return all(a == b for a, b, old, other in zip(*after, *before, strict=True) if old == other)
    if op.kind in ("max_pool", "avg_pool") and any(op["pads"]):  # what a runtime can pad stays so in the same phase
        sides = zip(before[0][1:], after[0][1:], op["stride"], strict=True)
        return op["pads"] == same_pads(op, after[0]) or all((old - new) % stride == 0 for old, new, stride in sides)
    return True
