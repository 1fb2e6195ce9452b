"""What `nas cost` prints: a model's bill on one device, with its peak and what binds, or whether it fits on each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from nas import wording
from nas.inputs import with_device
from nas.listing import closed
from nas.objectives import Limits, binding
from search_spaces.graph import Graph
from targets.cost import CallBill, Cost, bands, bill, estimate, memory, runs_on
from targets.device import Device
from targets.lower import lower
from targets.memory import Buffer, Plan
from targets.program import Runtime
from targets.tflite_size import file_size
from targets.x_cube_ai import Bands

LONGEST_NAME = 32


def cost_record(graph: Graph, device: Device, runtime: Runtime) -> dict[str, Any]:
    """The cost, the bill and the peak of a network as plain values; null is not known."""
    cost, plan = estimate(graph, device, runtime), memory(graph, device, runtime)
    limits, found = with_device(Limits(), device), bands(graph, device, runtime)
    return {
        "cost": dataclasses.asdict(cost),
        "bands": closed.record(found),
        "compiler_level": device.compiler_level,
        "latency_band_percent": None if found else device.latency_band_percent,
        "measured_apart": [] if found else sorted(device.paths),
        "energy_band_percent": device.energy_band_percent,
        "energy_band_factor": device.energy_band_factor,
        "unverified": list(device.unverified),
        "limits": limits.active,
        "binds": binding(cost, limits) or None,
        "peak": None if plan is None else _peak_record(plan),
        "calls": [dataclasses.asdict(call) for call in bill(graph, device, runtime)],
    }


def cost_text(graph: Graph, device: Device, runtime: Runtime) -> str:
    """The bill as a table, one line a kernel call; the sum with its error bands; the peak, and what binds."""
    cost, calls = estimate(graph, device, runtime), bill(graph, device, runtime)
    plan, limits = memory(graph, device, runtime), with_device(Limits(), device)
    found = bands(graph, device, runtime)
    parts = [
        _calls(calls, cost),
        cost_summary(cost, device, found),
        closed.LIMITED if found else "",
        "" if plan is None else _peak(plan, calls, cost),
        wording.binding_sentence(cost, limits) if limits.active else "",
        f"Timed by their own measurements: {wording.measured_apart(device)}." if device.paths and not found else "",
        *wording.cautions(device),
    ]
    return "\n\n".join(part for part in parts if part)


def cost_summary(cost: Cost, device: Device, found: Bands | None = None) -> str:
    """The figures of a cost, each with what it counts and how far to trust it; `found` are a closed runtime's bands."""
    weights = wording.size(cost.weights_bytes)
    priced = _priced(cost, device)
    if found is not None:
        priced = {name: (row[0], closed.span(found, name), row[2]) for name, row in priced.items()}
    rows = [
        ("size", wording.size(cost.size_bytes), f"the int8 .tflite file, exact; {weights} of it weights and biases"),
        *[
            row if getattr(cost, name) is not None else (*row[:2], _missing(name, device))
            for name, row in priced.items()
        ],
        ("MACs", wording.count(cost.macs), "convolutions and linear layers"),
        ("params", wording.count(cost.params), "weights and biases"),
    ]
    width = max(len(value) for _, value, _ in rows)
    return "\n".join(f"{name:8} {value.rjust(width)}  {what}" for name, value, what in rows)


def _priced(cost: Cost, device: Device) -> dict[str, tuple[str, str, str]]:
    """What depends on the device: its name, the figure, and what it counts."""
    code, timed = wording.code_band(cost.runtime, device.compiler_level), wording.latency_band(device)
    kept = ", and the interpreter's own data" if cost.runtime == "tflm" else ""
    arena = f"tensor arena with scratch, input and output{kept}; no stack"
    if cost.runtime in wording.CLOSED:
        arena = "activations, input and output, and the runtime's own data; no stack"
        timed = "any release and option that was published"
    elif device.compiler_level != "O3":
        timed += f"; prices of -O3 times what -{device.compiler_level} takes on an M4"
    return {
        "flash_bytes": ("flash", wording.size(cost.flash_bytes), f"{code}; no application"),
        "ram_bytes": ("RAM", wording.size(cost.ram_bytes), arena),
        "latency_ms": ("latency", wording.milliseconds(cost.latency_ms), f"{device.title}, {timed}"),
        "energy_uj": ("energy", wording.energy(cost.energy_uj), wording.energy_band(device)),
    }


def _missing(name: str, device: Device) -> str:
    """Why a figure is empty."""
    if device.kernels is None:
        return f"no kernels are priced for {device.core}"
    if name == "energy_uj" and device.active_power_mw is None:
        return wording.energy_band(device)
    return "its clock is the board's choice" if device.clock_hz is None else wording.latency_band(device)


def _calls(calls: Sequence[CallBill], cost: Cost) -> str:
    rows = [
        ("call", "op", "kernel", "output", "MACs", "cycles", "latency", "share", "weights", "scratch", "RAM in use")
    ]
    for number, call in enumerate(calls, start=1):
        share = f"{100 * call.ms / cost.latency_ms:.1f} %" if call.ms and cost.latency_ms else wording.UNKNOWN
        rows.append(
            (
                str(number), _short(call.op), call.kind, "x".join(str(side) for side in call.shape),
                wording.count(call.macs), wording.count(call.cycles), wording.milliseconds(call.ms), share,
                wording.size(call.weights_bytes), wording.size(call.scratch_bytes), wording.size(call.live_bytes),
            )
        )  # fmt: skip
    return wording.columns(rows, left=4)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def _at_peak(plan: Plan) -> list[Buffer]:
    """The buffers alive during the first call with the most live bytes, the largest first."""
    call = plan.peak_call + 1
    alive = [buffer for buffer in plan.buffers if buffer.first <= call <= buffer.last]
    return sorted(alive, key=lambda buffer: -buffer.size_bytes)


def _peak(plan: Plan, calls: Sequence[CallBill], cost: Cost) -> str:
    """Which tensors are alive when RAM peaks, and what RAM holds beside the arena that is planned for them."""
    number = plan.peak_call + 1
    call, alive = calls[plan.peak_call], wording.size(max(plan.live_bytes))
    rows = [("alive then", "size", "from", "to")]
    for buffer in _at_peak(plan):
        begun = f"call {buffer.first}" if buffer.first else "the input"
        rows.append((_short(buffer.name), wording.size(buffer.size_bytes), begun, f"call {buffer.last}"))
    place = f"call {number} of {len(calls)}, {call.kind} {_short(call.op)}"
    head = f"RAM peaks in {place}: {alive} alive, in an arena of {wording.size(plan.arena_bytes)}"
    beside = (cost.ram_bytes or 0) - plan.arena_bytes
    head += f"; {wording.size(beside)} beside it are the interpreter's own." if beside > 0 else "."
    return f"{head}\n{wording.columns(rows)}"


def _peak_record(plan: Plan) -> dict[str, Any]:
    return {
        "call": plan.peak_call + 1,
        "live_bytes": max(plan.live_bytes),
        "arena_bytes": plan.arena_bytes,
        "alive": [buffer._asdict() for buffer in _at_peak(plan)],
    }


def matrix_record(graph: Graph, targets: Sequence[Device], runtime: Runtime) -> list[dict[str, Any]]:
    """Whether a network fits on each device, and what it takes there; null is not known.

    A closed runtime's figures are the upper ends of its bands, and it has none where it was never measured.
    """
    rows = []
    for device in targets:
        known = runs_on(device, runtime)
        cost = estimate(graph, device, runtime if known else "tflm")
        if not known:
            cost = dataclasses.replace(cost, flash_bytes=None, ram_bytes=None, latency_ms=None, energy_uj=None)
        rows.append(
            {
                "target": device.name,
                "core": device.core,
                "flash_bytes": cost.flash_bytes,
                "ram_bytes": cost.ram_bytes,
                "fits_flash": _fits(cost.flash_bytes, device.flash_bytes),
                "fits_ram": _fits(cost.ram_bytes, device.ram_bytes),
                "latency_ms": cost.latency_ms,
                "latency_band_percent": None if runtime in wording.CLOSED else device.latency_band_percent,
                "energy_uj": cost.energy_uj,
                "energy_band_percent": device.energy_band_percent,
                "energy_band_factor": device.energy_band_factor,
                "unverified": list(device.unverified),
            }
        )
    return rows


def matrix_text(graph: Graph, targets: Sequence[Device], runtime: Runtime) -> str:
    """The matrix as a table; a cell is empty where something is not known, and starred where it was not checked."""
    rows = [("target", "core", "flash", "RAM", "latency", "", "energy", "")]
    for device, row in zip(targets, matrix_record(graph, targets, runtime), strict=True):
        timed, powered = row["latency_ms"] is not None, row["energy_uj"] is not None
        rows.append(
            (
                device.name, device.core,
                _fit(row["flash_bytes"], device.flash_bytes, "flash_bytes" in device.unverified),
                _fit(row["ram_bytes"], device.ram_bytes, "ram_bytes" in device.unverified),
                wording.milliseconds(row["latency_ms"]) if timed else "",
                (MOST if runtime in wording.CLOSED else f"±{device.latency_band_percent:g} %") if timed else "",
                wording.energy(row["energy_uj"]) if powered else "",
                wording.band(device.energy_band_percent, device.energy_band_factor) if powered else "",
            )
        )  # fmt: skip
    size = wording.size(file_size(lower(graph)))
    return f"{wording.columns(rows, left=2)}\n\n{size} as a .tflite file, on {runtime}.\n{MATRIX_FOOTNOTE}"


MATRIX_FOOTNOTE = (
    "Shares are of the device's own flash and RAM; a star: that number was not checked; empty: not known.\n"
    "± is the band of the estimate; x2.5: the data sheet's power, within that factor."
)


MOST = "at most"


def _fits(used: int | None, there: int | None) -> bool | None:
    return None if used is None or there is None else used <= there


def _fit(used: int | None, there: int | None, doubtful: bool) -> str:
    """`yes, 12 %`, `no, 130 %` or nothing."""
    if used is None or there is None:
        return ""
    return f"{'yes' if used <= there else 'no'}, {100 * used / there:.0f} %{'*' if doubtful else ' '}"
