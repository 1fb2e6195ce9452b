"""Networks and the tool of a device's maker: what it is given, and what it says, in words.

Quantizing imports torch, so a missing tool is looked for before.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas import atomic, wording
from search_spaces.errors import TargetError
from search_spaces.graph import Graph, Weights
from targets import npu_support
from targets.device import Device
from targets.makers import Maker, installed, maker_of
from targets.vendor import VendorEstimate

if TYPE_CHECKING:
    from targets.program import Program

SAMPLES = 4
"""Random inputs that activations are calibrated on where there is no scored file."""


def int8_file(program: Program, graph: Graph, weights: Weights, maker: Maker) -> bytes:
    """A network as it is, in int8: its own weights, and activations calibrated on random inputs."""
    from nas.int8.export.qdq_onnx import qdq_onnx
    from nas.int8.export.tflite import tflite_bytes
    from nas.int8.quantize import calibrate, quantize

    inputs = np.random.default_rng(0).standard_normal((SAMPLES, *graph.input_shape), np.float32)
    quantized = quantize(program, weights, calibrate(program, graph, weights, inputs))
    if maker.takes == "onnx":
        return qdq_onnx(program, quantized).SerializeToString()
    return tflite_bytes(program, quantized)


def estimate(content: bytes, program: Program, device: Device, maker: Maker) -> VendorEstimate:
    """What the tool says of a network's file; a failure says which rule may be the cause.

    Raises:
        TargetError: the tool is not installed or fails.
    """
    try:
        return maker.compiled(content, device).estimate
    except TargetError as error:
        rules = [] if device.npu is None else npu_support.broken(program, device.npu)
        raise TargetError(". ".join([str(error), *rules[:1]])) from None


def notes(device: Device, model: Path | None) -> tuple[str, ...]:
    """For a report: what the tool says of an exported model, whose folder keeps all of it as `vendor.json`.

    Empty without a model, or on a device whose maker's tool is not installed.
    """
    tool = maker_of(device)
    if tool is None or model is None or not installed(device):
        return ()
    try:
        found = tool.compiled((model / f"model.{tool.takes}").read_bytes(), device).estimate
    except TargetError as error:
        return (f"The tool of {device.title}'s maker says nothing of the chosen model: {error}.",)
    atomic.write_json(model / "vendor.json", asdict(found))
    return (f"The chosen model by {found.tool} {found.version}: {figures(found)}", placement(found))


def figures(found: VendorEstimate) -> str:
    """The tool's latency, memory and flash, in one sentence."""
    where = f"{found.configuration}, {found.clock_hz / 1e6:g} MHz"
    return (
        f"{wording.milliseconds(found.latency_ms)}, {wording.size(found.ram_bytes)} of RAM, "
        f"{wording.size(found.flash_bytes)} of weights and commands ({where})."
    )


def placement(found: VendorEstimate) -> str:
    """How many operators are left to the CPU, and which the tool does not count."""
    left, total = found.on_cpu, len(found.calls)
    said = f"All {total} operators run on the NPU."
    if left:
        law = "the figures leave their time out"
        said = f"{len(left)} of {total} operators are left to the CPU, and {law}: {', '.join(left)}."
    if found.uncounted:
        kinds = ", ".join(sorted(set(found.uncounted)))
        said += f" {found.tool} counts no cycles for {len(found.uncounted)} of them: {kinds}."
    return said
