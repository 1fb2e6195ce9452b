"""Peak RAM: lifetimes of tensors and scratch, placed in one arena the way TFLM's planner places them.

The rules are those of `tensorflow/lite/micro`: `micro_allocation_info.cc` (lifetimes: the input lives from the start,
the outputs to the end, scratch during its call), 16-byte alignment, and `greedy_memory_planner.cc` (largest first, of
equal sizes the later one first, each at the lowest gap among the buffers alive with it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import NamedTuple

from targets.core import CallCost
from targets.persistent import persistent_bytes, planning_bytes
from targets.program import CallKind, Program, Runtime

ALIGNMENT = 16

ELSEWHERE: dict[Runtime, frozenset[CallKind]] = {
    "tflm": frozenset({"fc"}), "c": frozenset(), "x-cube-ai": frozenset(),
}  # fmt: skip
"""Calls whose kernels do not work in the planned part: TFLM keeps the sums that Helium's linear layers ask for
(`targets.persistent`)."""


class Buffer(NamedTuple):
    """A stretch of arena in use from call `first` to call `last`; call 0 is the moment the input is filled in."""

    first: int
    last: int
    size_bytes: int
    name: str = ""


@dataclass(frozen=True)
class Plan:
    """Where every buffer lies.

    Attributes:
        buffers: tensors in the program's order, then scratch in the order of the calls.
        offsets: of each buffer, in bytes.
        calls: how many kernel calls the program has.
    """

    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]
    calls: int

    @cached_property
    def arena_bytes(self) -> int:
        """The planned part ("head") of the arena."""
        return max([at + buffer.size_bytes for at, buffer in zip(self.offsets, self.buffers, strict=True)], default=0)

    @cached_property
    def live_bytes(self) -> tuple[int, ...]:
        """Per call, the aligned bytes alive while it runs, its output and scratch included."""
        steps = [0] * (self.calls + 2)
        for buffer in self.buffers:
            steps[buffer.first] += buffer.size_bytes
            steps[buffer.last + 1] -= buffer.size_bytes
        return tuple(accumulate(steps))[1:-1]

    @property
    def peak_call(self) -> int:
        """Index of the first call with the most live bytes."""
        return self.live_bytes.index(max(self.live_bytes))


def plan(program: Program, costs: Sequence[CallCost]) -> Plan:
    """The arena of a program; `costs` are `targets.core.call_costs` of it."""
    return planned(program, tuple([cost.scratch_bytes for cost in costs]))


def planned(program: Program, scratch: tuple[int, ...]) -> Plan:
    """The arena of a program whose calls need `scratch` bytes; remembered with the program."""
    found = program.plans.get(scratch)
    if found is None:
        buffers = lifetimes(program, scratch)
        found = program.plans[scratch] = Plan(tuple(buffers), tuple(place(buffers)), len(program.calls))
    return found


def ram_bytes(program: Program, costs: Sequence[CallCost], found: Plan) -> int:
    """Bytes of RAM the runtime's arena needs; input and output included, stack and the application not.

    For "tflm" the interpreter's own data is added, and planning must find room (`targets.persistent`); "c" code has
    neither.
    """
    if program.runtime != "tflm":
        return found.arena_bytes
    return persistent_bytes(program, costs) + max(found.arena_bytes, planning_bytes(program, len(found.buffers)))


def lifetimes(program: Program, scratch: Sequence[int]) -> list[Buffer]:
    """When each tensor and each call's scratch is needed, with aligned sizes.

    TFLM copies in a reshape, so both of its tensors live; C code reads the same bytes again, so they are one buffer.
    """
    first, last = {program.input: 0}, {program.input: 0}
    holder: dict[str, str] = {}  # a reshaped tensor: the one whose bytes it reads
    for k, call in enumerate(program.calls, start=1):
        for name in call.inputs:
            last[holder.get(name, name)] = k
        if call.kind == "reshape" and program.runtime != "tflm":
            holder[call.output] = holder.get(call.inputs[0], call.inputs[0])
        else:
            first[call.output] = last[call.output] = k
    for name in program.outputs:
        last[holder.get(name, name)] = len(program.calls)
    found = [
        Buffer(first[tensor.name], last[tensor.name], aligned(prod(tensor.shape)), tensor.name)
        for tensor in program.activations
        if tensor.name not in holder
    ]
    elsewhere = ELSEWHERE[program.runtime]
    for k, (call, size) in enumerate(zip(program.calls, scratch, strict=True), start=1):
        if size and call.kind not in elsewhere:
            found.append(Buffer(k, k, aligned(size), f"{call.output}:scratch"))
    return found


def aligned(size_bytes: int) -> int:
    """`size_bytes` rounded up to the arena's alignment."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def place(buffers: Sequence[Buffer]) -> list[int]:
    """Offsets: largest buffer first, of equal ones the last, each at the lowest gap that is free while it lives."""
    offsets = [0] * len(buffers)
    spans: list[list[tuple[int, int]]] = [[] for _ in range(max([b.last for b in buffers], default=0) + 1)]
    sizes = [buffer.size_bytes for buffer in buffers]
    for k in reversed(sorted(range(len(buffers)), key=sizes.__getitem__)):
        first, last, size, _ = buffers[k]
        # `(start, end)` of the placed buffers it meets; one that lives through several of its calls is there twice.
        met = sorted([span for alive in spans[first : last + 1] for span in alive])
        offset = 0
        for start, end in met:
            if start - offset >= size:
                break
            if end > offset:
                offset = end
        offsets[k] = offset
        for alive in spans[first : last + 1]:
            alive.append((offset, offset + size))
    return offsets


def extent(buffers: Sequence[Buffer]) -> int:
    """The arena that `place` needs for them, in bytes."""
    return max([at + buffer.size_bytes for at, buffer in zip(place(buffers), buffers, strict=True)], default=0)


def verify_plan(found: Plan) -> None:
    """Raises AssertionError, naming two buffers, if they overlap in time and in space, or if one leaves the arena."""
    rows = list(zip(found.buffers, found.offsets, strict=True))
    for k, (a, at) in enumerate(rows):
        if at % ALIGNMENT or at + a.size_bytes > found.arena_bytes:
            raise AssertionError(f"{a} at {at} is misaligned or leaves the arena of {found.arena_bytes} bytes")
        for b, start in rows[:k]:
            together = a.first <= b.last and b.first <= a.last
            if together and at < start + b.size_bytes and start < at + a.size_bytes:
                raise AssertionError(f"{a} at {at} overlaps {b} at {start}")
