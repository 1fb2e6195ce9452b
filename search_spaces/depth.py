"""Stretches of a network that can be left out whole.

*A residual branch*: one side of an `add` that starts at the tensor where both sides part and is read by nothing else.
Without it the add goes too, and its readers read the other side.

*A plain segment* behind a dense operator P (convolution with one group, or linear) and its activation: the shortest
run of operators, each with one input and one reader and all of P's height and width, that ends in a dense operator
with the same activation. Without it P makes the segment's output channels, with its own kernel and stride.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from search_spaces.graph import Graph, Op
from search_spaces.ops import KINDS

# Activations that change nothing the second time, and after which activations they change nothing.
_IDEMPOTENT = {"relu": ("relu", "relu6"), "relu6": ("relu6",)}


@dataclass(frozen=True)
class Unit:
    """One stretch that can be left out.

    Attributes:
        name: the operator it ends in: the add of a residual branch, the last dense operator of a plain segment.
        ops: names of the operators that go, in order.
        reads: `(gone, kept)`: who read the first tensor reads the second.
        heirs: `(kept, gone)`: the first tensor should now have the values of the second, and has its channels.
    """

    name: str
    ops: tuple[str, ...]
    reads: tuple[tuple[str, str], ...]
    heirs: tuple[tuple[str, str], ...]

    def within(self, other: Unit) -> bool:
        """Does leaving out `other` leave this unit without a meaning?"""
        return self is not other and set(self.ops) <= set(other.ops)


def find_units(graph: Graph) -> tuple[Unit, ...]:
    """All units, in order of the operators they end in; any two are disjoint or one lies within the other.

    A stretch with an output of the network in it is no unit, so that outputs keep their names.
    """
    place = {op.name: k for k, op in enumerate(graph.ops)}
    found = [*_branches(graph, place), *_segments(graph)]
    found = [unit for unit in found if not set(unit.ops) & set(graph.outputs)]
    found.sort(key=lambda unit: (len(unit.ops), place[unit.name]))  # where two cross, the shorter one stays
    for first, second in combinations(tuple(found), 2):
        crossing = set(first.ops) & set(second.ops) and not first.within(second)
        if crossing and first in found and second in found:
            found.remove(second)
    return tuple(sorted(found, key=lambda unit: place[unit.name]))


def _segments(graph: Graph) -> list[Unit]:
    found = []
    for start in graph.ops:
        if not _dense(start):
            continue
        first_act = _activation(graph, start)
        act_kind = first_act.kind if first_act else None
        gone = _run(graph, start, first_act or start, act_kind)
        if gone is None:
            continue
        last = gone[-2] if act_kind else gone[-1]
        pairs = [(start.name, last.name)]
        if first_act:
            pairs.append((first_act.name, gone[-1].name))
        kept, final = pairs[-1]
        found.append(Unit(last.name, tuple(op.name for op in gone), ((final, kept),), tuple(pairs)))
    return found


def _run(graph: Graph, start: Op, after: Op, act_kind: str | None) -> list[Op] | None:
    """The operators of the segment behind `start`, whose activated output is `after`; None if there is none."""
    side = graph.shapes[start.name][1:]
    gone: list[Op] = []
    last = after
    while True:
        readers = graph.consumers[last.name]
        if len(readers) != 1 or last.name in graph.outputs:
            return None
        op = readers[0]
        if len(op.inputs) != 1 or graph.shapes[op.name][1:] != side:
            return None
        gone.append(op)
        last = op
        if _dense(op) and op.kind == start.kind:
            act = _activation(graph, op)
            if act:
                gone.append(act)
                last = act
            if (act.kind if act else None) == act_kind:
                return gone


def _dense(op: Op) -> bool:
    return op.kind == "linear" or (op.kind == "conv" and op["groups"] == 1)


def _activation(graph: Graph, op: Op) -> Op | None:
    """The activation that is an operator's only reader."""
    readers = graph.consumers[op.name]
    if len(readers) == 1 and op.name not in graph.outputs and KINDS[readers[0].kind].pointwise:
        return readers[0]
    return None


def _branches(graph: Graph, place: dict[str, int]) -> list[Unit]:
    ancestors: dict[str, int] = {graph.input: 0}  # as bits: operators a tensor depends on, its own included
    for k, op in enumerate(graph.ops):
        bits = 1 << k
        for name in op.inputs:
            bits |= ancestors[name]
        ancestors[op.name] = bits
    found = []
    for add in graph.ops:
        if add.kind != "add":
            continue
        shared = ancestors[add.inputs[0]] & ancestors[add.inputs[1]]
        entry = graph.ops[shared.bit_length() - 1].name if shared else graph.input
        sides = [(_between(graph, entry, name, ancestors), name) for name in add.inputs]
        (longer, _), (shorter, kept) = sorted(sides, key=lambda side: -len(side[0]))
        if len(longer) > len(shorter) and _closed(graph, longer, entry, add):
            found.append(_branch(graph, add, longer, kept, place))
    return found


def _between(graph: Graph, entry: str, exit_: str, ancestors: dict[str, int]) -> list[Op]:
    """The operators that `exit_` depends on and `entry` does not."""
    bits = ancestors[exit_] & ~ancestors[entry]
    return [op for k, op in enumerate(graph.ops) if bits >> k & 1]


def _closed(graph: Graph, branch: list[Op], entry: str, add: Op) -> bool:
    """Does the branch read nothing but `entry`, learn something, and is it read by nothing but `add`?"""
    inside = {op.name for op in branch}
    reads_entry_only = all(name in inside or name == entry for op in branch for name in op.inputs)
    readers = {reader.name for op in branch for reader in graph.consumers[op.name]}
    return reads_entry_only and readers <= inside | {add.name} and any(_dense(op) for op in branch)


def _branch(graph: Graph, add: Op, branch: list[Op], kept: str, place: dict[str, int]) -> Unit:
    gone, final = [op.name for op in branch] + [add.name], add.name
    readers = graph.consumers[add.name]
    act = readers[0] if len(readers) == 1 and add.name not in graph.outputs else None
    if act and _unchanged(graph, kept, act.kind):  # it would follow an activation of its own kind: leave it out too
        gone.append(act.name)
        final = act.name
    heirs = []
    maker = graph.by_name.get(kept)  # None: the network's input, which is given
    if maker and all(reader.name in gone for reader in graph.consumers[kept]) and kept not in graph.outputs:
        heirs.append((kept, final))
        if final != add.name and maker.kind == graph.by_name[final].kind:
            before = maker.inputs[0]
            if graph.consumers[before] == (maker,) and before not in graph.outputs:
                heirs.append((before, add.name))
    return Unit(add.name, tuple(sorted(gone, key=place.__getitem__)), ((final, kept),), tuple(heirs))


def _unchanged(graph: Graph, tensor: str, act_kind: str) -> bool:
    """Would this activation leave the tensor as it is? Pools and concats keep a range."""
    op = graph.by_name.get(tensor)
    if op is None or act_kind not in _IDEMPOTENT:
        return False
    if op.kind in ("max_pool", "avg_pool", "global_avg_pool", "concat"):
        return all(_unchanged(graph, name, act_kind) for name in op.inputs)
    return op.kind in _IDEMPOTENT[act_kind]
