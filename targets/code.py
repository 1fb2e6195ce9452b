"""Code bytes of runtimes and kernels: `data/code_bytes.csv`, by core and compiler level, each row with its source."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

FILE = Path(__file__).parent / "data" / "code_bytes.csv"
ANY = "any"
RUNTIME = "runtime"


@dataclass(frozen=True, eq=False)
class Code:
    """What a runtime links on a core at a compiler level.

    Attributes:
        base_bytes: of every program.
        shares: bytes with the parts that need them; they are linked once if any of these is in use.
    """

    base_bytes: int
    shares: tuple[tuple[frozenset[str], int], ...]

    def linked_bytes(self, parts: Iterable[str]) -> int:
        """Of a program that uses these parts."""
        return _linked(self, frozenset(parts))


@lru_cache(maxsize=4096)
def _linked(code: Code, used: frozenset[str]) -> int:
    """Remembered: a search's networks use the same few sets."""
    return code.base_bytes + sum([size for users, size in code.shares if not users.isdisjoint(used)])


@cache
def load_code(runtime: str, core: str, level: str) -> Code:
    """The table's rows for a core ("m4") and level."""
    with FILE.open(newline="") as file:
        rows = [
            (frozenset(row["kinds"].split()), int(row["bytes"]))
            for row in csv.DictReader(file)
            if row["runtime"] == runtime and row["core"] in (core, ANY) and row["level"] in (level, ANY)
        ]
    base = sum([size for users, size in rows if RUNTIME in users])
    return Code(base, tuple([(users, size) for users, size in rows if RUNTIME not in users]))
