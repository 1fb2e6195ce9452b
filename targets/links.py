"""Networks that are chains of common operators, priced link by link.

Most networks of a search differ in sizes alone. What one operator with the clamp behind it becomes when it reads a map
of one shape is a `Link`, lowered and priced once, whatever its name. What the chain owes to which links there are, and
not to their sizes, is a `_Chain`, made of the first such network's `Program`. Together they give the sum that
`targets.cost.estimate` comes to, by the same functions. `Links.price` knows where they cannot, and leaves those
networks to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, pairwise
from math import prod
from typing import TypeVar

from search_spaces.errors import TargetError
from search_spaces.graph import Graph, Op, Shape
from targets.arrangement import JUDGE, scratch_of
from targets.core import CallCost, call_costs
from targets.cost import Cost, total
from targets.device import Device
from targets.lower import lower
from targets.lowering import CLAMPS, FUSES
from targets.memory import Buffer, Plan, aligned, lifetimes, place
from targets.program import Call, CallKind, Fused, Program
from targets.tflite_size import Frame, Part, part_of

LINKED: frozenset[CallKind] = frozenset(
    {"conv", "dw", "fc", "max_pool", "avg_pool", "pad", "reshape", "softmax", "logistic"}
)
"""Calls of which each price, and each fact of the whole program, follows from their own operator and what they read."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Link:
    """One operator, a flatten before it and a clamp behind it included, reading a map of one shape.

    Attributes:
        made: the shape that comes out, channels first.
        form: which calls it becomes, whatever their sizes; equal forms are one number.
        calls, costs: what it becomes, and what that takes.
        shapes, sizes: of the activations made, and their bytes in the arena.
        scratch, judged: of each call, bytes in the arena; the same on the core by which programs are arranged.
        read: the shape that each call reads first.
        parts: of the file, by what the chain knows of the calls.
    """

    made: Shape
    form: int
    calls: tuple[Call, ...]
    costs: tuple[CallCost, ...]
    shapes: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    scratch: tuple[int, ...]
    judged: tuple[int, ...]
    read: tuple[tuple[int, ...], ...]
    parts: dict[tuple[tuple[Fused, bool], ...], tuple[Part, ...]] = field(default_factory=dict)

    def parts_for(self, known: tuple[tuple[Fused, bool], ...]) -> tuple[Part, ...]:
        found = self.parts.get(known)
        if found is None:
            calls = zip(self.calls, self.read, known, strict=True)
            found = self.parts[known] = tuple([part_of(call, read, *facts) for call, read, facts in calls])
        return found


class _Chain:
    """What networks of the same links have in common but for their sizes; `program` is one of them."""

    def __init__(self, program: Program, links: list[Link]) -> None:
        self.program, self.frame = program, Frame(program)
        self.known, at = [], 0
        for link in links:
            self.known.append(self.frame.known[at : at + len(link.calls)])
            at += len(link.calls)
        tensors = lifetimes(program, [0] * len(program.calls))
        self.spans = [(tensor.first, tensor.last) for tensor in tensors]

    def price(self, device: Device, links: list[Link], shapes: list[tuple[int, ...]]) -> Cost | None:
        """The cost; None where the program of these sizes would be arranged anew."""
        sizes = [aligned(prod(shapes[0])), *_joined([link.sizes for link in links])]
        tensors = [Buffer(first, last, size) for (first, last), size in zip(self.spans, sizes, strict=True)]
        found = self._plan(tensors, [link.judged for link in links])
        if found.arena_bytes > max(found.live_bytes):
            return None
        if device.kernel_core.extension != JUDGE:
            found = self._plan(tensors, [link.scratch for link in links])
        parts = _joined([link.parts_for(known) for link, known in zip(links, self.known, strict=True)])
        costs = tuple(_joined([link.costs for link in links]))
        return total(self.program, costs, device, self.frame.size(parts, shapes), found)

    def _plan(self, tensors: list[Buffer], scratch: list[tuple[int, ...]]) -> Plan:
        calls = enumerate(_joined(scratch), start=1)
        buffers = (*tensors, *[Buffer(call, call, size) for call, size in calls if size])
        return Plan(buffers, tuple(place(buffers)), len(self.program.calls))


class Links:
    """Prices networks for TFLM on one device that has kernel prices, as far as they are chains of what is `LINKED`."""

    def __init__(self, device: Device) -> None:
        self.device, self.core = device, device.kernel_core
        self._met: dict[tuple[object, ...], tuple[tuple[Op, ...], Link | None]] = {}
        self._links: dict[object, Link | None] = {}
        self._forms: dict[object, int] = {}
        self._chains: dict[tuple[int, ...], _Chain | None] = {}

    def price(self, graph: Graph) -> Cost | None:
        """`targets.cost.estimate` for TFLM; None for a network that has to be lowered as a whole."""
        links = self._links_of(graph)
        if links is None:
            return None
        forms = tuple([link.form for link in links])
        if forms not in self._chains:
            self._chains[forms] = self._chain(graph, links)
        found = self._chains[forms]
        if found is None:
            return None
        first = graph.input_shape
        shapes = [(*first[1:], first[0]), *_joined([link.shapes for link in links])]
        return found.price(self.device, links, shapes)

    def _chain(self, graph: Graph, links: list[Link]) -> _Chain | None:
        """The chain of a network; None where its program is not the links' calls and activations in a row."""
        program = lower(graph)
        costs = call_costs(program, self.core)
        same = costs == tuple(_joined([link.costs for link in links]))
        return _Chain(program, links) if same and _in_a_row(program) else None

    def _links_of(self, graph: Graph) -> list[Link] | None:
        """The links of a network; None if it is no chain, or has one that is none."""
        ops, read, shape, links = graph.ops, graph.input, graph.input_shape, []
        end = 0
        while end < len(ops):
            begin = end
            end += 1 + (ops[begin].kind == "flatten" and begin + 1 < len(ops))
            end += end < len(ops) and ops[end].kind in CLAMPS and ops[end - 1].kind in FUSES
            met = ops[begin:end]
            for op in met:
                if op.inputs != (read,):
                    return None
                read = op.name
            key = *map(id, met), shape
            known = self._met.get(key)
            if known is None:  # the operators are kept too, so that no other gets their numbers
                known = self._met[key] = met, self._link(met, shape)
            link = known[1]
            if link is None:
                return None
            links.append(link)
            shape = link.made
        return links if graph.outputs == (read,) else None

    def _link(self, ops: tuple[Op, ...], shape: Shape) -> Link | None:
        """The link of operators that read a map of a shape, whatever their names."""
        key = *[(op.kind, op.attrs) for op in ops], shape
        if key not in self._links:
            named = [Op(str(k + 1), op.kind, (str(k),), op.attrs) for k, op in enumerate(ops)]
            self._links[key] = self._lowered(Graph("0", shape, tuple(named), (named[-1].name,)))
        return self._links[key]

    def _lowered(self, graph: Graph) -> Link | None:
        """The link that a network of nothing else is; None where it would be another one in its place."""
        try:
            program = lower(graph)
        except TargetError:  # what breaks a rule is told of the whole network
            return None
        calls, shapes = program.calls, tuple([activation.shape for activation in program.activations])
        if not LINKED.issuperset([call.kind for call in calls]) or not _in_a_row(program):
            return None
        costs = call_costs(program, self.core)
        form = (
            *[(call.kind, call.fused, call.kind == "pad" and call.pads) for call in calls],
            *[activation.fixed for activation in program.activations],
        )
        ends = zip(calls, shapes[1:], shapes[:-1], strict=True)
        return Link(
            (shapes[-1][-1], *shapes[-1][:-1]),
            self._forms.setdefault(form, len(self._forms)),
            calls,
            costs,
            shapes[1:],
            tuple([aligned(prod(shape)) for shape in shapes[1:]]),
            _scratch(program, [cost.scratch_bytes for cost in costs]),
            _scratch(program, [scratch_of(JUDGE, call, made, read) for call, made, read in ends]),
            shapes[:-1],
        )


def _scratch(program: Program, asked: list[int]) -> tuple[int, ...]:
    """Of each call, the bytes of the arena that what it asked for takes there."""
    found = {buffer.first: buffer.size_bytes for buffer in lifetimes(program, asked)[len(program.activations) :]}
    return tuple([found.get(call, 0) for call in range(1, 1 + len(asked))])


def _in_a_row(program: Program) -> bool:
    """Is each activation but the first what one call makes of the one before?"""
    names = [activation.name for activation in program.activations]
    ends = [(call.inputs, call.output) for call in program.calls]
    return ends == [((read,), made) for read, made in pairwise(names)]


def _joined(rows: Iterable[Iterable[T]]) -> list[T]:
    return list(chain.from_iterable(rows))
