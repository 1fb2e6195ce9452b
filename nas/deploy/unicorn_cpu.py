"""A Cortex-M in Unicorn: one function of a firmware called again and again, its basic blocks counted on the way."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from nas.deploy.cycles import Block
from nas.deploy.elf import INSTALL, Firmware
from nas.deploy.emulated import Emulated, EmulationError, check_guard
from nas.deploy.thumb import whole_bytes
from search_spaces.errors import TargetError

PAGE = 0x1000
PAINT = b"\xa5"
LIMIT_SECONDS = 300
CORES = {"m0": "CORTEX_M0", "m3": "CORTEX_M3", "m4": "CORTEX_M4", "m7": "CORTEX_M7", "m33": "CORTEX_M33"}
"""Unicorn's names; it has no Helium."""


def emulate(firmware: Firmware, core: str, images: np.ndarray, output_bytes: int) -> Emulated:
    """The answers of a firmware's `network_run` to int8 images.

    Raises:
        TargetError: Unicorn is not installed, or does not know the core.
        EmulationError: the code reaches where nothing is.
    """
    try:
        import unicorn
        from unicorn import arm_const
    except ImportError:
        raise TargetError(
            f"without QEMU a Cortex-M is emulated by Unicorn, which is not installed: {INSTALL}"
        ) from None
    if core not in CORES:
        raise TargetError(
            f"Unicorn emulates {', '.join(CORES)}, not {core}; QEMU does: apt-get install qemu-system-arm"
        )
    plain, counted = (_Run(_machine(unicorn, arm_const, core), firmware, unicorn, arm_const) for _ in range(2))
    plain.call("probe_guard")
    answers = b"".join(plain.answer(image, output_bytes) for image in images)
    check_guard(plain.call("probe_broken"))
    counted.count()
    if counted.answer(images[-1], output_bytes) != answers[-output_bytes:]:
        raise EmulationError("the emulated firmware must answer the same when it is counted, and does not")
    found = np.frombuffer(answers, np.int8).reshape(len(images), output_bytes)
    return Emulated("Unicorn", found, plain.stack_bytes(), counted.blocks(), counted.misaligned)


def _machine(unicorn: Any, names: Any, core: str) -> Any:
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(getattr(names, f"UC_CPU_ARM_{CORES[core]}"))
    return machine


class _Run:
    def __init__(self, machine: Any, firmware: Firmware, unicorn: Any, names: Any) -> None:
        self.machine, self.firmware, self.unicorn, self.names = machine, firmware, unicorn, names
        self.symbols = firmware.symbols
        self.back = self.symbols["probe_end"]  # where functions return to, and the emulation stops
        low, top = self.symbols["stack_low"], self.symbols["stack_top"]
        spans = [(start, start + len(content)) for start, content in firmware.loaded]
        spans.append((min(self.symbols["data_start"], low), top))
        for start, end in _pages(spans):
            machine.mem_map(start, end - start)
        for start, content in firmware.loaded:
            machine.mem_write(start, content)
        size = self.symbols["data_end"] - self.symbols["data_start"]
        machine.mem_write(self.symbols["data_start"], firmware.code(self.symbols["data_load"], size))
        machine.mem_write(low, PAINT * (top - low))
        machine.reg_write(names.UC_ARM_REG_SP, top)
        self.edges: Counter[tuple[int, int, int]] = Counter()
        self.executed: dict[tuple[int, int, int], int] = {}  # block, its size, the block behind it: how often
        self.before = (0, 0)
        self.misaligned = 0

    def call(self, name: str) -> int:
        """Calls a function without arguments; returns its result."""
        self.machine.reg_write(self.names.UC_ARM_REG_LR, self.back | 1)
        try:
            self.machine.emu_start(self.symbols[name] | 1, self.back, timeout=LIMIT_SECONDS * 1_000_000)
        except self.unicorn.UcError as error:
            at = self.machine.reg_read(self.names.UC_ARM_REG_PC)
            raise EmulationError(f"the emulated firmware stopped at {at:#x}: {error}") from None
        if self.machine.reg_read(self.names.UC_ARM_REG_PC) & ~1 != self.back:
            raise EmulationError(f"the emulated firmware was stopped: {name} must end within {LIMIT_SECONDS} s")
        return self.machine.reg_read(self.names.UC_ARM_REG_R0)

    def count(self) -> None:
        """From now on, blocks and misaligned loads are counted; code that ran before is not seen again.

        Stores are left alone: under Unicorn 2.1 a hook on them changes what conditional ones do.
        """
        self.machine.hook_add(self.unicorn.UC_HOOK_BLOCK, self._block)
        self.machine.hook_add(self.unicorn.UC_HOOK_MEM_READ, self._load)

    def answer(self, image: np.ndarray, output_bytes: int) -> bytes:
        self.machine.mem_write(self.call("probe_input"), image.tobytes())
        self.edges.clear()
        self.before, self.misaligned = (0, 0), 0
        self.call("probe_run")
        self.edges[(*self.before, self.back)] += 1
        self.executed = dict(self.edges)
        return bytes(self.machine.mem_read(self.call("probe_output"), output_bytes))

    def stack_bytes(self) -> int:
        low, top = self.symbols["stack_low"], self.symbols["stack_top"]
        return len(bytes(self.machine.mem_read(low, top - low)).lstrip(PAINT))

    def blocks(self) -> tuple[Block, ...]:
        """What the last answer executed."""
        counts: Counter[tuple[int, int]] = Counter()
        taken: Counter[tuple[int, int]] = Counter()
        for (start, size, following), count in self.executed.items():
            size = whole_bytes(self.firmware.code(start, size))
            if size:
                counts[start, size] += count
                taken[start, size] += count if following != start + size else 0
        return tuple(Block(start, size, count, taken[start, size]) for (start, size), count in counts.items())

    def _block(self, _machine: Any, address: int, size: int, _data: Any) -> None:
        start, length = self.before
        self.edges[start, length, address] += 1
        self.before = (address, size)

    def _load(self, _machine: Any, _kind: int, address: int, size: int, _value: int, _data: Any) -> None:
        """A word at an odd address takes three reads, at an even one two, a halfword at an odd one two."""
        if address & (size - 1):
            self.misaligned += 2 if size == 4 and address & 1 else 1


def _pages(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in whole pages, those that touch joined."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        start, end = start & -PAGE, -(-end // PAGE) * PAGE
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
