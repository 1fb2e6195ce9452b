"""From gene values to operators, by tables made once a space.

`SearchSpace.apply` runs thousands of times. All that depends on the depth genes alone is worked out once for each of
their combinations (a `Plan`), and each operator once for each value of the few genes that it depends on (a `Slot`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import Any

from search_spaces.channels import ChannelMap
from search_spaces.depth import Unit
from search_spaces.errors import SpaceError
from search_spaces.genes import Gene
from search_spaces.graph import Graph, Op
from search_spaces.kernels import Crop
from search_spaces.ops import is_depthwise
from search_spaces.structure import without

PLANS_KEPT = 4096  # a network of many units has more combinations than are worth remembering

Values = tuple[int, ...]
Pick = Callable[[Values], Any]


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
        out: its output channels.
        before: of a slice, the channels in front of those it takes; else None.
        multiplier: of a depthwise convolution, whose groups change too; else 0.
        kernel: place of its kernel gene, or -1.
        crops: by side length.
        places: the genes that it depends on.
        pick: their values.
        made: operators by those values.
    """

    op: Op
    out: Width
    before: Width | None
    multiplier: int
    kernel: int
    crops: dict[int, Crop]
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
        channels = self.out.of(values)
        if self.before is not None:
            start = self.before.of(values)
            return self.op.replace(start=start, stop=start + channels)
        attrs: dict[str, Any] = {"out_channels": channels}
        if self.multiplier:
            attrs["groups"] = channels // self.multiplier
        if self.kernel >= 0:
            side = values[self.kernel]
            if side not in self.crops:
                law = f"a side of {', '.join(map(str, self.crops))}"
                raise SpaceError(f"the kernel of {self.op.name!r} must have {law}, got {side}")
            attrs |= {"kernel": (side, side), "pads": self.crops[side].pads}
        return self.op.replace(**attrs)


@dataclass(frozen=True, slots=True)
class Plan:
    """A network for one combination of the depth genes.

    Attributes:
        ops: in order; those with a slot stand there with the original's attributes.
        slots: places in `ops` and their slots.
        source: as in `Structure`.
        active: for each gene, whether the network depends on it.
        idle: places of the genes that it does not depend on.
        summed: groups of width genes of which only the sum shows in the network.
    """

    ops: list[Op]
    slots: tuple[tuple[int, Slot], ...]
    source: dict[str, str]
    active: tuple[bool, ...]
    idle: tuple[int, ...]
    summed: tuple[tuple[int, ...], ...]

    def ops_for(self, values: Values) -> tuple[Op, ...]:
        ops = self.ops.copy()
        for place, slot in self.slots:
            ops[place] = slot.fill(values)
        return tuple(ops)


class Assembly:
    """The tables of one space."""

    def __init__(
        self,
        graph: Graph,
        genes: Sequence[Gene],
        channels: ChannelMap,
        units: Sequence[Unit],
        crops: dict[str, dict[int, Crop]],
    ) -> None:
        place = {gene.name: k for k, gene in enumerate(genes)}
        self.graph = graph
        self.channels = channels
        self.crops = crops
        self.count = len(genes)
        self.width_gene = {atom.id: place.get(f"width:{atom.name}", -1) for atom in channels.atoms}
        self.kernel_gene = {op.name: place.get(f"kernel:{op.name}", -1) for op in graph.ops}
        self.units = [(place[f"depth:{unit.name}"], unit) for unit in units]
        self.enclosing = {k: tuple(j for j, other in self.units if unit.within(other)) for k, unit in self.units}
        self._pick_depths = _picker([k for k, _ in self.units])
        self._plans: dict[Any, Plan] = {}
        self._slots: dict[tuple[str, tuple[str, ...], str], Slot | None] = {}

    def plan(self, values: Values) -> Plan:
        """The plan for these values' depth genes."""
        key = self._pick_depths(values)
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
        structure = without(self.graph, [unit for k, unit in self.units if not values[k]])
        found = [(place, self._slot(op, structure.source[op.name])) for place, op in enumerate(structure.ops)]
        slots = tuple((place, slot) for place, slot in found if slot is not None)
        active = [False] * self.count
        for k, _ in self.units:
            active[k] = all(values[outer] for outer in self.enclosing[k])
        for _, slot in slots:
            for k in slot.places:
                active[k] = True
        idle = tuple(k for k in range(self.count) if not active[k])
        return Plan(list(structure.ops), slots, structure.source, tuple(active), idle, _summed(slots))

    def _slot(self, op: Op, source: str) -> Slot | None:
        key = (op.name, op.inputs, source)
        if key not in self._slots:
            self._slots[key] = self._make_slot(op, source)
        return self._slots[key]

    def _make_slot(self, op: Op, source: str) -> Slot | None:
        if op.kind not in ("conv", "linear", "slice"):
            return None
        original = self.graph.by_name[op.name]
        if op.kind == "slice":
            out, before = self._width(source), self._width(original.inputs[0], op["start"])
            places = tuple(dict.fromkeys((*out.genes, *before.genes)))
            return Slot(op, out, before, 0, -1, {}, places, _picker(places)) if places else None
        depthwise = is_depthwise(original, self.graph.shapes[original.inputs[0]][0])
        out = self._width(source)
        kernel = self.kernel_gene[op.name]
        if not out.genes and kernel < 0 and out.of(()) == op["out_channels"]:
            return None
        multiplier = op["out_channels"] // op["groups"] if depthwise else 0
        places = (*dict.fromkeys(out.genes), *([kernel] if kernel >= 0 else []))
        return Slot(op, out, None, multiplier, kernel, self.crops.get(op.name, {}), places, _picker(places))


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
