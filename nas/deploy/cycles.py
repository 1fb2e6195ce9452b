"""Executed basic blocks to instructions by class and to cycles.

Prices are those of the Cortex-M4's Technical Reference Manual (DDI 0439, 3.3.1), the ones the cost model's loops were
measured in: no caches, no wait states. On other cores only instructions are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from nas.deploy.thumb import Class, Instruction, decode

TAKEN_CYCLES = 2
"""To refill the pipeline; the manual says 1 to 3."""

DIVIDE_CYCLES = 7
"""The manual says 2 to 12."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of code that was executed from its first instruction to its last.

    Attributes:
        address, size: where it lies, in bytes.
        count: how often.
        taken: how often something else than the code behind it came next.
    """

    address: int
    size: int
    count: int
    taken: int


@dataclass(frozen=True)
class Profile:
    """What one inference executes.

    Attributes:
        instructions: all of them.
        by_class: the same by class of instruction.
        cycles: by the Cortex-M4's table; None for another core.
    """

    instructions: int
    by_class: Mapping[Class, int]
    cycles: int | None


def profile(blocks: Iterable[Block], code: Callable[[int, int], bytes], *, priced: bool, misaligned: int) -> Profile:
    """Adds blocks up.

    Args:
        code: the bytes at an address, so many of them.
        priced: the core is a Cortex-M4.
        misaligned: extra bus accesses of unaligned loads and stores, one cycle each.
    """
    classes: Counter[Class] = Counter()
    cycles, every = misaligned, tuple(blocks)
    behind = {block.address: code(block.address, block.size) for block in every}
    for block in every:
        mine = code(block.address, block.size)
        for instruction in decode(mine):
            classes[instruction.kind] += block.count
        cycles += block.count * cycles_of(mine) + TAKEN_CYCLES * block.taken
        following = behind.get(block.address + block.size, b"")
        # Where emulators cut a block has no price: one that runs on into the next is one piece with it.
        cycles += (block.count - block.taken) * (cycles_of(mine + following) - cycles_of(mine) - cycles_of(following))
    return Profile(sum(classes.values()), dict(classes), cycles if priced else None)


@cache
def cycles_of(code: bytes) -> int:
    """Cycles of a block that is not left early; what a taken branch adds is not in it."""
    return sum(_prices(tuple(decode(code))))


def _prices(instructions: tuple[Instruction, ...]) -> Iterator[int]:
    before: Instruction | None = None
    for now in instructions:
        if now.kind == "load":
            # A load behind a load is pipelined, unless its address waits for it.
            follows = before is not None and before.kind == "load" and not before.made & now.address
            yield 1 if follows else 2
        elif now.kind == "pair":
            yield 3
        elif now.kind == "many":
            yield 1 + now.registers
        elif now.kind == "div":
            yield DIVIDE_CYCLES
        elif now.kind == "it":
            yield 0 if before is not None and before.size == 2 else 1
        else:
            yield 1
        before = now
