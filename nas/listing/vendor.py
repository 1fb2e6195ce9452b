"""What `nas cost` adds for a device whose maker has an estimator: the tool's own figures, beside ours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from nas import maker, wording
from search_spaces.errors import ModelError, TargetError
from search_spaces.from_onnx import load_model
from search_spaces.graph import Graph, Weights
from targets import npu_support
from targets.cost import estimate
from targets.device import Device
from targets.lower import lower
from targets.makers import Maker, maker_of
from targets.program import Program, Runtime
from targets.tflite_file import file_size
from targets.vendor import VendorEstimate

CALIBRATED = "The weights are the model's own, quantized with random inputs: those of a run compress differently."
"""The tools compress weights, and these depend on the inputs too, since channels are equalized by what they carry."""


def vendor_record(graph: Graph, weights: Weights, device: Device, exported: Path | None = None) -> dict[str, Any]:
    """The tool's estimate as plain values under "vendor"; nothing for a device without a tool.

    Args:
        graph, weights: the network in float.
        device: the target.
        exported: the network's exported file, in the form that the tool takes; without one it is quantized as it is.

    Raises:
        TargetError: the tool is not installed or fails.
        ModelError: the file is not this network's.
    """
    tool = _tool(device, exported)
    if tool is None:
        return {}
    program = lower(graph)
    found = _estimate(program, graph, weights, device, tool, exported)
    rules = _broken(program, device)
    return {"vendor": dataclasses.asdict(found) | {"weights": _weights(exported), "broken": rules}}


def vendor_text(graph: Graph, weights: Weights, device: Device, runtime: Runtime, exported: Path | None = None) -> str:
    """The tool's operators and figures beside ours; empty for a device without a tool. Takes and raises the same."""
    tool = _tool(device, exported)
    if tool is None:
        return ""
    program = lower(graph)
    found = _estimate(program, graph, weights, device, tool, exported)
    form = "on the same .tflite" if tool.takes == "tflite" else "on the ONNX file of the same integers"
    parts = [
        f"{found.tool} {found.version}, the maker's own tool, {form}: {found.configuration}, "
        f"{found.clock_hz / 1e6:g} MHz.\nIts figures, not this engine's. {_weights(exported)}",
        _calls(found),
        _beside(found, graph, device, runtime),
        maker.placement(found),
        "\n".join(_broken(program, device)),
    ]
    return "\n\n".join(part for part in parts if part)


def _tool(device: Device, exported: Path | None) -> Maker | None:
    """The estimator of the device's maker; a file for none is refused."""
    found = maker_of(device)
    if found is None and exported is not None:
        raise TargetError(f"--exported is for a target with an NPU, {device.name!r} has none; leave it out")
    return found


def _weights(exported: Path | None) -> str:
    """Which weights the tool was given."""
    return CALIBRATED if exported is None else f"The weights are those of {exported}."


def _estimate(
    program: Program, graph: Graph, weights: Weights, device: Device, tool: Maker, exported: Path | None
) -> VendorEstimate:
    """What the device's tool says of the network in int8."""
    tool.executable(device)  # a missing tool is told before torch is imported
    if exported is None:
        content = maker.int8_file(program, graph, weights, tool)
    else:
        content = exported.read_bytes()
        _check_exported(content, exported, program, graph, tool)
    return maker.estimate(content, program, device, tool)


def _check_exported(content: bytes, exported: Path, program: Program, graph: Graph, tool: Maker) -> None:
    """Raises ModelError unless a file is the network's, as far as its size or its parameters tell."""
    if tool.takes == "tflite":
        if len(content) != file_size(program):
            law = f"--exported must be the exported file of the same model, of {file_size(program):,} bytes"
            raise ModelError(f"{law}; {exported} has {len(content):,}")
        return
    given = load_model(exported)[0]
    if (given.input_shape, given.params) != (graph.input_shape, graph.params):
        law = f"--exported must be the exported .onnx of the same model, of {graph.params:,} parameters"
        raise ModelError(f"{law}; {exported} has {given.params:,}")


def _broken(program: Program, device: Device) -> list[str]:
    """The rules of the device's NPU that a program breaks, each in a sentence."""
    return [] if device.npu is None else npu_support.broken(program, device.npu)


def _calls(found: VendorEstimate) -> str:
    rows = [("operator", "runs on", "MACs", "cycles", "share")]
    for call in found.calls:
        share = wording.UNKNOWN if call.cycles is None else f"{100 * call.cycles / max(found.cycles, 1):.1f} %"
        place = "NPU" if call.on_npu else "CPU"
        rows.append((call.operator, place, wording.count(call.macs), wording.count(call.cycles), share))
    return wording.columns(rows, left=2)


def _beside(found: VendorEstimate, graph: Graph, device: Device, runtime: Runtime) -> str:
    """The tool's figures, and those of the same network on the CPU alone."""
    cost = estimate(graph, device, runtime)
    waits = f"{wording.count(found.cycles)} cycles, {wording.count(found.compute_cycles)} without waiting for memory"
    rows = [
        ("", found.tool, f"ours, {device.core} and {runtime}", ""),
        ("latency", wording.milliseconds(found.latency_ms), wording.milliseconds(cost.latency_ms), waits),
        ("RAM", wording.size(found.ram_bytes), wording.size(cost.ram_bytes), f"{found.tool}: {_where(found)}"),
        ("flash", wording.size(found.flash_bytes), wording.size(cost.flash_bytes), f"{found.tool}: weights, commands"),
        ("MACs", wording.count(found.macs), wording.count(cost.macs), ""),
    ]
    table = wording.columns([row[:3] for row in rows]).splitlines()
    return "\n".join(f"{line}  {row[3]}".rstrip() for line, row in zip(table, rows, strict=True))


def _where(found: VendorEstimate) -> str:
    """Which memories the tool's RAM is in."""
    parts = {"SRAM": found.sram_bytes, "DRAM, weights included": found.dram_bytes}
    return " and ".join(f"{wording.size(size)} {name}" for name, size in parts.items() if size) or "none"
