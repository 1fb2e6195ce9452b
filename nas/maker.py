"""A network as the tool of a device's maker takes it: quantized, in the form of file that the tool reads.

Quantizing imports torch, so that a missing tool is looked for first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search_spaces.errors import TargetError
from search_spaces.graph import Graph, Weights
from targets import npu_support
from targets.device import Device
from targets.makers import Maker
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
        rules = [] if device.npu is None else list(npu_support.broken(program, device.npu))
        raise TargetError(". ".join([str(error), *rules[:1]])) from None
