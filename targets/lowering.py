"""A `Program` while it is being written: activations, scale groups, and what is known of each tensor so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

from search_spaces.graph import Graph, Op, Shape
from search_spaces.ops import KINDS
from targets.program import Activation, Call, Fused, Program, Runtime
from targets.scales import encoding_of

FUSES = frozenset({"conv", "conv_transpose", "linear", "affine", "add", "sub", "mul"})
CLAMPS: dict[str, Fused] = {"relu": "relu", "relu6": "relu6", "clip": "clip"}
REMEMBERED = 1 << 16
"""A search lowers thousands of networks that have most operators in common, so what follows from one operator and the
shape it reads is remembered, for this many of them."""


class Lowering:
    """The program while it is being written; a clamp behind an operator of `bare` is not folded into it."""

    def __init__(self, graph: Graph, runtime: Runtime, bare: frozenset[str] = frozenset()) -> None:
        self.graph, self.runtime = graph, runtime
        self.shapes: dict[str, Shape] = {graph.input: graph.input_shape}
        self.activations: dict[str, Activation] = {}
        self.calls: list[Call] = []
        self.scratch: dict[str, int] = {}  # of calls that are met most, by their outputs (`targets.arrangement`)
        self.groups: list[int] = []  # union-find over scale groups: each one's parent, itself at a root
        self.joined = False
        self.never_negative: set[str] = set()
        self.flattened: dict[str, tuple[int, int, int]] = {}  # position-first features: graph shape they came from
        self.clamps = self._foldable_clamps(bare)
        self.folded = {clamp.name for clamp in self.clamps.values()}
        self.activate(graph.input, channels_last(graph.input_shape))

    def _foldable_clamps(self, bare: frozenset[str]) -> dict[str, Op]:
        """The ReLU that folds into each operator that has one."""
        ops, outputs = self.graph.ops, self.graph.outputs
        reads = Counter([name for op in ops for name in op.inputs])
        makers = {op.name for op in ops if op.kind in FUSES and op.name not in outputs and op.name not in bare}
        found = {op.inputs[0]: op for op in ops if op.kind in CLAMPS}
        return {name: op for name, op in found.items() if name in makers and reads[name] == 1}

    def activate(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        like: str | None = None,
        holds: str | None = None,
        fixed: tuple[float, int] | None = None,
    ) -> str:
        """A new activation in the scale group of `like` or one of its own, with the values of `holds` or `name`."""
        if like is None:
            group = len(self.groups)
            self.groups.append(group)
        else:
            group, fixed = self.activations[like].scale_group, self.activations[like].fixed
        self.activations[name] = _activation(name, holds or name, shape, group, fixed)
        return name

    def unused(self, name: str) -> str:
        """`name`, or one like it, that no tensor of the graph has."""
        taken = self.graph.by_name
        while name in self.activations or name in taken:
            name += "'"
        return name

    def join(self, names: tuple[str, ...]) -> None:
        """Makes the scale groups of these activations one."""
        roots = {self._root(self.activations[name].scale_group) for name in names}
        for root in roots:
            self.groups[root] = min(roots)
        self.joined |= len(roots) > 1

    def _root(self, group: int) -> int:
        while self.groups[group] != group:
            group = self.groups[group]
        return group

    def result(self, op: Op) -> tuple[str, Fused]:
        """The activation an operator that can absorb a ReLU writes, and that ReLU."""
        clamp, shape = self.clamps.get(op.name), channels_last(self.shapes[op.name])
        if clamp is None:
            return self.activate(op.name, shape), "none"
        self.clamp(clamp)
        return self.activate(clamp.name, shape, fixed=fixed_by(clamp)), CLAMPS[clamp.kind]

    def clamp(self, op: Op) -> None:
        """Notes what a clamp makes sure of."""
        if op.kind != "clip" or op["low"] == 0:
            self.never_negative.add(op.name)

    def keep(self, source: str, output: str, *, order: bool = False, sign: bool = False) -> None:
        """Notes what an output has from its input: the order of flattened features; that it is never negative."""
        if order and source in self.flattened:
            self.flattened[output] = self.flattened[source]
        if sign and source in self.never_negative:
            self.never_negative.add(output)

    def window(self, calls: tuple[Call, ...]) -> None:
        """Appends a window's call, with the "pad" call and the padded copy before it if there is one."""
        if len(calls) == 2:
            (source,), (top, left, bottom, right) = calls[0].inputs, calls[0].pads
            height, width, channels = self.activations[source].shape
            padded = self.unused(calls[0].output)
            self.activate(padded, (height + top + bottom, width + left + right, channels), like=source, holds=source)
            if padded != calls[0].output:
                calls = replace(calls[0], output=padded), replace(calls[1], inputs=(padded,))
        self.calls += calls

    def program(self) -> Program:
        activations = tuple(self.activations.values())
        if self.joined:  # number the groups that are left, in order of first appearance
            numbers: dict[int, int] = {}
            groups = [numbers.setdefault(self._root(a.scale_group), len(numbers)) for a in activations]
            activations = tuple(replace(a, scale_group=g) for a, g in zip(activations, groups, strict=True))
        return Program(self.runtime, self.graph.input, self.graph.outputs, activations, tuple(self.calls))


_activation = lru_cache(maxsize=REMEMBERED)(Activation)


@lru_cache(maxsize=REMEMBERED)
def shape_of(op: Op, *shapes: Shape) -> Shape:
    return KINDS[op.kind].shape(op, list(shapes))


def fixed_by(clamp: Op) -> tuple[float, int] | None:
    """The encoding whose range a clamp is, if it is a clip."""
    return encoding_of(clamp["low"], clamp["high"]) if clamp.kind == "clip" else None


def channels_last(shape: Shape) -> tuple[int, ...]:
    """A graph's shape as a device has it: `(channels, height, width)` to `(height, width, channels)`."""
    return (*shape[1:], shape[0])
