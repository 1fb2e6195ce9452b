"""How many bytes kernels take when they are linked: compiled and cut by arm-none-eabi-gcc, counted by symbol."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

FLAGS = {
    "m0": ("-mcpu=cortex-m0",),
    "m3": ("-mcpu=cortex-m3",),
    "m4": ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    "m7": ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
    "m33": ("-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
    "m55": ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
}
SECTIONS = ("-mthumb", "-ffunction-sections", "-fdata-sections")
LINK = ("-nostartfiles", "--specs=nosys.specs", "-Wl,--gc-sections", "-Wl,-e,0")


class Sources:
    """C files and their include folders; `entries` names a function by what the table calls it."""

    def __init__(self, files: Sequence[Path], includes: Sequence[Path], entries: Mapping[str, str]) -> None:
        self.files, self.includes, self.entries = files, includes, entries
        self.folder = Path(mkdtemp(prefix="linking-"))

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder)

    @cache  # noqa: B019 - lives as long as the folder
    def objects(self, core: str, level: str) -> tuple[Path, ...]:
        """Raises CalledProcessError where the compiler cannot."""
        made = []
        for number, file in enumerate(self.files):
            made.append(self.folder / f"{core}-{level}-{number}.o")
            includes = [f"-I{folder}" for folder in self.includes]
            _run("gcc", *FLAGS[core], *SECTIONS, f"-{level}", "-w", *includes, "-c", file, "-o", made[-1])
        return tuple(made)

    def symbols(self, core: str, level: str, names: Sequence[str]) -> dict[str, int]:
        """Bytes of every function and constant that these entries reach, linked together."""
        elf = self.folder / "linked.elf"
        roots = [f"-Wl,--undefined={self.entries[name]}" for name in names]
        _run("gcc", *FLAGS[core], "-mthumb", *self.objects(core, level), *LINK, *roots, "-o", elf)
        rows = [line.split() for line in _run("nm", "-S", elf).splitlines()]
        found = {row[3] + row[0]: int(row[1], 16) for row in rows if len(row) == 4 and row[2] in "tTrR"}
        sized = [line.split() for line in _run("size", "-A", elf).splitlines() if line.startswith((".text", ".rodata"))]
        padding = sum(int(row[1]) for row in sized) - sum(found.values())  # alignment, and code without a size
        return {name[:-8]: size for name, size in found.items()} | {"": padding}

    def shares(self, core: str, level: str) -> dict[frozenset[str], int]:
        """Bytes by the set of entries that reach them, each counted once."""
        alone = {name: self.symbols(core, level, [name]) for name in self.entries}
        found: dict[frozenset[str], int] = {}
        for symbol in {symbol for symbols in alone.values() for symbol in symbols} - {""}:
            users = frozenset(name for name, symbols in alone.items() if symbol in symbols)
            size = max(symbols.get(symbol, 0) for symbols in alone.values())
            found[users] = found.get(users, 0) + size
        for name, symbols in alone.items():
            found[frozenset((name,))] = found.get(frozenset((name,)), 0) + max(0, symbols[""])
        return found


def total(shares: Mapping[frozenset[str], int], used: set[str]) -> int:
    """Bytes of the entries in use."""
    return sum(size for users, size in shares.items() if users & used)


def _run(tool: str, *arguments: object) -> str:
    words = [f"arm-none-eabi-{tool}", *map(str, arguments)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
