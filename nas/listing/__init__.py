"""What the commands print: the devices, and a run's last words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from nas import quickstart, wording
from nas.inputs import load_network
from nas.objectives import violation
from nas.report import sections
from nas.result import RunResult
from search_spaces.graph import Graph, Shape, Weights
from targets.device import Device, devices, load_device


def original(model: Path | None, input_shape: Shape | None = None) -> Graph:
    """The graph of an `.onnx` or `.pt2` file, or of the bundled quickstart.

    Raises:
        ModelError: it cannot be read.
    """
    return original_network(model, input_shape)[0]


def original_network(model: Path | None, input_shape: Shape | None = None) -> tuple[Graph, Weights]:
    """`original` with its weights."""
    return load_network(quickstart.model_path() if model is None else model, input_shape)


def targets_rows() -> list[dict[str, Any]]:
    """Every device the engine brings, as it is in its TOML file."""
    return [dataclasses.asdict(device) for device in all_devices()]


def all_devices(compiler_level: str = "") -> list[Device]:
    """Every device the engine brings, at a compiler level of the user's or its own."""
    found = [load_device(name) for name in devices()]
    return [dataclasses.replace(each, compiler_level=compiler_level) for each in found] if compiler_level else found


def targets_text() -> str:
    """The devices as a table; a star stands by what was not checked."""
    rows: list[tuple[str, ...]] = [
        ("target", "", "core", "measured apart", "clock", "flash", "RAM", "latency", "power, inferring")
    ]
    for device in all_devices():
        clock = f"{device.clock_hz / 1e6:g} MHz" if device.clock_hz else wording.UNKNOWN
        band = f"±{device.latency_band_percent:g} %" if "latency_ms" in device.priced else wording.UNKNOWN
        cells = {
            "clock_hz": clock,
            "flash_bytes": wording.size(device.flash_bytes),
            "ram_bytes": wording.size(device.ram_bytes),
            "cycles_scale": band,
            "active_power_mw": _power(device),
        }
        starred = [f"{text}{'*' if name in device.unverified else ' '}" for name, text in cells.items()]
        rows.append((device.name, device.title, device.core, wording.measured_apart(device), *starred))
    return f"{wording.columns(rows, left=4)}\n\n{FOOTNOTES}"


FOOTNOTES = (
    "* not checked against the maker's data sheet or a board's files; the device's file says where it is from.\n"
    f"{wording.UNKNOWN} not known or the board's choice: what needs it has no price, and no limit.\n"
    "measured apart: kernels timed by numbers of their own, fitted to the board's layers of that kind.\n"
    "latency: the band a measured one is expected in. power: measured, ±; from the data sheet, within a factor (x)."
)


def _power(device: Device) -> str:
    if device.active_power_mw is None:
        return wording.UNKNOWN
    return f"{device.active_power_mw:g} mW {wording.band(device.energy_band_percent, device.energy_band_factor)}"


def closing_text(result: RunResult, folder: Path) -> str:
    """What a run says last: its finding, the front or the nearest misses, and where everything lies."""
    points = result.front or sorted(result.points, key=lambda p: violation(p.cost, result.limits, p.val_drop))[:3]
    costs = sections.shown(result)
    named = [wording.MEANING[name] for name in costs]
    rows: list[tuple[str, ...]] = [
        ("model", *named, "val drop", "95 % bound", *sections.seeds_head(result), "verdict", "test drop")
    ]
    for p in points:
        star, knee = "* " if p.id == result.chosen else "  ", " (knee)" if p.knee else ""
        over = " (over)" if result.breaks_on_test(p) else ""
        rows.append(
            (
                f"{star}{p.id}{knee}", *[wording.quantity(name, getattr(p.cost, name)) for name in costs],
                wording.number(p.val_drop), wording.number(p.val_drop_upper95),
                *[wording.spread(p.seed_drops) for _ in sections.seeds_head(result)], p.verdict,
                wording.number(p.test_drop) + over,
            )
        )  # fmt: skip
    lines = [wording.headline(result), ""]
    if points:
        lines += ["" if result.front else "The nearest misses:", wording.columns(rows), ""]
    if result.chosen_point is not None:
        lines.append(f"model   {folder / result.chosen_point.tflite}")
    lines.append(f"report  {folder / 'report.html'}")
    return "\n".join(lines)
