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
from nas.deploy.emulated import Emulated, EmulationError
from nas.deploy.firmware import BOARDS
from search_spaces.errors import TargetError

PROGRAM = "qemu-system-arm"
INSTALL = "apt-get install qemu-system-arm"
TIMEOUT_SECONDS = 300.0
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
    if len(found) != 4 + len(images) * output_bytes:
        raise EmulationError(f"the emulated firmware must answer {len(images)} images, it wrote {len(found)} bytes")
    (stack,) = struct.unpack_from("<I", found)
    answers = np.frombuffer(found[4:], np.int8).reshape(len(images), output_bytes)
    return Emulated("QEMU", answers, stack, *_blocks(out / BLOCKS))


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


def _blocks(file: Path) -> tuple[tuple[Block, ...], int]:
    """The plugin's table, and the reads that misaligned loads add."""
    if not file.is_file():
        return (), 0
    first, *rows = file.read_text().splitlines()
    return tuple(Block(*map(int, row.split())) for row in rows), int(first)
