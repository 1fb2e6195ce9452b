"""Graph and weights to a float32 ONNX model, one node an operator: the way out of the door.

Node outputs are named as the operators, so `from_onnx.parse` finds the same graph again. An affine operator is written
as a BatchNormalization of mean 0 and variance 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search_spaces.errors import ModelError
from search_spaces.graph import Graph, Op, Weights

OPSET = 17
IR_VERSION = 8  # the oldest that knows opset 17, so that older runtimes read the file too
# Says that every node is an operator of a `Graph` already: `parse` then has nothing to fold, drop or tidy.
AS_WRITTEN = ("fitfront.graph", "as written")

Node = tuple[str, dict[str, Any]]


def _window(op: Op) -> dict[str, Any]:
    return {"kernel_shape": op["kernel"], "strides": op["stride"], "pads": op["pads"]}


NODES: dict[str, Callable[[Op], Node]] = {
    "conv": lambda op: ("Conv", {**_window(op), "dilations": op["dilation"], "group": op["groups"]}),
    "linear": lambda op: ("Gemm", {"transB": 1}),
    "affine": lambda op: ("BatchNormalization", {"epsilon": 0.0}),
    "relu": lambda op: ("Relu", {}),
    "relu6": lambda op: ("Clip", {}),
    "sigmoid": lambda op: ("Sigmoid", {}),
    "softmax": lambda op: ("Softmax", {"axis": 1}),
    "add": lambda op: ("Add", {}),
    "mul": lambda op: ("Mul", {}),
    "concat": lambda op: ("Concat", {"axis": 1}),
    "max_pool": lambda op: ("MaxPool", _window(op)),
    "avg_pool": lambda op: ("AveragePool", _window(op)),
    "global_avg_pool": lambda op: ("GlobalAveragePool", {}),
    "flatten": lambda op: ("Flatten", {"axis": 1}),
}


def to_onnx(graph: Graph, weights: Weights) -> onnx.ModelProto:
    """The network as float32 ONNX, opset 17, with a batch axis named `n`; `parse` gives the same graph and weights.

    Raises:
        ModelError: a weight is missing or has another shape than the graph says.
    """
    for name, shape in graph.weight_shapes.items():
        found = np.shape(weights[name]) if name in weights else "none"
        if found != shape:
            raise ModelError(f"weight {name!r} must have shape {shape}, got {found}")

    taken = {graph.input, *graph.by_name}
    constants: dict[str, np.ndarray] = {}

    def constant(name: str, values: np.ndarray) -> str:
        while name in taken:
            name += "_"
        taken.add(name)
        constants[name] = np.array(values, np.float32, order="C")  # ascontiguousarray would make a number a vector
        return name

    limits: tuple[str, ...] = ()
    if any(op.kind == "relu6" for op in graph.ops):
        limits = constant("zero", np.array(0)), constant("six", np.array(6))

    nodes = []
    for op in graph.ops:
        extra = [
            constant(f"{op.name}.{role}", weights[f"{op.name}.{role}"])
            for role in ("weight", "bias")
            if f"{op.name}.{role}" in graph.weight_shapes
        ]
        if op.kind == "affine":
            (channels,) = graph.weight_shapes[f"{op.name}.weight"]
            extra.append(constant(f"{op.name}.mean", np.zeros(channels)))
            extra.append(constant(f"{op.name}.variance", np.ones(channels)))
        elif op.kind == "relu6":
            extra.extend(limits)
        node_type, attrs = NODES[op.kind](op)
        nodes.append(helper.make_node(node_type, [*op.inputs, *extra], [op.name], name=op.name, **attrs))

    def tensor(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *graph.shapes[name]])

    body = helper.make_graph(
        nodes,
        "network",
        [tensor(graph.input)],
        [tensor(name) for name in graph.outputs],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(
        body, producer_name="fitfront", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(model, dict([AS_WRITTEN]))
    return model
