"""The `.tflite` file of a quantized network: `targets.tflite_file` says where, this module what."""

from __future__ import annotations

import numpy as np

from nas.int8.quantize import Quantized, packed
from targets.flatbuffer import Role
from targets.program import Call, Program
from targets.tflite_file import write


def tflite_bytes(program: Program, quantized: Quantized) -> bytes:
    """The file, of exactly `targets.tflite_file.file_size(program)` bytes; input and output are int8, N x H x W x C.

    Raises:
        TargetError: `program` was not lowered for "tflm".
    """
    data: dict[Role, np.ndarray] = {}
    for group, (scale, zero_point) in enumerate(zip(quantized.scales, quantized.zero_points, strict=True)):
        data["scale", group] = scale[None]
        data["zero_point", group] = zero_point[None]
    for call in program.calls:
        if call.op is not None and call.weight_shape:
            weight, order = stored(call, quantized.weights[call.op])
            data[call.op, "weight"] = weight if call.weight_bits == 8 else packed(weight)
            data[call.op, "bias"] = quantized.biases[call.op][order]
            data[call.op, "weight_scale"] = quantized.weight_scales[call.op][order]
            data[call.op, "bias_scale"] = quantized.bias_scales[call.op][order]
    return write(program, data)


def stored(call: Call, weight: np.ndarray) -> tuple[np.ndarray, slice | np.ndarray]:
    """A weight in the layout of `call.weight_shape`, and the order in which its filters then stand.

    The graph gives conv `O x I x KH x KW`, linear `O x I`, affine `C`. Features flattened from a map of several
    positions are channel first in the graph, position first here (`call.flatten_from`).
    """
    order: slice | np.ndarray = slice(None)
    if call.flatten_from:
        channels, height, width = call.flatten_from
        moved = np.arange(channels * height * width).reshape(channels, -1).T.ravel()
        if call.kind == "dw":
            order = moved
            weight = weight[moved]
        else:
            weight = weight[:, moved]
    if weight.ndim == 4:
        weight = weight.transpose((1, 2, 3, 0) if call.kind == "dw" else (0, 2, 3, 1))
    return np.ascontiguousarray(weight).reshape(call.weight_shape), order
