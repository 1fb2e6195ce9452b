"""The arrangement of a program: calls and tensors in the order that takes the smallest arena.

Where a network branches, the order of its calls decides what waits in memory (`targets.order`). And of tensors of one
size TFLM's planner places first the one that stands last in the file, so their order decides where gaps come. Both are
chosen here, once: the file, the bill and everything else read them from the `Program`. The planner judges, and the
order given stays where none is better; a network without branches is spared the search.

Scratch differs between cores, but one file is for all of them: arrangements are compared with the scratch of DSP
kernels, and an order of calls that takes more than the one given with another core's is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from types import MappingProxyType

from targets.geometry import geometry
from targets.kernels import Extension
from targets.memory import Buffer, Plan, aligned, extent, planned
from targets.order import Calls, least_peak
from targets.program import Call, Program
from targets.scratch import scratch_bytes

JUDGE: Extension = "dsp"
OTHERS: tuple[Extension, ...] = ("scalar", "mve")
NOTHING: Mapping[str, int] = MappingProxyType({})


def arranged(program: Program, known: Mapping[str, int] = NOTHING) -> Program:
    """`program` with its calls and tensors arranged for the smallest arena known; itself if none is smaller.

    Args:
        known: scratch of some calls on the judge's core, in bytes, by their outputs.
    """
    given = _plan(program, known)
    plans, enough = [(program.calls, given)], max(given.live_bytes)
    if _branches(program):
        other = _reordered(program, given)
        if other.calls != program.calls:
            plans.append((other.calls, _plan(other, known)))
            enough = max(plans[1][1].live_bytes)
    best, least = program, given.arena_bytes
    if least <= enough:  # no order of tensors brings the arena below what is alive at once
        return program
    count = len(program.activations)
    for calls, buffers in _tied(plans, count):
        arena = extent(buffers)
        if arena < least:
            tensors = tuple([program.by_name[buffer.name] for buffer in buffers[:count]])
            tied = replace(program, calls=calls, activations=tensors)
            if calls is program.calls or all([_arena(tied, core) <= _arena(program, core) for core in OTHERS]):
                best, least = tied, arena
        if least <= enough:
            break
    return best


def ordered_like(program: Program, other: Program) -> Program:
    """`program` with its calls and tensors in the order of `other`, which writes all that it writes."""
    made = {call.output: call for call in program.calls}
    calls = [made[call.output] for call in other.calls if call.output in made]
    tensors = [program.by_name[tensor.name] for tensor in other.activations if tensor.name in program.by_name]
    return replace(program, calls=tuple(calls), activations=tuple(tensors))


def _branches(program: Program) -> bool:
    """Has the program calls that need not stand where they stand?"""
    calls = program.calls
    return not all([before.output in call.inputs for before, call in pairwise(calls)])


@lru_cache(maxsize=1 << 16)
def scratch_of(extension: Extension, call: Call, output: tuple[int, ...], *inputs: tuple[int, ...]) -> int:
    """Scratch of a call that writes and reads these shapes, in bytes, on a core with that kind of kernels."""
    return scratch_bytes(geometry(call, inputs, output), extension)


def _plan(program: Program, known: Mapping[str, int] = NOTHING, core: Extension = JUDGE) -> Plan:
    shapes = {activation.name: activation.shape for activation in program.activations}
    scratch = [
        known[call.output]
        if call.output in known
        else scratch_of(core, call, shapes[call.output], *[shapes[name] for name in call.inputs])
        for call in program.calls
    ]
    return planned(program, tuple(scratch))


def _arena(program: Program, core: Extension) -> int:
    return _plan(program, core=core).arena_bytes


def _reordered(program: Program, given: Plan) -> Program:
    """With its calls in the order of the least peak known."""
    number = {program.input: 0} | {call.output: k for k, call in enumerate(program.calls, start=1)}
    sizes = tuple([aligned(program.by_name[name].size_bytes) for name in number])
    reads = tuple([tuple(dict.fromkeys([number[name] for name in call.inputs])) for call in program.calls])
    found = {buffer.first: buffer.size_bytes for buffer in given.buffers[len(number) :]}
    scratch = tuple([found.get(k, 0) for k in range(1, len(number))])
    kept = frozenset([number[name] for name in program.outputs])
    return _in_order(program, [program.calls[k] for k in least_peak(Calls(reads, sizes, scratch, kept))])


def _in_order(program: Program, calls: list[Call]) -> Program:
    """With these calls, and the tensors in the order they are made."""
    names = [program.input, *[call.output for call in calls]]
    return replace(program, calls=tuple(calls), activations=tuple([program.by_name[name] for name in names]))


def _tied(plans: list[tuple[tuple[Call, ...], Plan]], count: int) -> Iterator[tuple[tuple[Call, ...], list[Buffer]]]:
    """Calls and buffers of each plan, its `count` tensors in the order of each rule; none the planner sees twice."""
    tried = [sorted(plans[0][1].buffers, key=_size)]
    for calls, found in plans:
        tensors, scratch = found.buffers[:count], found.buffers[count:]
        for order in (tensors, *[sorted(tensors, key=rule) for rule in _TIES]):
            buffers = [*order, *scratch]
            seen = sorted(buffers, key=_size)
            if seen not in tried:
                tried.append(seen)
                yield calls, buffers


_size = itemgetter(Buffer._fields.index("size_bytes"))

_TIES: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
    lambda buffer: (-buffer.first,),
    lambda buffer: (buffer.last, buffer.first),
    lambda buffer: (buffer.last - buffer.first, buffer.first),
)
"""Of two tensors of one size the planner shall place first: the one made earlier, the one needed longest, the one that
lives longest. As they are made, the one made later is."""
