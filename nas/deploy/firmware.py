"""The exported C linked for a Cortex-M, with a harness that feeds it: by arm-none-eabi-gcc, else by Zig's Clang."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from nas.deploy import elf, host
from nas.deploy.export_c import Exported
from search_spaces.errors import TargetError

GCC = "arm-none-eabi-gcc"
GCC_INSTALL = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
STACK_BYTES = 16 * 1024
GUARD_BYTES = 256
"""On each side of the static RAM, painted before a run and read after it."""
LEVEL = "-O3"
WITH_DIVISION = frozenset({"m3", "m4", "m7", "m33"})
"""Cores that need nothing of Clang's runtime library, which Zig would otherwise build first, for seconds."""

COMMON = ("-std=c11", "-ffunction-sections", "-fdata-sections", "-g0")


@dataclass(frozen=True)
class Board:
    """A core as QEMU has it: where code, data and images lie.

    Attributes:
        machine: QEMU's name.
        gcc, zig: what the compilers are told of the core; Zig's is None where it lacks what the core needs.
        code, data, images: addresses.
        code_bytes, data_bytes: of the memories there.
    """

    machine: str
    gcc: tuple[str, ...]
    zig: str | None
    code: int
    code_bytes: int
    data: int
    data_bytes: int
    images: int


MIB = 1 << 20
HARD = "-mfloat-abi=hard"
BOARDS: dict[str, Board] = {
    "m0": Board("mps2-an385", ("-mcpu=cortex-m0plus",), "cortex_m0plus", 0, 4 * MIB, 0x2000_0000, 4 * MIB, 0x2100_0000),
    "m3": Board("mps2-an385", ("-mcpu=cortex-m3",), "cortex_m3", 0, 4 * MIB, 0x2000_0000, 4 * MIB, 0x2100_0000),
    "m4": Board(
        "mps2-an386", ("-mcpu=cortex-m4", HARD, "-mfpu=fpv4-sp-d16"), "cortex_m4", 0, 4 * MIB, 0x2000_0000, 4 * MIB,
        0x2100_0000,
    ),
    "m7": Board(
        "mps2-an500", ("-mcpu=cortex-m7", HARD, "-mfpu=fpv5-d16"), "cortex_m7", 0, 4 * MIB, 0x2000_0000, 4 * MIB,
        0x6000_0000,
    ),
    "m33": Board(
        "mps2-an505", ("-mcpu=cortex-m33", HARD, "-mfpu=fpv5-sp-d16"), "cortex_m33", 0x1000_0000, 4 * MIB, 0x3800_0000,
        4 * MIB, 0x8000_0000,
    ),
    "m55": Board("mps3-an547", ("-mcpu=cortex-m55", HARD), None, 0, MIB // 2, 0x2000_0000, MIB // 2, 0x6000_0000),
}  # fmt: skip
"""A Cortex-M0+ runs on the board of an M3, whose instructions are a superset: no board of its own has the memory."""


def link(folder: Path, exported: Exported, core: str, out: Path, *, compiler: str | None = None) -> elf.Firmware:
    """Links the C of an exported folder; `compiler` is "gcc" or "zig", without it the first that is there.

    Raises:
        TargetError: neither compiler is there.
        BuildError: the code does not compile, or does not fit the emulated board.
    """
    board = BOARDS[core]
    command, what = _command(board, compiler, out)
    harness = files("nas.deploy") / "c" / "firmware"
    probe, script, linked = out / "probe.o", out / "firmware.ld", out / "firmware.elf"
    (out / "network.h").write_text(_names(exported.name))
    words = {"code": hex(board.code), "code_bytes": board.code_bytes, "data": hex(board.data),
             "data_bytes": board.data_bytes, "stack_bytes": STACK_BYTES, "guard_bytes": GUARD_BYTES}  # fmt: skip
    script.write_text(Template((harness / "firmware.ld.in").read_text()).substitute(words))
    (out / "probe.c").write_text((harness / "probe.c").read_text())
    flags = [*command, *COMMON, LEVEL, f"-I{out}", *host.includes(folder)]
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(out / "zig"), "ZIG_LOCAL_CACHE_DIR": str(out / "zig")}
    compiled = [f"-DIMAGES={hex(board.images)}", "-c", str(out / "probe.c"), "-o", str(probe)]
    host.run([*flags, *compiled], b"", what, environment=cache)
    own = what == "zig" and core in WITH_DIVISION
    bare = [str(harness / "memory.c"), "-rtlib=none"] if own else []
    given = [*bare, *host.sources(folder, exported), str(probe)]
    joined = [*given, "-Wl,--gc-sections", "-T", str(script), "-o", str(linked)]
    host.run([*flags, *joined], b"", what, environment=cache)
    return elf.read(linked, what)


def compilers() -> list[str]:
    """Which of "gcc" and "zig" are there, the first one is used."""
    return ["gcc"] * bool(shutil.which(GCC)) + ["zig"] * bool(importlib.util.find_spec("ziglang"))


def _command(board: Board, compiler: str | None, out: Path) -> tuple[Sequence[str], str]:
    there = [name for name in compilers() if compiler in (None, name) and (name == "gcc" or board.zig)]
    if not there:
        raise TargetError(
            f"firmware is linked by {GCC} ({GCC_INSTALL}) or, but for a Cortex-M55, by Zig ({elf.INSTALL}): "
            "neither is there"
        )
    if there[0] == "gcc":
        return (GCC, "-mthumb", *board.gcc, "-nostartfiles", "--specs=nosys.specs"), GCC
    (out / "math.h").write_text("")  # CMSIS-NN includes it and uses nothing of it
    cc = (sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabi", f"-mcpu={board.zig}")
    return (*cc, "-DBAKENN_CMSIS_NN_BUILTIN_MEMORY", "-Wno-unused-command-line-argument"), "zig"


def _names(name: str) -> str:
    """The network's names as the harness calls them."""
    upper = name.upper()
    renamed = [f"#define network_{part} {name}_{part}" for part in ("input", "run", "output")]
    renamed += [f"#define NETWORK_{part}_SIZE {upper}_{part}_SIZE" for part in ("INPUT", "OUTPUT")]
    return "\n".join([f'#include "{name}.h"', *renamed, ""])
