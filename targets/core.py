"""A processor core with its kernels: prices loaded from `data/<core>.toml`, and one kernel call's cost from them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from search_spaces.errors import TargetError
from targets import kernels, kernels_c, scratch
from targets.geometry import Geometry, geometry
from targets.kernels import COUNTS, Extension, Rule
from targets.program import Call, Program, Runtime

DATA = Path(__file__).parent / "data"


class Price(NamedTuple):
    """What one run of a loop costs; cycles are 0 where the core has no cycle table."""

    cycles: float
    instructions: float
    weight_loads: float


@dataclass(frozen=True, eq=False)
class Core:
    """Kernel prices of a core and compiler setting.

    Attributes:
        name: the data file's name; `title` says it in words.
        extension: which of its code CMSIS-NN compiles for the core.
        has_cycles: False where executed instructions are all that was measured.
        loops: the price of each loop (`targets.kernels.COUNTS`), by code path.
        generated_c: are these the kernels of generated C (`targets.kernels_c`)? Else they are TFLM's.
    """

    name: str
    title: str
    extension: Extension
    has_cycles: bool
    loops: Mapping[str, Mapping[str, Price]]
    generated_c: bool = False

    def running(self, runtime: Runtime) -> Core:
        """The core with the kernels of a runtime."""
        return load_core_c(self.name) if runtime == "c" else self

    def path(self, shape: Geometry) -> str:
        """The code path a call takes."""
        return (kernels_c if self.generated_c else kernels).path(shape, self.extension)

    def rule(self, code: str) -> Rule:
        """How often the loops of a code path run."""
        return (kernels_c if self.generated_c else kernels).COUNTS[self.extension][code]

    def scratch_bytes(self, shape: Geometry) -> int:
        """Working memory of a call."""
        return (scratch.generated_c_bytes if self.generated_c else scratch.scratch_bytes)(shape, self.extension)


class CallCost(NamedTuple):
    """What one kernel call costs, before anything a board adds.

    Attributes:
        path: the code path taken (`targets.kernels.path`).
        macs: multiply-accumulates of calls with weights.
        cycles: of the core with memory that never waits; None without a cycle table.
        weight_loads: load instructions that read weights, biases and scales.
        scratch_bytes: working memory in the arena while the call runs.
        weights, filters: weights; filters with an int32 bias each.
        instructions: executed.
        weight_bits: of a stored weight. Cycles, loads and instructions are those of 8; kernels of 4 have no price.
    """

    path: str
    macs: int
    cycles: float | None
    weight_loads: float
    scratch_bytes: int
    weights: int
    filters: int
    instructions: float = 0.0
    weight_bits: int = 8

    @property
    def weights_bytes(self) -> int:
        """Weights as they are stored, and int32 biases."""
        return -(-self.weights * self.weight_bits // 8) + 4 * self.filters

    @property
    def counted(self) -> float:
        """What `Device.cycles_scale` scales: cycles, or instructions where there is no cycle table."""
        return self.instructions if self.cycles is None else self.cycles


@cache
def load_core(name: str) -> Core:
    """The core of `data/<name>.toml`.

    Raises:
        TargetError: there is no such file, or it lacks a code path.
    """
    file = DATA / f"{name}.toml"
    if not (name.startswith("cortex_") and file.is_file()):
        known = ", ".join(sorted(other.stem for other in DATA.glob("cortex_*.toml")))
        raise TargetError(f"kernels must be one of {known}, got {name!r}")
    found = tomllib.loads(file.read_text())
    has_cycles, loops = found["measured"][0] == "cycles", _loops(found["loops"])
    missing = COUNTS[found["extension"]].keys() - loops.keys()
    if missing:
        raise TargetError(f"{file.name} must price every code path, {', '.join(sorted(missing))} is missing")
    return Core(name, found["title"], found["extension"], has_cycles, loops)


@cache
def load_core_c(name: str) -> Core:
    """The same core with the kernels of generated C, whose prices are in `data/generated_c_<core>.toml`.

    A path that is not there has TFLM's.
    """
    core = load_core(name)
    found = tomllib.loads((DATA / f"generated_c_{name.removeprefix('cortex_')}.toml").read_text())
    return replace(core, loops={**core.loops, **_loops(found["loops"])}, generated_c=True)


def _loops(sections: Mapping[str, Any]) -> dict[str, dict[str, Price]]:
    """The prices of every code path in a file; one whose prices are another's names that one."""
    return {code: _prices(sections[rows] if isinstance(rows, str) else rows) for code, rows in sections.items()}


def _prices(rows: Mapping[str, list[float]]) -> dict[str, Price]:
    return {loop: Price(*row) if len(row) == 3 else Price(0.0, *row) for loop, row in rows.items()}


def call_costs(program: Program, core: Core) -> tuple[CallCost, ...]:
    """The cost of every call in the program's runtime, in order; remembered, since a search meets the same calls again
    and again.
    """
    core = core.running(program.runtime)
    shapes = {activation.name: activation.shape for activation in program.activations}
    return tuple(
        [_cost(core, call, shapes[call.output], *[shapes[name] for name in call.inputs]) for call in program.calls]
    )


@lru_cache(maxsize=1 << 16)
def _cost(core: Core, call: Call, output: tuple[int, ...], *inputs: tuple[int, ...]) -> CallCost:
    return call_cost(core, geometry(call, inputs, output))


@lru_cache(maxsize=1 << 16)
def call_cost(core: Core, shape: Geometry) -> CallCost:
    """The cost of one call; layers of one shape share it, whatever their names."""
    code = core.path(shape)
    prices = core.loops[code]
    cycles = instructions = loads = 0.0
    for loop, times in core.rule(code)(shape).items():
        if times:
            price = prices[loop]
            cycles += price[0] * times
            instructions += price[1] * times
            loads += price[2] * times
    known = cycles if core.has_cycles else None
    return CallCost(
        code, shape.macs, known, loads, core.scratch_bytes(shape), shape.weights, shape.filters, instructions,
        shape.weight_bits,
    )  # fmt: skip
