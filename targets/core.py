"""A processor core with its kernels: prices loaded from `data/<core>.toml`, and one kernel call's cost from them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from search_spaces.errors import TargetError
from targets.kernels import COUNTS, Geometry, geometry, path
from targets.program import Call, Program

DATA = Path(__file__).parent / "data"
Scratch = Literal["dsp", "scalar"]


@dataclass(frozen=True, eq=False)
class Core:
    """Kernel prices of a core and compiler setting.

    Attributes:
        name: the data file's name; `title` says it in words.
        scratch: which rules hold for the kernels' working memory (`scratch_bytes`).
        code_bytes: code linked in for a call kind.
        loops: `(cycles, loads from the weights)` of each loop (`targets.kernels.COUNTS`), by code path.
    """

    name: str
    title: str
    scratch: Scratch
    code_bytes: Mapping[str, int]
    loops: Mapping[str, Mapping[str, tuple[float, int]]]


class CallCost(NamedTuple):
    """What one kernel call costs, before anything a board adds.

    Attributes:
        path: the code path taken (`targets.kernels.path`).
        macs: multiply-accumulates of conv, depthwise and fully connected calls.
        cycles: of the core with memory that never waits.
        weight_loads: load instructions that read weights, biases and scales.
        scratch_bytes: working memory in the arena while the call runs.
        weights, filters: int8 weights; filters with an int32 bias each.
    """

    path: str
    macs: int
    cycles: float
    weight_loads: int
    scratch_bytes: int
    weights: int
    filters: int

    @property
    def weights_bytes(self) -> int:
        """Int8 weights and int32 biases."""
        return self.weights + 4 * self.filters


@cache
def load_core(name: str) -> Core:
    """The core of `data/<name>.toml`.

    Raises:
        TargetError: there is no such file, or it lacks a code path.
    """
    file = DATA / f"{name}.toml"
    if not file.is_file():
        known = ", ".join(sorted(other.stem for other in DATA.glob("*.toml")))
        raise TargetError(f"kernels must be one of {known}, got {name!r}")
    found = tomllib.loads(file.read_text())
    loops = {code: {loop: (float(c), int(n)) for loop, (c, n) in rows.items()} for code, rows in found["loops"].items()}
    missing = COUNTS.keys() - loops.keys()
    if missing:
        raise TargetError(f"{file.name} must price every code path, {', '.join(sorted(missing))} is missing")
    return Core(name, found["title"], found["scratch"], found["code_bytes"], loops)


def call_costs(program: Program, core: Core) -> tuple[CallCost, ...]:
    """The cost of every call, in order; remembered, since a search meets the same calls again and again."""
    shapes = {activation.name: activation.shape for activation in program.activations}
    return tuple(
        [_cost(core, call, shapes[call.output], *[shapes[name] for name in call.inputs]) for call in program.calls]
    )


@lru_cache(maxsize=1 << 16)
def _cost(core: Core, call: Call, output: tuple[int, ...], *inputs: tuple[int, ...]) -> CallCost:
    return call_cost(core, geometry(call, inputs, output))


def call_cost(core: Core, shape: Geometry) -> CallCost:
    """The cost of one call."""
    code = path(shape)
    prices = core.loops[code]
    cycles, loads = 0.0, 0
    for loop, times in COUNTS[code](shape).items():
        cycles += prices[loop][0] * times
        loads += prices[loop][1] * times
    return CallCost(
        code, shape.macs, cycles, loads, scratch_bytes(shape, core.scratch), shape.weights, shape.filters
    )  # fmt: skip


def scratch_bytes(shape: Geometry, rules: Scratch) -> int:
    """Working memory of a call, as CMSIS-NN's `..._get_buffer_size` functions give it.

    A general conv unrolls two windows to int16 (4 bytes a value, windows rounded up to 4 values). With DSP instructions
    a depthwise other than 3x3 unrolls one window to int16, and an average pool sums a pixel in int32. All others: none.
    """
    code = path(shape)
    if code == "conv":
        window = shape.channels // shape.groups * shape.taps
        return 4 * (-(-window // 4) * 4)
    if rules == "scalar":
        return 0
    if code == "dw":
        return 2 * shape.channels * shape.taps
    return 4 * shape.channels if code == "avg_pool" else 0
