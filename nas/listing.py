"""What the commands print: the devices, one model's bill, and a run's last words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from nas import quickstart, wording
from nas.inputs import load_graph
from nas.objectives import violation
from nas.result import RunResult
from search_spaces.graph import Graph, Shape
from targets import cost as costs
from targets.device import Device, devices, load_device
from targets.program import Runtime


def original(model: Path | None, input_shape: Shape | None = None) -> Graph:
    """The graph of an `.onnx` or `.pt2` file, or of the bundled quickstart.

    Raises:
        ModelError: it cannot be read.
    """
    return load_graph(quickstart.model_path() if model is None else model, input_shape)


def targets_rows() -> list[dict[str, Any]]:
    """Every device the engine brings, as it is in its TOML file."""
    return [dataclasses.asdict(load_device(name)) for name in devices()]


def targets_text() -> str:
    """The devices as a table."""
    rows = [("target", "", "core", "clock", "flash", "RAM", "latency band")]
    for device in map(load_device, devices()):
        clock, band = f"{device.clock_hz / 1e6:g} MHz", f"±{device.latency_band_percent:g} %"
        flash, ram = wording.size(device.flash_bytes), wording.size(device.ram_bytes)
        rows.append((device.name, device.title, device.core, clock, flash, ram, band))
    return wording.columns(rows, left=3)


def cost_record(graph: Graph, device: Device, runtime: Runtime) -> dict[str, Any]:
    """The cost and the bill of a network as plain values."""
    return {
        "cost": dataclasses.asdict(costs.estimate(graph, device, runtime)),
        "latency_band_percent": device.latency_band_percent,
        "energy_band_percent": device.energy_band_percent,
        "calls": [dataclasses.asdict(call) for call in costs.bill(graph, device, runtime)],
    }


def cost_text(graph: Graph, device: Device, runtime: Runtime) -> str:
    """The bill as a table, one line a kernel call, and the sum with its error bands."""
    cost = costs.estimate(graph, device, runtime)
    rows = [("call", "kernel", "output", "weights", "MACs", "latency", "share", "RAM in use")]
    for number, call in enumerate(costs.bill(graph, device, runtime), start=1):
        share = f"{100 * call.ms / cost.latency_ms:.1f} %"
        weights, latency, ram = wording.size(call.weights_bytes), wording.milliseconds(call.ms), call.live_bytes
        shape = "x".join(str(side) for side in call.shape)
        line = (str(number), call.kind, shape, weights, wording.count(call.macs), latency, share, wording.size(ram))
        rows.append(line)
    return f"{wording.columns(rows, left=3)}\n\n{cost_summary(cost, device)}"


def cost_summary(cost: costs.Cost, device: Device) -> str:
    """The figures of a cost, each with what it counts and how far to trust it."""
    energy = wording.energy(cost.energy_uj)
    energy_band = f"±{device.energy_band_percent:g} %" if device.energy_band_percent else "no power is published"
    weights = wording.size(cost.weights_bytes)
    rows = [
        ("size", wording.size(cost.size_bytes), f"the int8 .tflite file, exact; {weights} of it weights and biases"),
        (
            "flash",
            wording.size(cost.flash_bytes),
            f"with the {cost.runtime} runtime and kernels, ±15 %; no application",
        ),
        ("RAM", wording.size(cost.ram_bytes), "tensor arena with scratch, input and output; no stack"),
        ("latency", wording.milliseconds(cost.latency_ms), f"{device.title}, ±{device.latency_band_percent:g} %"),
        ("energy", energy, energy_band),
        ("MACs", wording.count(cost.macs), "convolutions and linear layers"),
        ("params", wording.count(cost.params), "weights and biases"),
    ]
    width = max(len(value) for _, value, _ in rows)
    return "\n".join(f"{name:8} {value.rjust(width)}  {what}" for name, value, what in rows)


def closing_text(result: RunResult, folder: Path) -> str:
    """What a run says last: its finding, the front or the nearest misses, and where everything lies."""
    points = result.front or sorted(result.points, key=lambda p: violation(p.cost, result.limits, p.val_drop))[:3]
    rows = [("model", "size", "RAM", "latency", "val drop", "95 % bound", "verdict", "test drop")]
    for p in points:
        cost, star = p.cost, "* " if p.id == result.chosen else "  "
        over = " (over)" if result.breaks_on_test(p) else ""
        rows.append(
            (
                f"{star}{p.id}", wording.size(cost.size_bytes), wording.size(cost.ram_bytes),
                wording.milliseconds(cost.latency_ms), wording.number(p.val_drop), wording.number(p.val_drop_upper95),
                p.verdict, wording.number(p.test_drop) + over,
            )
        )  # fmt: skip
    lines = [wording.headline(result), ""]
    if points:
        lines += ["" if result.front else "The nearest misses:", wording.columns(rows), ""]
    if result.chosen_point is not None:
        lines.append(f"model   {folder / result.chosen_point.tflite}")
    lines.append(f"report  {folder / 'report.html'}")
    return "\n".join(lines)
