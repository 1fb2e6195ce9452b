"""From gene values to operators, by tables made once a space.

`SearchSpace.apply` runs thousands of times. All that depends on what is left out is worked out once for each of its
combinations (a `Plan`), and each operator once for each value of the few genes that it depends on (a `Slot`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import Any

from search_spaces.channels import ChannelMap
from search_spaces.depth import Unit
from search_spaces.errors import SpaceError
from search_spaces.factors import factored, pays
from search_spaces.genes import Gene
from search_spaces.graph import Graph, Op
from search_spaces.ops import LAYERS, is_depthwise
from search_spaces.structure import Structure, without

PLANS_KEPT = 4096  # a network of many units has more combinations than are worth remembering

Values = tuple[int, ...]
Pick = Callable[[Values], Any]
Windows = dict[tuple[int, int], dict[str, tuple[int, ...]]]
"""Kernel and pads of an operator by the values of its kernel gene and the resolution, 0 where there is no such gene."""


@dataclass(frozen=True, slots=True)
class Width:
    """A channel count as a sum: `(fixed + values of genes) * span`."""

    fixed: int
    genes: tuple[int, ...]
    span: int

    def of(self, values: Values) -> int:
        return (self.fixed + sum([values[k] for k in self.genes])) * self.span


@dataclass(slots=True)
class Slot:
    """One operator whose attributes depend on genes.

    Attributes:
        op: with the original's attributes.
        out: its output channels; None where they are not an attribute of it.
        before: of a slice, the channels in front of those it takes; else None.
        multiplier: of a depthwise convolution, whose groups change too; else 0.
        kernel, side, bits: places of its kernel gene, of the resolution and of its bits gene, or -1.
        windows: what follows from these two; empty where nothing does.
        places: the genes that it depends on.
        pick: their values.
        made: operators by those values.
    """

    op: Op
    out: Width | None
    before: Width | None
    multiplier: int
    kernel: int
    side: int
    bits: int
    windows: Windows
    places: tuple[int, ...]
    pick: Pick
    made: dict[Any, Op] = field(default_factory=dict)

    def fill(self, values: Values) -> Op:
        key = self.pick(values)
        op = self.made.get(key)
        if op is None:
            op = self.made[key] = self._make(values)
        return op

    def _make(self, values: Values) -> Op:
        attrs: dict[str, Any] = {}
        if self.out is not None:
            channels = self.out.of(values)
            if self.before is not None:
                start = self.before.of(values)
                return self.op.replace(start=start, stop=start + channels)
            attrs["out_channels"] = channels
            if self.multiplier:
                attrs["groups"] = channels // self.multiplier
        if self.windows:
            chosen = values[self.kernel] if self.kernel >= 0 else 0, values[self.side] if self.side >= 0 else 0
            if chosen not in self.windows:
                law = f"a side of {', '.join(map(str, dict.fromkeys(kernel for kernel, _ in self.windows)))}"
                raise SpaceError(f"the kernel of {self.op.name!r} must have {law}, got {chosen[0]}")
            attrs |= self.windows[chosen]
        op = self.op.replace(**attrs)
        return op if self.bits < 0 else op.stored_in(values[self.bits])


@dataclass(slots=True)
class Pair:
    """One layer that may be two.

    Attributes:
        gene: place of its rank gene.
        whole: that gene's value for one layer.
        least: its smallest value.
        first: name of the first of the two.
        inputs, outputs: channels of the layer.
        pick: the values of the genes that it depends on.
        made: the two layers by those values.
    """

    gene: int
    whole: int
    least: int
    first: str
    inputs: Width
    outputs: Width
    pick: Pick
    made: dict[Any, tuple[Op, ...]] = field(default_factory=dict)

    def rank(self, values: Values) -> int:
        """Channels between the two layers; 0 for one layer, which it is wherever two would not be smaller."""
        rank = values[self.gene]
        if rank == self.whole or not pays(rank, self.inputs.of(values), self.outputs.of(values)):
            return 0
        return rank

    def matters(self, values: Values) -> bool:
        """Could the layer be two in a network of these widths?"""
        return self.least != self.whole and pays(self.least, self.inputs.of(values), self.outputs.of(values))

    def split(self, op: Op, values: Values) -> tuple[Op, ...]:
        """What stands in for the layer."""
        key = self.pick(values)
        ops = self.made.get(key)
        if ops is None:
            rank = self.rank(values)
            ops = self.made[key] = factored(op, rank, self.first) if rank else (op,)
        return ops


@dataclass(frozen=True, slots=True)
class Plan:
    """A network for one combination of the genes that leave something out.

    Attributes:
        ops: in order; those with a slot stand there with the original's attributes.
        slots: places in `ops` and their slots.
        pairs: places in `ops` of layers that may be two, the last first.
        source: as in `Structure`.
        active: for each gene, whether the network depends on it; of a rank, whether it does at some widths.
        idle: places of the genes that it does not depend on.
        summed: groups of width genes of which only the sum shows in the network.
    """

    ops: list[Op]
    slots: tuple[tuple[int, Slot], ...]
    pairs: tuple[tuple[int, Pair], ...]
    source: dict[str, str]
    active: tuple[bool, ...]
    idle: tuple[int, ...]
    summed: tuple[tuple[int, ...], ...]

    def ops_for(self, values: Values) -> tuple[Op, ...]:
        ops = self.ops.copy()
        for place, slot in self.slots:
            ops[place] = slot.fill(values)
        for place, pair in self.pairs:
            ops[place : place + 1] = pair.split(ops[place], values)
        return tuple(ops)

    def active_at(self, values: Values) -> tuple[bool, ...]:
        """`active` at these widths."""
        if not self.pairs:
            return self.active
        found = list(self.active)
        for _, pair in self.pairs:
            found[pair.gene] = pair.matters(values)
        return tuple(found)

    def idle_at(self, values: Values) -> tuple[int, ...]:
        """`idle`, and the genes of layers that are one at these values."""
        if not self.pairs:
            return self.idle
        return (*self.idle, *[pair.gene for _, pair in self.pairs if not pair.rank(values)])


class Assembly:
    """The tables of one space.

    Args:
        windows: of each operator whose kernel or pads may change.
        idle_pools: by the input's side, what is left out there because nothing is left to pool.
    """

    def __init__(
        self,
        graph: Graph,
        genes: Sequence[Gene],
        channels: ChannelMap,
        units: Sequence[Unit],
        windows: dict[str, Windows],
        idle_pools: dict[int, Unit],
    ) -> None:
        place = {gene.name: k for k, gene in enumerate(genes)}
        self.graph = graph
        self.channels = channels
        self.windows = windows
        self.idle_pools = idle_pools
        self.genes = tuple(genes)
        self.width_gene = {atom.id: place.get(f"width:{atom.name}", -1) for atom in channels.atoms}
        self.resolution = place.get(f"resolution:{graph.input}", -1)
        self.kernel_gene = {name: place.get(f"kernel:{name}", -1) for name in windows}
        self.rank_gene = {op.name: place[f"rank:{op.name}"] for op in graph.ops if f"rank:{op.name}" in place}
        self.bits_gene = {op.name: place.get(f"bits:{op.name}", -1) for op in graph.ops}
        self.units = [(place[f"depth:{unit.name}"], unit) for unit in units]
        self.enclosing = {k: tuple(j for j, other in self.units if unit.within(other)) for k, unit in self.units}
        self._pick_structure = _picker([k for k, _ in self.units] + ([self.resolution] if idle_pools else []))
        self._plans: dict[Any, Plan] = {}
        self._slots: dict[tuple[str, tuple[str, ...], str], Slot | None] = {}
        self._pairs: dict[tuple[str, tuple[str, ...], str, str], Pair] = {}

    def plan(self, values: Values) -> Plan:
        """The plan for these values' depth genes, and the resolution where it leaves pools out."""
        key = self._pick_structure(values)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
            plan = self._plans[key] = self._make_plan(values)
        return plan

    def _width(self, tensor: str, stop: int | None = None) -> Width:
        """The length of an original tensor's first axis, or of the part in front of channel `stop`."""
        atoms = self.channels.of[tensor]
        if stop is not None:
            ends = accumulate(self.channels.atoms[a].size * self.channels.span[tensor] for a in atoms)
            atoms = tuple(a for a, end in zip(atoms, ends, strict=True) if end <= stop)
        genes = tuple(self.width_gene[a] for a in atoms if self.width_gene[a] >= 0)
        fixed = sum(self.channels.atoms[a].size for a in atoms if self.width_gene[a] < 0)
        return Width(fixed, genes, self.channels.span[tensor])

    def _make_plan(self, values: Values) -> Plan:
        units = [unit for k, unit in self.units if not values[k]]
        if self.idle_pools and values[self.resolution] in self.idle_pools:
            units.append(self.idle_pools[values[self.resolution]])
        structure = without(self.graph, units)
        found = [(place, self._slot(op, structure.source[op.name])) for place, op in enumerate(structure.ops)]
        slots = tuple((place, slot) for place, slot in found if slot is not None)
        pairs = self._pairs_of(structure)
        active = [False] * len(self.genes)
        if self.resolution >= 0:
            active[self.resolution] = True
        for k, _ in self.units:
            active[k] = all(values[outer] for outer in self.enclosing[k])
        for _, slot in slots:
            for k in slot.places:
                active[k] = True
        for _, pair in pairs:
            active[pair.gene] = True
        idle = tuple(k for k, on in enumerate(active) if not on)
        return Plan(list(structure.ops), slots, pairs, structure.source, tuple(active), idle, _summed(slots))

    def _pairs_of(self, structure: Structure) -> tuple[tuple[int, Pair], ...]:
        found = []
        for place, op in enumerate(structure.ops):
            if op.name in self.rank_gene:
                key = (op.name, op.inputs, structure.source[op.inputs[0]], structure.source[op.name])
                if key not in self._pairs:
                    self._pairs[key] = self._make_pair(op, structure.source)
                found.append((place, self._pairs[key]))
        return tuple(reversed(found))

    def _make_pair(self, op: Op, source: Mapping[str, str]) -> Pair:
        gene = self.rank_gene[op.name]
        inputs, outputs = self._width(source[op.inputs[0]]), self._width(source[op.name])
        first = f"{op.name}.rank"
        while first in self.graph.shapes:
            first += "_"
        bits = [k for k in (self.bits_gene[op.name],) if k >= 0]  # both layers have the layer's
        places = dict.fromkeys((gene, *inputs.genes, *outputs.genes, *bits))
        rank = self.genes[gene]
        return Pair(gene, rank.original, rank.options[0], first, inputs, outputs, _picker(list(places)))

    def _slot(self, op: Op, source: str) -> Slot | None:
        key = (op.name, op.inputs, source)
        if key not in self._slots:
            self._slots[key] = self._make_slot(op, source)
        return self._slots[key]

    def _make_slot(self, op: Op, source: str) -> Slot | None:
        windows = self.windows.get(op.name, {})
        kernel, side = (self.kernel_gene[op.name], self.resolution) if windows else (-1, -1)
        bits = self.bits_gene[op.name]
        extra = [k for k in (kernel, side, bits) if k >= 0]
        if op.kind in ("max_pool", "avg_pool") and windows:
            return Slot(op, None, None, 0, kernel, side, -1, windows, tuple(extra), _picker(extra))
        if op.kind not in LAYERS and op.kind != "slice":
            return None
        original = self.graph.by_name[op.name]
        if op.kind == "slice":
            out, before = self._width(source), self._width(original.inputs[0], op["start"])
            places = tuple(dict.fromkeys((*out.genes, *before.genes)))
            return Slot(op, out, before, 0, -1, -1, -1, {}, places, _picker(places)) if places else None
        depthwise = is_depthwise(original, self.graph.shapes[original.inputs[0]][0])
        out = self._width(source)
        if not out.genes and not extra and out.of(()) == op["out_channels"]:
            return None
        multiplier = op["out_channels"] // op["groups"] if depthwise else 0
        places = (*dict.fromkeys(out.genes), *extra)
        return Slot(op, out, None, multiplier, kernel, side, bits, windows, places, _picker(places))


def _summed(slots: Sequence[tuple[int, Slot]]) -> tuple[tuple[int, ...], ...]:
    """Width genes that stand together in every layer that is left: only their sum can be told from the network."""
    sums = [width for _, slot in slots for width in (slot.out, slot.before) if width]
    if all(len(width.genes) < 2 for width in sums):
        return ()
    layers: dict[int, list[int]] = {}
    for place, width in enumerate(sums):
        for k in width.genes:
            layers.setdefault(k, []).append(place)
    alike: dict[tuple[int, ...], list[int]] = {}
    for k, seen in layers.items():
        alike.setdefault(tuple(seen), []).append(k)
    return tuple(tuple(sorted(group)) for group in alike.values() if len(group) > 1)


def _picker(places: Sequence[int]) -> Pick:
    """The values at some places, as something hashable."""
    return itemgetter(*places) if places else lambda values: ()
