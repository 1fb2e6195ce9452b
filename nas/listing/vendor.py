"""What `nas cost` adds for a device whose maker has an estimator: the tool's own figures, beside ours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from nas import wording
from search_spaces.errors import ModelError, TargetError
from search_spaces.graph import Graph, Weights
from targets import npu_support, vela
from targets.cost import estimate
from targets.device import Device
from targets.lower import lower
from targets.program import Program, Runtime
from targets.tflite_file import file_size
from targets.vendor import VendorEstimate

SAMPLES = 4
CALIBRATED = "The weights are the model's own, quantized with random inputs: those of a run compress differently."
"""The tools compress weights, and these depend on the inputs too, since channels are equalized by what they carry."""


def vendor_record(graph: Graph, weights: Weights, device: Device, tflite: Path | None = None) -> dict[str, Any]:
    """The tool's estimate as plain values under "vendor"; nothing for a device without a tool.

    Args:
        graph, weights: the network in float.
        device: the target.
        tflite: the network's exported file; without one it is quantized as it is.

    Raises:
        TargetError: the tool is not installed or fails.
        ModelError: the file is not this network's.
    """
    if not _has_tool(device, tflite):
        return {}
    program = lower(graph)
    found = _estimate(program, graph, weights, device, tflite)
    rules = _broken(program, device)
    return {"vendor": dataclasses.asdict(found) | {"weights": _weights(tflite), "broken": rules}}


def vendor_text(graph: Graph, weights: Weights, device: Device, runtime: Runtime, tflite: Path | None = None) -> str:
    """The tool's operators and figures beside ours; empty for a device without a tool. Takes and raises the same."""
    if not _has_tool(device, tflite):
        return ""
    program = lower(graph)
    found = _estimate(program, graph, weights, device, tflite)
    parts = [
        f"{found.tool} {found.version}, the maker's own tool, on the same .tflite: {found.configuration}, "
        f"{found.clock_hz / 1e6:g} MHz.\nIts figures, not this engine's. {_weights(tflite)}",
        _calls(found),
        _beside(found, graph, device, runtime),
        _placement(found),
        "\n".join(_broken(program, device)),
    ]
    return "\n\n".join(part for part in parts if part)


def _has_tool(device: Device, tflite: Path | None) -> bool:
    """Whether the device's maker has an estimator; a file for none is refused."""
    if device.npu is None and tflite is not None:
        raise TargetError(f"--tflite is for a target with an NPU, {device.name!r} has none; leave it out")
    return device.npu is not None


def _weights(tflite: Path | None) -> str:
    """Which weights the tool was given."""
    return CALIBRATED if tflite is None else f"The weights are those of {tflite}."


def _estimate(program: Program, graph: Graph, weights: Weights, device: Device, tflite: Path | None) -> VendorEstimate:
    """What the device's tool says of the network in int8; a failure says which rule may be the cause."""
    vela.executable(device)  # a missing tool is told before torch is imported
    content = int8_file(program, graph, weights) if tflite is None else tflite.read_bytes()
    if len(content) != file_size(program):
        law = f"--tflite must be the exported file of the same model, of {file_size(program):,} bytes"
        raise ModelError(f"{law}; {tflite} has {len(content):,}")
    try:
        return vela.estimate(content, device)
    except TargetError as error:
        raise TargetError(". ".join([str(error), *_broken(program, device)[:1]])) from None


def _broken(program: Program, device: Device) -> list[str]:
    """The rules of the device's NPU that a program breaks, each in a sentence."""
    return [] if device.npu is None else list(npu_support.broken(program, device.npu))


def int8_file(program: Program, graph: Graph, weights: Weights) -> bytes:
    """The `.tflite` of a network as it is: its own weights, and activations calibrated on random inputs."""
    from nas.int8.export.tflite import tflite_bytes
    from nas.int8.quantize import calibrate, quantize

    inputs = np.random.default_rng(0).standard_normal((SAMPLES, *graph.input_shape), np.float32)
    return tflite_bytes(program, quantize(program, weights, calibrate(program, graph, weights, inputs)))


def _calls(found: VendorEstimate) -> str:
    rows = [("operator", "runs on", "MACs", "cycles", "share")]
    for call in found.calls:
        cycles = call.cycles if call.on_npu else None
        share = wording.UNKNOWN if cycles is None else f"{100 * cycles / max(found.cycles, 1):.1f} %"
        rows.append(
            (call.operator, "NPU" if call.on_npu else "CPU", wording.count(call.macs), wording.count(cycles), share)
        )
    return wording.columns(rows, left=2)


def _beside(found: VendorEstimate, graph: Graph, device: Device, runtime: Runtime) -> str:
    """The tool's figures, and those of the same network on the CPU alone."""
    cost = estimate(graph, device, runtime)
    waits = f"{wording.count(found.cycles)} cycles, {wording.count(found.compute_cycles)} without waiting for memory"
    rows = [
        ("", found.tool, f"ours, {device.core} and {runtime}", ""),
        ("latency", wording.milliseconds(found.latency_ms), wording.milliseconds(cost.latency_ms), waits),
        ("RAM", wording.size(found.sram_bytes), wording.size(cost.ram_bytes), f"{found.tool}: SRAM"),
        ("flash", wording.size(found.flash_bytes), wording.size(cost.flash_bytes), f"{found.tool}: weights, commands"),
        ("MACs", wording.count(found.macs), wording.count(cost.macs), ""),
    ]
    if found.dram_bytes:
        rows.insert(3, ("DRAM", wording.size(found.dram_bytes), wording.UNKNOWN, ""))
    table = wording.columns([row[:3] for row in rows]).splitlines()
    return "\n".join(f"{line}  {row[3]}".rstrip() for line, row in zip(table, rows, strict=True))


def _placement(found: VendorEstimate) -> str:
    """How many operators are left to the CPU, and which."""
    left, total = found.on_cpu, len(found.calls)
    if not left:
        return f"All {total} operators run on the NPU."
    law = "the figures leave their time out"
    return f"{len(left)} of {total} operators are left to the CPU, and {law}: {', '.join(left)}."
