"""Thumb machine code by class: what each instruction of a stretch is, as far as its price goes.

Encodings: Arm v7-M Architecture Reference Manual (DDI 0403), chapter A5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Class = Literal["alu", "mul", "div", "load", "store", "pair", "many", "branch", "it", "vector"]
CLASSES: tuple[Class, ...] = ("alu", "mul", "div", "load", "store", "pair", "many", "branch", "it", "vector")
PC = 1 << 15


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        kind: "pair" is LDRD and STRD, "many" LDM, STM, PUSH and POP, "vector" floating point and Helium.
        size: 2 or 4 bytes.
        registers: that "many" moves.
        made: of a load, the register it writes, as a bit.
        address: of a load, the registers its address is made of, as bits.
        jumps: "many" that writes the program counter.
    """

    kind: Class
    size: int
    registers: int = 0
    made: int = 0
    address: int = 0
    jumps: bool = False


def decode(code: bytes) -> Iterator[Instruction]:
    """The instructions of a basic block; its bytes begin with one, and half of one at their end is left out."""
    at, end = 0, whole_bytes(code)
    while at < end:
        (first,) = struct.unpack_from("<H", code, at)
        found = _wide(first, struct.unpack_from("<H", code, at + 2)[0]) if is_wide(first) else _narrow(first)
        yield found
        at += found.size


def is_wide(word: int) -> bool:
    """Is this the first half of a 32-bit instruction?"""
    return word >> 11 in (0b11101, 0b11110, 0b11111)


def whole_bytes(code: bytes) -> int:
    """Bytes of the whole instructions of a block: emulators end one within an instruction that lies across two pages.

    They execute that instruction as a block of its own.
    """
    at = 0
    while at + 2 <= len(code):
        size = 4 if is_wide(struct.unpack_from("<H", code, at)[0]) else 2
        if at + size > len(code):
            break
        at += size
    return at


def _narrow(word: int) -> Instruction:
    """A 16-bit instruction."""
    top = word >> 12
    if top in (0b0101, 0b0110, 0b0111, 0b1000, 0b1001) or word >> 11 == 0b01001:
        return _narrow_access(word)
    if top == 0b1100:  # STM, LDM
        return Instruction("many", 2, (word & 255).bit_count())
    if top == 0b1011:
        return _miscellaneous(word)
    if top == 0b1101 or word >> 11 == 0b11100:
        return Instruction("branch", 2)
    if word >> 8 == 0b01000111 or (word >> 10 == 0b010001 and word & 0x87 == 0x87):  # BX, BLX, ADD and MOV to PC
        return Instruction("branch", 2)
    return Instruction("mul" if word >> 6 == 0b0100001101 else "alu", 2)


def _narrow_access(word: int) -> Instruction:
    low, base = 1 << (word & 7), 1 << (word >> 3 & 7)
    if word >> 11 == 0b01001:  # literal
        return Instruction("load", 2, made=1 << (word >> 8 & 7), address=PC)
    if word >> 12 == 0b0101:
        loads = word >> 9 & 7 >= 3
        address = base | 1 << (word >> 6 & 7)
        return Instruction("load", 2, made=low, address=address) if loads else Instruction("store", 2)
    if not word >> 11 & 1:
        return Instruction("store", 2)
    if word >> 12 == 0b1001:  # from the stack
        return Instruction("load", 2, made=1 << (word >> 8 & 7), address=1 << 13)
    return Instruction("load", 2, made=low, address=base)


def _miscellaneous(word: int) -> Instruction:
    if word >> 9 & 0b11 == 0b10 and word >> 8 & 0b0110 == 0b0100:  # PUSH, POP
        jumps = bool(word >> 11 & 1 and word >> 8 & 1)
        return Instruction("many", 2, (word & 0x1FF).bit_count(), jumps=jumps)
    if word >> 8 == 0b10111111 and word & 15:
        return Instruction("it", 2)
    if word & 0x0500 == 0x0100:  # CBZ, CBNZ
        return Instruction("branch", 2)
    return Instruction("alu", 2)


def _wide(first: int, second: int) -> Instruction:
    """A 32-bit instruction."""
    if first >> 9 == 0b1110100:
        return _multiple(first, second)
    if first >> 10 & 0b111011 == 0b111011:
        return Instruction("vector", 4)
    if first >> 11 == 0b11110:
        status = second >> 14 & 1 == 0 and second >> 12 & 1 == 0 and first >> 7 & 7 == 7  # MSR, MRS, barriers
        return Instruction("branch" if second >> 15 and not status else "alu", 4)
    if first >> 9 == 0b1111100:
        if not first >> 4 & 1:
            return Instruction("store", 4)
        base = first & 15
        indexed = first >> 7 & 1 == 0 and base != 15 and not second >> 11 & 1
        address = 1 << base | (1 << (second & 15) if indexed else 0)
        return Instruction("load", 4, made=1 << (second >> 12), address=address)
    if first >> 7 == 0b111110111 and second >> 4 & 15 == 15 and first >> 4 & 1:
        return Instruction("div", 4)
    return Instruction("mul" if first >> 8 == 0b11111011 else "alu", 4)


def _multiple(first: int, second: int) -> Instruction:
    """Load and store multiple, LDRD, STRD, table branches; data processing with a shifted register lies beside."""
    if first >> 6 & 1 == 0:
        return Instruction("many", 4, second.bit_count(), jumps=bool(first >> 4 & 1 and second >> 15))
    if first & 0xFFF0 == 0xE8D0 and second & 0xFFE0 == 0xF000:
        return Instruction("branch", 4)
    return Instruction("pair", 4)
