"""Which channels of a network must change together.

Each channel of each tensor gets a label. Operators that keep channels apart (activations, pools, affine, depthwise)
pass labels on, `add` and `mul` make two labels one, `concat` joins lists of them and `slice` cuts them, and a dense
convolution or a linear makes new ones; the blocks of a grouped convolution have their labels in common. An *atom* is a
longest run of labels that every tensor shows whole, side by side and in order: the unit a width gene changes. So an
`add` of a concat with a convolution splits that convolution's channels in two atoms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np

from search_spaces.graph import Graph, Op
from search_spaces.ops import CONVOLUTIONS, LAYERS, is_depthwise


@dataclass(frozen=True, slots=True)
class Atom:
    """Channels that are kept or dropped as one class.

    Attributes:
        id: its place in `ChannelMap.atoms`.
        name: the first operator (or the input) that makes these channels; `#0`, `#1`, … where it makes several atoms.
        size: channels in the original.
        frozen: why the size may not change, a few words; empty if it may.
    """

    id: int
    name: str
    size: int
    frozen: str


@dataclass(frozen=True)
class ChannelMap:
    """Every tensor's channel axis as a list of atoms.

    Attributes:
        atoms: in order of first appearance.
        of: each tensor's atom ids, in order along its first axis; an atom may stand there more than once.
        span: entries of the first axis that one channel takes, side by side: height x width after a flatten, the
            multiplier after a depthwise convolution with one, else 1.
    """

    atoms: tuple[Atom, ...]
    of: dict[str, tuple[int, ...]]
    span: dict[str, int]


def trace(graph: Graph) -> ChannelMap:
    """The atoms of a network.

    Where channels cannot be followed one by one (a channel shuffle, a node that is kept as it is, concats of tensors
    whose spans differ) they are frozen. Where an add meets a depthwise convolution with a multiplier, the layers on its
    other side change as many filters at once.
    """
    wide: dict[str, int] = {}
    while True:
        labels = _Labels(wide)
        found = _trace(graph, labels)
        if labels.asked == wide:
            return found
        wide = labels.asked


def _trace(graph: Graph, labels: _Labels) -> ChannelMap:
    axes = {graph.input: labels.fresh(graph.input_shape[0])}
    spans = {graph.input: 1}
    labels.freeze(axes[graph.input], "the network's input")
    for op in graph.ops:
        axes[op.name], spans[op.name] = _follow(graph, op, labels, axes, spans)
    for name in graph.outputs:
        labels.freeze(axes[name], "the network's output")
    return _atoms(labels, axes, spans)


class _Labels:
    """Union-find over single channels.

    Attributes:
        wide: dense layers whose filters change several at once, and how many: the span of their output.
        asked: the same with those that an add was found to need.
    """

    def __init__(self, wide: dict[str, int]) -> None:
        self.wide, self.asked = wide, dict(wide)
        self.parent: list[int] = []
        self.fixed: dict[int, str] = {}

    def fresh(self, count: int) -> np.ndarray:
        start = len(self.parent)
        self.parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def find(self, label: int) -> int:
        parent = self.parent
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    def unite(self, first: Iterable[int], second: Iterable[int]) -> None:
        for a, b in zip(first, second, strict=True):
            low, high = sorted((self.find(a), self.find(b)))
            self.parent[high] = low

    def tie(self, axis: np.ndarray, groups: int) -> None:
        """Makes the blocks of a grouped convolution alike: a channel is kept or dropped in all of them at once."""
        first, *others = np.split(axis, groups)
        for block in others:
            self.unite(first.tolist(), block.tolist())

    def freeze(self, labels: np.ndarray, why: str) -> None:
        for label in labels.tolist():
            self.fixed.setdefault(label, why)

    def roots(self) -> np.ndarray:
        return np.array([self.find(label) for label in range(len(self.parent))], dtype=np.int64)


def _follow(
    graph: Graph, op: Op, labels: _Labels, axes: dict[str, np.ndarray], spans: dict[str, int]
) -> tuple[np.ndarray, int]:
    """The labels and the span of an operator's output."""
    first = op.inputs[0]
    shape = graph.shapes[first]
    if is_depthwise(op, shape[0]):
        return axes[first], spans[first] * (op["out_channels"] // shape[0])
    if op.name in labels.wide:
        return labels.fresh(op["out_channels"] // labels.wide[op.name]), labels.wide[op.name]
    if op.kind in LAYERS:
        made = labels.fresh(op["out_channels"])
        if op.kind in CONVOLUTIONS and op["groups"] > 1:
            if spans[first] == 1:
                for axis in (axes[first], made):
                    labels.tie(axis, op["groups"])
            else:
                labels.freeze(axes[first], f"grouped {op.name} behind a flatten")
                labels.freeze(made, f"grouped {op.name} behind a flatten")
        return made, 1
    if op.kind == "slice":
        span, start, stop = spans[first], op["start"], op["stop"]
        if start % span == 0 and stop % span == 0:
            return axes[first][start // span : stop // span], span
    if op.kind == "onnx":
        why = f"{op['operator']} {op.name} is kept as it is"
        for name in op.inputs:
            labels.freeze(axes[name], why)
        made = labels.fresh(graph.shapes[op.name][0])
        labels.freeze(made, why)
        return made, 1
    if op.kind in ("slice", "shuffle"):
        why = f"{op.kind} {op.name}"
        labels.freeze(axes[first], why)
        made = labels.fresh(graph.shapes[op.name][0])
        labels.freeze(made, why)
        return made, 1
    if op.kind == "flatten":
        return axes[first], spans[first] * prod(shape[1:])
    if op.kind in ("add", "sub", "mul", "concat"):
        if op.kind != "concat" and graph.shapes[op.inputs[1]][0] < shape[0]:
            return axes[first], spans[first]  # one channel meets them all
        mixed = len({spans[name] for name in op.inputs}) > 1
        if mixed and op.kind != "concat":
            span = max(spans[name] for name in op.inputs)
            for name in op.inputs:
                labels.asked |= dict.fromkeys(
                    _dense_makers(graph, name, span) or () if spans[name] < span else (), span
                )
        if mixed:
            for name in op.inputs:
                labels.freeze(axes[name], f"{op.kind} {op.name} of unlike channels")
        if op.kind != "concat":
            if not mixed:
                labels.unite(axes[first].tolist(), axes[op.inputs[1]].tolist())
            return axes[first], spans[first]
        if not mixed:
            return np.concatenate([axes[name] for name in op.inputs]), spans[first]
        made = labels.fresh(graph.shapes[op.name][0])
        labels.freeze(made, f"{op.kind} {op.name} of unlike channels")
        return made, 1
    return axes[first], spans[first]


def _dense_makers(graph: Graph, tensor: str, span: int) -> list[str] | None:
    """The dense layers that make a tensor's channels, if they can do so in runs of `span`; None if they cannot."""
    op = graph.by_name.get(tensor)
    if op is None:
        return None
    if op.kind in LAYERS and not is_depthwise(op, graph.shapes[op.inputs[0]][0]):
        dense = op.kind == "linear" or op["groups"] == 1
        return [tensor] if dense and op["out_channels"] % span == 0 else None
    if (
        op.kind in ("concat", "slice", "shuffle", "flatten", "onnx")
        or graph.shapes[op.inputs[0]][0] != graph.shapes[tensor][0]
    ):
        return None
    found = [_dense_makers(graph, name, span) for name in op.inputs]
    return None if None in found else [name for names in found for name in names or ()]


def _atoms(labels: _Labels, axes: dict[str, np.ndarray], spans: dict[str, int]) -> ChannelMap:
    roots = labels.roots()
    axes = {name: roots[axis] for name, axis in axes.items()}
    reasons: dict[int, str] = {}
    for label, why in labels.fixed.items():
        reasons.setdefault(int(roots[label]), why)
    frozen = np.zeros(len(roots), bool)
    frozen[list(reasons)] = True
    joined = _joined(list(axes.values()), frozen)
    atoms: list[Atom] = []
    atom_of: dict[int, int] = {}
    of: dict[str, tuple[int, ...]] = {}
    for tensor, axis in axes.items():  # an atom's first tensor is made by the operator that makes its channels
        starts = np.flatnonzero(~joined[axis])
        sizes = np.diff(starts, append=len(axis)).tolist()
        heads = axis[starts].tolist()
        for k, (head, size) in enumerate(zip(heads, sizes, strict=True)):
            if head not in atom_of:
                atom_of[head] = len(atoms)
                name = tensor if len(set(heads)) == 1 else f"{tensor}#{k}"
                atoms.append(Atom(len(atoms), name, size, reasons.get(head, "")))
        of[tensor] = tuple(atom_of[head] for head in heads)
    return ChannelMap(tuple(atoms), of, spans)


def _joined(axes: list[np.ndarray], frozen: np.ndarray) -> np.ndarray:
    """For each label: does it belong to the atom of the label before it, the same one wherever it stands?"""
    end = len(frozen)  # stands before each first and after each last label
    left = np.concatenate([np.append(end, axis) for axis in axes])
    right = np.concatenate([np.append(axis, end) for axis in axes])
    pairs = np.unique(left * (end + 1) + right)
    left, right = pairs // (end + 1), pairs % (end + 1)
    followers, predecessors = np.bincount(left, minlength=end + 1), np.bincount(right, minlength=end + 1)
    inner = (left < end) & (right < end) & (followers[left] == 1) & (predecessors[right] == 1)
    left, right = left[inner], right[inner]
    joined = np.zeros(end, bool)
    joined[right[frozen[left] == frozen[right]]] = True
    return joined
