"""Padding that TFLite's kernels know, so that no padded copy of a map needs memory.

PyTorch pads both sides alike. Under a stride, on a map of even size, its last row and column of padding are never read,
and what is left lies above and left; TensorFlow's SAME has it below and right. Where SAME makes as many windows it can
stand in for the other. Every window then lies a row lower or a column further right, which a student makes up for in
some thousand steps of training (`experiments/padding`).
"""

from __future__ import annotations

from dataclasses import replace

from search_spaces.graph import Graph, Op, Shape
from search_spaces.ops import KINDS

WINDOWED = ("conv", "max_pool", "avg_pool")


def same_pads(op: Op, shape: Shape) -> tuple[int, int, int, int]:
    """TensorFlow's SAME padding of a convolution or pool: ceil(size / stride) windows, an odd row below and right.

    https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    dilation = op["dilation"] if op.kind == "conv" else (1, 1)
    low, high = [], []
    for size, kernel, stride, step in zip(shape[1:], op["kernel"], op["stride"], dilation, strict=True):
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * step + 1 - size, 0)
        low.append(total // 2)
        high.append(total - total // 2)
    return low[0], low[1], high[0], high[1]


def same_padded(graph: Graph) -> Graph:
    """The network with SAME padding wherever that leaves the output's shape as it is; itself where nothing changes."""
    ops = tuple(_repadded(op, graph.shapes[op.inputs[0]]) for op in graph.ops)
    return graph if ops == graph.ops else replace(graph, ops=ops)


def _repadded(op: Op, shape: Shape) -> Op:
    """Pads that differ from SAME's only in rows and columns no window reaches stay."""
    if op.kind not in WINDOWED or not any(op["pads"]):
        return op
    same, rule = op.replace(pads=same_pads(op, shape)), KINDS[op.kind].shape
    if same["pads"][:2] == op["pads"][:2] or rule(same, [shape]) != rule(op, [shape]):
        return op
    return same
