"""The proof on a core: firmware linked, run in an emulator on the same images, measured, and put beside the bill."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from nas.deploy import elf, firmware, host, qemu, unicorn_cpu
from nas.deploy.bill import Bill
from nas.deploy.cycles import Profile, profile
from nas.deploy.emulated import Emulated
from nas.deploy.export_c import Exported, load
from search_spaces.errors import TargetError
from targets.device import Device

EMULATORS, COMPILERS = ("qemu", "unicorn"), ("gcc", "zig")
PRICED = "m4"
"""The core whose cycles can be told from its instructions: its manual has a table, and its memory never waits."""


@dataclass(frozen=True)
class EmulationReport:
    """What a network's C is and does on an emulated core.

    Attributes:
        core, emulator, compiler: who ran it.
        images: how many.
        same: on how many of them every byte of the answer is the host's.
        flash_bytes: code and constants; start-up code and the measuring harness are not in it, the C library's
            functions in use are.
        ram_bytes: static RAM, the arena; the stack is not in it.
        stack_bytes: the most the code used, from a painted stack.
        instructions, by_class, cycles: of one inference; None where the emulator could not count, cycles by the manual
            of a Cortex-M4 only.
        bill: the cost model's figures, where they are known.
    """

    core: str
    emulator: str
    compiler: str
    images: int
    same: int
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    instructions: int | None
    by_class: dict[str, int]
    cycles: int | None
    bill: Bill | None = None

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        agree = f"{'all' if self.same == self.images else f'only {self.same}'} of {self.images} answers"
        lines = [
            f"Cortex-{self.core.upper()} in {self.emulator}, linked by {self.compiler}",
            f"{agree} are the host's byte for byte",
            f"{'':14}{'measured':>12}{'estimate':>12}{'off':>9}",
        ]
        names = "flash_bytes", "ram_bytes", "instructions", "cycles"
        lines += [_row(name, getattr(self, name), getattr(self.bill, name, None)) for name in names]
        lines.append(_row("stack_bytes", self.stack_bytes, None))
        shares = sorted(self.by_class.items(), key=lambda item: -item[1])
        lines += ["by class: " + ", ".join(f"{name} {count:,}" for name, count in shares)] * bool(shares)
        return "\n".join(lines)


def _row(name: str, measured: int | None, estimate: int | None) -> str:
    off = f"{100 * (estimate / measured - 1):+.1f} %" if measured and estimate else ""
    cells = (f"{value:,}" if value is not None else "-" for value in (measured, estimate))
    return f"{name:14}" + "".join(f"{cell:>12}" for cell in cells) + f"{off:>9}"


def emulate(
    folder: Path,
    core: str,
    images: np.ndarray,
    *,
    device: Device | None = None,
    bill: Bill | None = None,
    emulator: str | None = None,
    compiler: str | None = None,
) -> EmulationReport:
    """Links an exported folder for a core and runs it on int8 images.

    Args:
        images: int8, N x the input's shape.
        device: whose flash and RAM the firmware must fit.
        emulator: "qemu" or "unicorn"; without it the first that is there.
        compiler: "gcc" or "zig"; the same.

    Raises:
        TargetError: a tool is missing, or the firmware does not fit the device.
        BuildError, EmulationError: it cannot be linked, or does not run to its end.
    """
    exported = load(folder)
    for value, known in ((emulator, EMULATORS), (compiler, COMPILERS)):
        if value not in (None, *known):
            raise TargetError(f"it must be {' or '.join(known)}, got {value!r}")
    if core not in firmware.BOARDS:
        raise TargetError(f"core must be one of {', '.join(firmware.BOARDS)}, got {core!r}")
    host.check_images(exported, images)
    expected = host.host_answers(folder, images).reshape(len(images), -1)
    with tempfile.TemporaryDirectory(prefix="firmware-") as temporary:
        out = Path(temporary)
        linked = firmware.link(folder, exported, core, out, compiler=compiler)
        if device is not None:
            check_fit(linked, device)
        found = _run(linked, core, images, exported, out, emulator)
        counted = _profile(found, linked, core)
    return EmulationReport(
        core, found.emulator, linked.compiler, len(images),
        int((found.answers == expected).all(1).sum()), linked.flash_bytes, linked.ram_bytes, found.stack_bytes,
        counted.instructions if counted else None, {str(k): n for k, n in counted.by_class.items()} if counted else {},
        counted.cycles if counted else None, bill,
    )  # fmt: skip


def check_fit(linked: elf.Firmware, device: Device) -> None:
    """Raises TargetError if a firmware needs more flash or RAM than a device has."""
    for what, needed, there in (
        ("flash", linked.flash_bytes, device.flash_bytes),
        ("RAM", linked.ram_bytes, device.ram_bytes),
    ):
        if there is not None and needed > there:
            raise TargetError(f"the firmware needs {needed:,} bytes of {what}, {device.name} has {there:,}")


def _run(
    linked: elf.Firmware, core: str, images: np.ndarray, exported: Exported, out: Path, emulator: str | None
) -> Emulated:
    size = prod(exported.output_shape)
    if emulator == "qemu" or (emulator is None and qemu.is_there()):
        return qemu.emulate(linked, core, images, size, out)
    return unicorn_cpu.emulate(linked, core, images, size)


def _profile(found: Emulated, linked: elf.Firmware, core: str) -> Profile | None:
    if not found.blocks:
        return None
    return profile(found.blocks, linked.code, priced=core == PRICED, misaligned=found.misaligned)
