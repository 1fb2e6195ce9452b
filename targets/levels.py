"""What the compiler's level does to a kernel's cycles: `data/compiler_levels.csv`, a factor for each code path."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from targets.core import CallCost

FILE = Path(__file__).parent / "data" / "compiler_levels.csv"
MEASURED = "O3"
"""The level at which a core's prices were measured."""


@cache
def factors(level: str) -> Mapping[str, float]:
    """Cycles at a level against -O3, by code path; a path that is not there was not measured and is taken as it is."""
    with FILE.open(newline="") as file:
        return {row["path"]: float(row["factor"]) for row in csv.DictReader(file) if row["level"] == level}


def at_level(costs: tuple[CallCost, ...], level: str) -> tuple[CallCost, ...]:
    """The costs of the same calls compiled at another level; loads from the weights stay."""
    if level == MEASURED:
        return costs
    known = factors(level)
    return tuple([_scaled(cost, known.get(cost.path, 1.0)) for cost in costs])


def _scaled(cost: CallCost, factor: float) -> CallCost:
    cycles = None if cost.cycles is None else factor * cost.cycles
    return cost._replace(cycles=cycles, instructions=factor * cost.instructions)
