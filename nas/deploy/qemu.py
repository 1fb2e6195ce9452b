"""A Cortex-M board in QEMU: the firmware starts, reads images from memory, and writes its answers by semihosting."""

from __future__ import annotations

import shutil
import struct
from importlib.resources import files
from pathlib import Path

import numpy as np

from nas.deploy import host
from nas.deploy.cycles import Block
from nas.deploy.elf import Firmware
from nas.deploy.emulated import Emulated, EmulationError, check_guard
from nas.deploy.firmware import BOARDS
from search_spaces.errors import TargetError

PROGRAM = "qemu-system-arm"
INSTALL = "apt-get install qemu-system-arm"
TIMEOUT_SECONDS = 300.0
HEAD = struct.Struct("<2I")
"""Before the answers: bytes of stack used, and words written beside the arena."""

ANSWERS, BLOCKS = "answers.bin", "blocks.txt"


def is_there() -> bool:
    return shutil.which(PROGRAM) is not None


def emulate(firmware: Firmware, core: str, images: np.ndarray, output_bytes: int, out: Path) -> Emulated:
    """The answers of a firmware to int8 images; without a compiler for the plugin nothing is counted.

    Args:
        out: a folder for its files.

    Raises:
        TargetError: QEMU is not installed.
        BuildError, EmulationError: it fails, or the firmware does.
    """
    if not is_there():
        raise TargetError(f"{PROGRAM} is not installed: {INSTALL}")
    board, cases = BOARDS[core], out / "images.bin"
    cases.write_bytes(struct.pack("<4I", len(images), 0, 0, 0) + np.ascontiguousarray(images).tobytes())
    command = [
        PROGRAM, "-M", board.machine, "-nographic", "-monitor", "none", "-serial", "none",
        "-kernel", str(firmware.path), "-semihosting-config", "enable=on,target=native",
        "-device", f"loader,file={cases},addr={hex(board.images)},force-raw=on",
    ]  # fmt: skip
    host.run([*command, *_plugin(firmware, out)], b"", PROGRAM, timeout_seconds=TIMEOUT_SECONDS, folder=out)
    found = (out / ANSWERS).read_bytes() if (out / ANSWERS).is_file() else b""
    if len(found) != HEAD.size + len(images) * output_bytes:
        raise EmulationError(f"the emulated firmware must answer {len(images)} images, it wrote {len(found)} bytes")
    stack, broken = HEAD.unpack_from(found)
    check_guard(broken)
    answers = np.frombuffer(found[HEAD.size :], np.int8).reshape(len(images), output_bytes)
    blocks, misaligned = tables(out / BLOCKS)[-1] if (out / BLOCKS).is_file() else ((), 0)
    return Emulated("QEMU", answers, stack, blocks, misaligned)


def _plugin(firmware: Firmware, out: Path) -> list[str]:
    """What makes QEMU count, if there is a compiler to make the plugin with."""
    try:
        compiler = host.compiler()
    except TargetError:
        return []
    source, library = out / "blocks.c", out / "blocks.so"
    source.write_text((files("nas.deploy") / "c" / "firmware" / "blocks.c").read_text())
    host.run([compiler, "-O2", "-shared", "-fPIC", str(source), "-o", str(library)], b"", compiler)
    begin, end = (firmware.symbols[f"probe_{name}"] for name in ("begin", "end"))
    return ["-plugin", f"{library},begin={begin},end={end},out={out / BLOCKS}"]


def tables(file: Path) -> list[tuple[tuple[Block, ...], int]]:
    """The plugin's tables, one a run: its blocks, and the reads that misaligned loads add."""
    found: list[tuple[list[Block], int]] = []
    for numbers in [[int(number) for number in row.split()] for row in file.read_text().splitlines()]:
        if len(numbers) == 1:
            found.append(([], numbers[0]))
        else:
            found[-1][0].append(Block(*numbers))
    return [(tuple(blocks), misaligned) for blocks, misaligned in found]
