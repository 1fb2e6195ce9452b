"""ONNX models in a line or two, as other tools might write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Standard normal float32 values."""
    return RNG.standard_normal(shape).astype(np.float32)


def file(
    nodes: list[onnx.NodeProto],
    input_shape: tuple[Any, ...] = ("n", 2, 6, 6),
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
    **constants: Any,
) -> onnx.ModelProto:
    """A model whose input is `x`; constants are float32 unless they are integers."""
    tensors = []
    for name, value in constants.items():
        array = np.asarray(value)
        tensors.append(numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name))
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    body = helper.make_graph(nodes, "test", [image], ends, tensors)
    return helper.make_model(body, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


def node(kind: str, inputs: str, output: str = "y", **attrs: Any) -> onnx.NodeProto:
    """A node named after its outputs; both are split at blanks, two of which leave an input out."""
    return helper.make_node(kind, inputs.split(" "), output.split(), name=f"node_{output}", **attrs)
