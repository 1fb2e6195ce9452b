"""Limits: how they are written, and how far a network is from them.

Past this module lower is better, and objectives and limits go by name and unit, never by position. Sizes are bytes,
drops points of the task's metric (top-1), latencies milliseconds, energies microjoules, budgets seconds or steps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.errors import LimitError

if TYPE_CHECKING:
    from targets.cost import Cost

_SIZES = {"B": 1, "KB": 1024, "KIB": 1024, "MB": 1024**2, "MIB": 1024**2}
_DROPS = {"": 1, "%": 1}
_LATENCIES = {"US": 1e-3, "MS": 1, "S": 1e3}
_ENERGIES = {"UJ": 1, "MJ": 1e3, "J": 1e6}  # mJ: nobody limits an inference in megajoules
_BUDGETS = {"S": 1, "M": 60, "H": 3600}

_QUANTITY = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Zµ%]*)\s*")


def _parse(text: str, units: Mapping[str, float], what: str, forms: str) -> float:
    """A number and its unit, upper or lower case, in the unit whose factor is 1."""
    match = _QUANTITY.fullmatch(text)
    unit = match[2].replace("µ", "u").upper() if match else ""
    if not match or unit not in units:
        raise LimitError(f"{what} must be written like {forms}; got {text!r}")
    return float(match[1]) * units[unit]


def parse_size(text: str) -> int:
    """`256KB`, `256KiB`, `1.5MB` or `262144B` as bytes; 1 KB is 1024 bytes here, like 1 KiB.

    Raises:
        LimitError: another form, or less than one byte.
    """
    size = int(_parse(text, _SIZES, "a size", "256KB, 1MB or 262144B (1 KB = 1024 bytes)"))
    if size < 1:
        raise LimitError(f"a size must be at least one byte; got {text!r}")
    return size


def parse_drop(text: str) -> float:
    """`2%` or `2` as points of the task's metric, in [0, 100].

    Raises:
        LimitError: another form, or outside the range.
    """
    drop = _parse(text, _DROPS, "a drop", "2% or 0.5% (percentage points of accuracy)")
    if drop > 100:
        raise LimitError(f"a drop must be within 0% and 100%; got {text!r}")
    return drop


def parse_latency(text: str) -> float:
    """`50ms`, `0.5s` or `800us` as milliseconds.

    Raises:
        LimitError: another form, or zero.
    """
    return _positive(_parse(text, _LATENCIES, "a latency", "50ms, 0.5s or 800us"), "a latency", text)


def parse_energy(text: str) -> float:
    """`5mJ`, `0.1J` or `800uJ` as microjoules.

    Raises:
        LimitError: another form, or zero.
    """
    return _positive(_parse(text, _ENERGIES, "an energy", "5mJ, 0.1J or 800uJ"), "an energy", text)


def _positive(value: float, what: str, text: str) -> float:
    if value <= 0:
        raise LimitError(f"{what} must be more than 0; got {text!r}")
    return value


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a run may search: wall seconds, or training steps (then nothing is timed); exactly one is set."""

    seconds: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.steps is None):
            raise LimitError(f"a budget is seconds or steps, not both; got {self}")
        if not 0 < (self.seconds or self.steps or 0) < math.inf:
            raise LimitError(f"a budget must be more than 0; got {self}")


def parse_budget(text: str) -> Budget:
    """`90s`, `10m`, `1h` or `2000steps`.

    Raises:
        LimitError: another form, zero, or a fraction of a step.
    """
    forms = "90s, 10m, 1h or 2000steps"
    if match := re.fullmatch(r"\s*(\d+)\s*steps?\s*", text, re.IGNORECASE):
        return Budget(steps=int(_positive(int(match[1]), "a budget", text)))
    return Budget(seconds=_positive(_parse(text, _BUDGETS, "a budget", forms), "a budget", text))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model must not exceed; None is no limit. All but `drop` name a field of `Cost`.

    Raises:
        LimitError: a limit is not a positive, finite number (a drop may be 0).
    """

    size_bytes: int | None = None
    drop: float | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    latency_ms: float | None = None
    energy_uj: float | None = None

    def __post_init__(self) -> None:
        for name, limit in self.active.items():
            if not (math.isfinite(limit) and (limit > 0 or (name == "drop" and limit == 0))):
                raise LimitError(f"{name} must be limited to more than 0; got {limit}")

    @property
    def active(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


def excesses(cost: Cost, limits: Limits, drop: float | None = None) -> dict[str, float]:
    """How far each limited quantity is beyond its limit, as a share of the limit: 0.25 is 25 % over, -0.5 half of it.

    Relative, so that bytes do not drown points. A drop counts only where it is given; below one point its excess is in
    points, so that a limit of 0 can be judged too. What is not known of a network that is over a known limit is left
    out: a maker's tool is not asked about those.

    Raises:
        LimitError: a limited quantity is unknown for a cost that keeps all others.
    """
    found, unknown = {}, ""
    for name, limit in limits.active.items():
        value = drop if name == "drop" else getattr(cost, name)
        if value is not None:
            found[name] = (value - limit) / (max(limit, 1.0) if name == "drop" else limit)
        elif name != "drop":
            unknown = name
    if unknown and not any(excess > 0 for excess in found.values()):
        raise LimitError(
            f"{unknown} cannot be limited: it is not known for target {cost.target!r}; leave the limit out"
        )
    return found


def violation(cost: Cost, limits: Limits, drop: float | None = None) -> float:
    """Sum of the relative excesses over the limits; 0 exactly where everything fits."""
    return sum(max(0.0, excess) for excess in excesses(cost, limits, drop).values())


def binding(cost: Cost, limits: Limits, drop: float | None = None) -> str:
    """The name of the limit that is exceeded most, or else is nearest; empty without limits."""
    found = excesses(cost, limits, drop)
    return max(found, key=found.__getitem__, default="")


OBJECTIVES: tuple[str, ...] = ("size_bytes", "drop")
"""What is minimised unless told otherwise."""

WRITTEN = {
    "drop": "drop",
    "size": "size_bytes",
    "flash": "flash_bytes",
    "ram": "ram_bytes",
    "latency": "latency_ms",
    "energy": "energy_uj",
    "macs": "macs",
}
"""An objective as a user writes it, and its name: `drop` or a field of `Cost`."""

ANYWHERE = frozenset({"drop", "size_bytes", "macs"})
"""Known whatever the device."""

OPEN_DROP = 5.0
"""Where hypervolume ends on the axis of the drop if nothing limits it, in points."""


def parse_objectives(text: str) -> tuple[str, ...]:
    """`size,drop` or `size,ram,drop` as names, in the order given.

    Raises:
        LimitError: an unknown name, one twice, fewer than two or more than four.
    """
    words = [word.strip().lower() for word in text.split(",")]
    for word in words:
        if word not in WRITTEN:
            raise LimitError(f"objectives are two to four of {', '.join(WRITTEN)}; got {word!r} in {text!r}")
    if not 2 <= len(words) <= 4 or len(set(words)) < len(words):
        raise LimitError(f"objectives are two to four different ones of {', '.join(WRITTEN)}; got {text!r}")
    return tuple(WRITTEN[word] for word in words)


def resources(names: tuple[str, ...]) -> tuple[str, ...]:
    """The objectives that are fields of `Cost`; of the first one a small value decides what is chosen."""
    return tuple(name for name in names if name != "drop")


def value_of(name: str, cost: Cost, drop: float) -> float:
    """An objective in plain units.

    Raises:
        LimitError: it is unknown for this cost.
    """
    value = drop if name == "drop" else getattr(cost, name)
    if value is None:
        raise LimitError(f"{name} cannot be minimised: it is not known for target {cost.target!r}")
    return float(value)


def _scaled(name: str, value: float) -> float:
    """On the axis hypervolume is measured on: a drop is clipped at 0, everything else is a power of two."""
    return max(0.0, value) if name == "drop" else math.log2(value)


def objective_vector(cost: Cost, drop: float, names: tuple[str, ...] = OBJECTIVES) -> np.ndarray:
    """The point that is ranked: one coordinate an objective, lower is better, log2 of all but the drop.

    Raises:
        LimitError: an objective is unknown for this cost.
    """
    return np.array([_scaled(name, value_of(name, cost, drop)) for name in names])


def reference_point(limits: Limits, names: tuple[str, ...], original: Cost) -> np.ndarray:
    """The corner hypervolume is measured to, on the axes of `objective_vector`: fixed before the run begins.

    Args:
        limits: those in force, the device's own flash and RAM among them.
        names: the objectives.
        original: stands in where an objective has no limit: no network of the space is to need more than it. A drop
            without a limit ends at `OPEN_DROP`.

    Raises:
        LimitError: an objective has no limit and is unknown for the device.
    """
    active = limits.active
    return np.array([_scaled(n, active[n] if n in active else value_of(n, original, OPEN_DROP)) for n in names])
