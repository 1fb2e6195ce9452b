"""What is left of a network without some of its units: the operators, and what each should now stand for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from search_spaces.depth import Unit
from search_spaces.graph import Graph, Op


@dataclass(frozen=True)
class Structure:
    """A network without some units; widths and kernels are still the original's.

    Attributes:
        ops: the operators that are left, reading tensors that are left.
        source: each tensor left → the original's tensor whose values and channels it should have.
    """

    ops: tuple[Op, ...]
    source: dict[str, str]


def without(graph: Graph, units: Iterable[Unit]) -> Structure:
    """`graph` without `units`."""
    gone: set[str] = set()
    reads: dict[str, str] = {}
    heirs: dict[str, str] = {}
    for unit in units:
        gone.update(unit.ops)
        reads.update(unit.reads)
        heirs.update(unit.heirs)
    kept: list[Op] = []
    source = {graph.input: _last(heirs, graph.input)}
    for op in graph.ops:
        if op.name in gone:
            continue
        if not reads.keys().isdisjoint(op.inputs):
            op = Op(op.name, op.kind, tuple(_last(reads, name) for name in op.inputs), op.attrs)
        kept.append(op)
        source[op.name] = _last(heirs, op.name)
    return Structure(tuple(kept), source)


def _last(links: dict[str, str], name: str) -> str:
    while name in links:
        name = links[name]
    return name
