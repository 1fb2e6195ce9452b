"""X-CUBE-AI, today ST Edge AI: flash, RAM and latency as bands, since its planner and kernels are closed.

A band is what published networks came to, told from the network's shapes by fits that had not seen them, over all
releases in `data/x_cube_ai.toml`. A limit is checked against the upper end. Not in it: all-zero output channels, which
releases from 8.1 on remove, are counted as others are; pads are part of the windows behind them; operators without
multiply-accumulates cost no time of their own, theirs is in the price of the multiply-accumulates.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from search_spaces.errors import TargetError
from targets.core import CallCost
from targets.device import Device
from targets.energy import energy_uj
from targets.memory import plan
from targets.program import Call, Program

FILE = Path(__file__).parent / "data" / "x_cube_ai.toml"
RUNTIME = "x-cube-ai"


class Band(NamedTuple):
    """Where a measurement is expected."""

    low: float
    high: float


class Release(NamedTuple):
    """A fit to one release's rows.

    Attributes:
        prices: of the counts, in the order that they are named in.
        low, high: measured over predicted, where the row was left out of the fit: the least and the greatest.
    """

    prices: tuple[float, ...]
    low: float
    high: float

    def predict(self, counts: Sequence[float]) -> float:
        return sum([price * count for price, count in zip(self.prices, counts, strict=True)])


@dataclass(frozen=True, eq=False)
class Tool:
    """The fits.

    Attributes:
        code: bytes of a network, a kernel call and a filter.
        data: bytes of RAM beside the activations, of a network and a kernel call.
        cycles: per multiply-accumulate of a convolution, a 1x1, a depthwise and a linear layer; by core.
        activations: of the bytes that live at once, the least and the greatest share, and how many bytes are added at
            most (as many as live).
    """

    code: tuple[Release, ...]
    data: tuple[Release, ...]
    cycles: Mapping[str, tuple[Release, ...]]
    activations: tuple[float, float, int]


@dataclass(frozen=True, slots=True)
class Bands:
    """A network's figures; None where the device lacks a clock or a power."""

    flash_bytes: Band
    ram_bytes: Band
    latency_ms: Band | None
    energy_uj: Band | None


@cache
def load_tool() -> Tool:
    """What `data/x_cube_ai.toml` holds."""
    found = tomllib.loads(FILE.read_text())
    shares = found["activations"]
    return Tool(
        _releases(found["code"]),
        _releases(found["data"]),
        {core: _releases(rows) for core, rows in found["cycles"].items()},
        (shares["least"], shares["greatest"], shares["added_bytes"]),
    )


def _releases(rows: Mapping[str, Mapping[str, float | list[float]]]) -> tuple[Release, ...]:
    return tuple([Release(tuple(row["prices"]), row["low"], row["high"]) for row in rows.values()])  # type: ignore[arg-type]


def runs_on(device: Device) -> bool:
    """Were networks published on the device's core?"""
    return (device.kernels or "").removeprefix("cortex_") in load_tool().cycles


def core_of(device: Device) -> str:
    """The name of a device's core, such as "m4".

    Raises:
        TargetError: no network was published on such a core.
    """
    if not runs_on(device):
        known = ", ".join(f"Cortex-{core.upper()}" for core in sorted(load_tool().cycles))
        law = f"x-cube-ai must run on a core it was measured on ({known}), {device.name!r} has {device.core}"
        raise TargetError(f"{law}; use --runtime tflm or c")
    return str(device.kernels).removeprefix("cortex_")


def bands(program: Program, costs: tuple[CallCost, ...], device: Device) -> Bands:
    """The bands of a program lowered for "x-cube-ai"; `costs` are `targets.core.call_costs` of it."""
    tool, core = load_tool(), core_of(device)
    calls, filters = executed_calls(program), sum([cost.filters for cost in costs])
    weights = sum([cost.weights_bytes for cost in costs])
    code = _over(tool.code, (1, calls, filters))
    macs = macs_by_kind(program.calls, costs)
    latency = None
    if device.clock_hz:
        cycles = _over(tool.cycles[core], macs)
        latency = Band(*[1e3 * end / device.clock_hz for end in cycles])
    powers = [energy_uj(end, device) for end in latency or ()]
    energy = Band(powers[0], powers[1]) if powers and powers[0] is not None and powers[1] is not None else None
    flash = Band(round(weights + code.low), round(weights + code.high))
    return Bands(flash, _ram(program, costs, tool, calls), latency, energy)


def _ram(program: Program, costs: tuple[CallCost, ...], tool: Tool, calls: int) -> Band:
    live = live_bytes(program, costs)
    data, (least, greatest, added) = _over(tool.data, (1, calls)), tool.activations
    return Band(round(least * live + data.low), round(greatest * live + min(live, added) + data.high))


def call_cycles(program: Program, costs: tuple[CallCost, ...], device: Device) -> tuple[float, ...]:
    """The upper end of the latency call by call: cycles under the release that is slowest for the whole network."""
    releases = load_tool().cycles[core_of(device)]
    macs = macs_by_kind(program.calls, costs)
    worst = max(releases, key=lambda release: release.high * release.predict(macs))
    each = [macs_by_kind((call,), (cost,)) for call, cost in zip(program.calls, costs, strict=True)]
    return tuple([worst.high * worst.predict(counts) for counts in each])


def macs_by_kind(calls: Sequence[Call], costs: Sequence[CallCost]) -> tuple[int, int, int, int]:
    """Multiply-accumulates of convolutions (transposed ones too), of 1x1 ones, depthwise ones and linear layers."""
    found = dict.fromkeys(("conv", "conv_1x1", "dw", "fc"), 0)
    for call, cost in zip(calls, costs, strict=True):
        if cost.macs:
            kind = "conv" if call.kind == "transpose_conv" else call.kind
            found["conv_1x1" if kind == "conv" and call.kernel == (1, 1) else kind] += cost.macs
    return found["conv"], found["conv_1x1"], found["dw"], found["fc"]


def executed_calls(program: Program) -> int:
    """Calls that do something of their own: neither reshapes nor pads."""
    return sum([call.kind not in ("reshape", "pad") for call in program.calls])


def live_bytes(program: Program, costs: tuple[CallCost, ...]) -> int:
    """The most bytes of tensors that are alive at once; a padded copy is never made."""
    whole = {call.output: call.inputs[0] for call in program.calls if call.kind == "pad"}
    kept = [(call, cost) for call, cost in zip(program.calls, costs, strict=True) if call.output not in whole]
    calls = tuple([replace(call, inputs=tuple([whole.get(name, name) for name in call.inputs])) for call, _ in kept])
    tensors = tuple([tensor for tensor in program.activations if tensor.name not in whole])
    bare = tuple([cost._replace(scratch_bytes=0) for _, cost in kept])
    return max(plan(replace(program, activations=tensors, calls=calls), bare).live_bytes, default=0)


def _over(releases: Sequence[Release], counts: Sequence[float]) -> Band:
    """The band over all releases."""
    said = [release.predict(counts) for release in releases]
    ends = [(release.low * value, release.high * value) for release, value in zip(releases, said, strict=True)]
    return Band(min([low for low, _ in ends]), max([high for _, high in ends]))
