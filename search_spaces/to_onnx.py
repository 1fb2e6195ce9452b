"""Graph and weights to a float32 ONNX model, the way out: one node an operator, three for a shuffle or a norm.

Node outputs are named as the operators, so `from_onnx.parse` finds the same graph again. An affine operator is written
as a BatchNormalization of mean 0 and variance 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search_spaces.errors import ModelError
from search_spaces.graph import Graph, Op, Shape, Weights
from search_spaces.onnx_draft import counts_batch
from search_spaces.onnx_windows import by_filter

OPSET = 17
IR_VERSION = 8  # the oldest that knows opset 17, so that older runtimes read the file too
GELU_OPSET, GELU_IR_VERSION = 20, 9  # the first that has a Gelu
PACKED = "fitfront.weight_bits_4"  # a JSON list of the operators whose weights have 4 bits
# Says that every node is an operator of a `Graph` already: `parse` then has nothing to fold, drop or tidy.
AS_WRITTEN = ("fitfront.graph", "as written")

Node = tuple[str, dict[str, Any]]


def _window(op: Op) -> dict[str, Any]:
    return {"kernel_shape": op["kernel"], "strides": op["stride"], "pads": op["pads"]}


_COORDINATES: dict[str, dict[str, Any]] = {
    "nearest": {"coordinate_transformation_mode": "asymmetric"},
    "linear": {"coordinate_transformation_mode": "half_pixel"},
}

NODES: dict[str, Callable[[Op], Node]] = {
    "conv": lambda op: ("Conv", {**_window(op), "dilations": op["dilation"], "group": op["groups"]}),
    "conv_transpose": lambda op: (
        "ConvTranspose",
        {
            **_window(op),
            "dilations": op["dilation"],
            "group": op["groups"],
            "output_padding": op["output_padding"],
        },
    ),
    "linear": lambda op: ("Gemm", {"transB": 1}),
    "affine": lambda op: ("BatchNormalization", {"epsilon": 0.0}),
    "relu": lambda op: ("Relu", {}),
    "relu6": lambda op: ("Clip", {}),
    "clip": lambda op: ("Clip", {}),
    "leaky_relu": lambda op: ("LeakyRelu", {"alpha": op["slope"]}),
    "hard_swish": lambda op: ("HardSwish", {}),
    "gelu": lambda op: ("Gelu", {"approximate": "tanh" if op["tanh"] else "none"}),
    "elu": lambda op: ("Elu", {"alpha": op["alpha"]}),
    "softplus": lambda op: ("Softplus", {}),
    "tanh": lambda op: ("Tanh", {}),
    "sigmoid": lambda op: ("Sigmoid", {}),
    "softmax": lambda op: ("Softmax", {"axis": 1}),
    "add": lambda op: ("Add", {}),
    "sub": lambda op: ("Sub", {}),
    "mul": lambda op: ("Mul", {}),
    "concat": lambda op: ("Concat", {"axis": 1}),
    "max_pool": lambda op: ("MaxPool", _window(op)),
    "avg_pool": lambda op: ("AveragePool", _window(op)),
    "global_avg_pool": lambda op: ("GlobalAveragePool", {}),
    "flatten": lambda op: ("Flatten", {"axis": 1}),
    "pad": lambda op: ("Pad", {}),
    "slice": lambda op: ("Slice", {}),
    "resize": lambda op: ("Resize", {"mode": op["mode"], "nearest_mode": "floor", **_COORDINATES[op["mode"]]}),
}


def _as_onnx(op: Op, values: np.ndarray) -> np.ndarray:
    """A weight in ONNX's order of axes, which for a transposed convolution begins with the inputs."""
    return by_filter(values, op["groups"]) if op.kind == "conv_transpose" and values.ndim > 1 else values


Setting = tuple[str, Any]

SETTINGS: dict[str, Callable[[Op], list[Setting]]] = {
    "clip": lambda op: [("low", float(op["low"])), ("high", float(op["high"]))],
    "pad": lambda op: [("pads", [0, 0, *op["pads"][:2], 0, 0, *op["pads"][2:]])],
    "slice": lambda op: [("start", [op["start"]]), ("stop", [op["stop"]]), ("axis", [1])],
    "resize": lambda op: [("", None), ("scales", [1.0, 1.0, *map(float, op["factor"])])],
}
"""Settings that ONNX takes as constant inputs, in order; an empty name is an input left out."""


def _kept(
    op: Op,
    source: str,
    weights: Weights,
    constant: Callable[[str, np.ndarray], str],
    fresh: Callable[[str], str],
    opset: int,
) -> list[onnx.NodeProto]:
    """A node as it came. A constant that every sample of a batch reads is repeated as often as `source` has samples."""
    inputs = dict(zip(op["places"], op.inputs, strict=True))
    nodes = []
    for place, shape, values in op["fixed"]:
        values = [-1 if counts_batch(value) else value for value in values]  # of a Reshape, for a batch of any size
        inputs[place] = constant(f"{op.name}.fixed{place}", np.array(values).reshape(shape))
    for role, place, shape, axis in op["learned"]:
        inputs[place] = constant(f"{op.name}.{role}", weights[f"{op.name}.{role}"])
        if axis >= 0:
            names = [fresh(f"{op.name}.{part}{place}") for part in ("shape", "count", "sides", "repeated")]
            zero = constant(f"{op.name}.first{place}", np.array([0]))
            parts = [
                names[1] if k == axis else constant(f"{op.name}.side{place}_{k}", np.array([side]))
                for k, side in enumerate(shape)
            ]
            nodes += [
                helper.make_node("Shape", [source], [names[0]]),
                helper.make_node("Gather", [names[0], zero], [names[1]], axis=0),
                helper.make_node("Concat", parts, [names[2]], axis=0),
                helper.make_node("Expand", [inputs[place], names[2]], [names[3]]),
            ]
            inputs[place] = names[3]
    settings = dict(op["settings"])
    if opset >= 18 and op["operator"].startswith("Reduce") and "axes" in settings:
        inputs[1] = constant(f"{op.name}.axes", np.array(settings.pop("axes")))
    given = [inputs.get(place, "") for place in range(max(inputs) + 1)]
    return [*nodes, helper.make_node(op["operator"], given, [op.name], name=op.name, **settings)]


def _norm(
    op: Op, shape: Shape, constant: Callable[[str, np.ndarray], str], fresh: Callable[[str], str]
) -> list[onnx.NodeProto]:
    """A norm with a scale of 1: of channels with these turned last, of all of a map with it as one channel."""
    size = 1 if op["over"] == "all" else shape[0]
    scale, source, settings = constant(f"{op.name}.ones", np.ones(size)), op.inputs[0], {"epsilon": op["epsilon"]}
    if op["over"] == "channels" and len(shape) == 1:
        return [helper.make_node("LayerNormalization", [source, scale], [op.name], name=op.name, axis=-1, **settings)]
    before, after, rank = fresh(f"{op.name}.before"), fresh(f"{op.name}.after"), len(shape) + 1
    if op["over"] == "channels":
        return [
            helper.make_node("Transpose", [source], [before], name=before, perm=[0, *range(2, rank), 1]),
            helper.make_node("LayerNormalization", [before, scale], [after], name=after, axis=-1, **settings),
            helper.make_node("Transpose", [after], [op.name], name=op.name, perm=[0, rank - 1, *range(1, rank - 1)]),
        ]
    shift = constant(f"{op.name}.zeros", np.zeros(size))
    if op["over"] == "positions":
        given = [source, scale, shift]
        return [helper.make_node("InstanceNormalization", given, [op.name], name=op.name, **settings)]
    flat, whole = (
        constant(f"{op.name}.{what}", np.array([0, *sides])) for what, sides in (("flat", (1, -1)), ("shape", shape))
    )
    return [
        helper.make_node("Reshape", [source, flat], [before], name=before),
        helper.make_node("InstanceNormalization", [before, scale, shift], [after], name=after, **settings),
        helper.make_node("Reshape", [after, whole], [op.name], name=op.name),
    ]


def _shuffle(
    op: Op, shape: Shape, constant: Callable[[str, np.ndarray], str], fresh: Callable[[str], str]
) -> list[onnx.NodeProto]:
    """A channel shuffle: channels as groups x members, the two axes swapped, and flat again."""
    groups, (channels, *sides) = op["groups"], shape
    split, swapped = fresh(f"{op.name}.split"), fresh(f"{op.name}.swapped")
    apart = constant(f"{op.name}.groups", np.array([0, groups, channels // groups, *sides]))
    whole = constant(f"{op.name}.shape", np.array([0, channels, *sides]))
    order = [0, 2, 1, *range(3, 3 + len(sides))]
    return [
        helper.make_node("Reshape", [op.inputs[0], apart], [split], name=split),
        helper.make_node("Transpose", [split], [swapped], name=swapped, perm=order),
        helper.make_node("Reshape", [swapped, whole], [op.name], name=op.name),
    ]


_SEVERAL = {"norm": _norm, "shuffle": _shuffle}


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

    def fresh(name: str) -> str:
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    def constant(name: str, values: np.ndarray) -> str:
        kind = np.int64 if np.asarray(values).dtype.kind == "i" else np.float32
        constants[fresh(name)] = np.array(values, kind, order="C")  # ascontiguousarray would make a number a vector
        return next(reversed(constants))

    limits: tuple[str, ...] = ()
    if any(op.kind == "relu6" for op in graph.ops):
        limits = constant("zero", np.array(0.0)), constant("six", np.array(6.0))

    late = any(op.kind == "gelu" for op in graph.ops)
    opset, ir_version = (GELU_OPSET, GELU_IR_VERSION) if late else (OPSET, IR_VERSION)
    nodes = []
    for op in graph.ops:
        extra = [
            constant(f"{op.name}.{role}", _as_onnx(op, weights[f"{op.name}.{role}"]))
            for role in ("weight", "bias")
            if f"{op.name}.{role}" in graph.weight_shapes and op.kind != "onnx"
        ]
        if op.kind == "affine":
            (channels,) = graph.weight_shapes[f"{op.name}.weight"]
            extra.append(constant(f"{op.name}.mean", np.zeros(channels)))
            extra.append(constant(f"{op.name}.variance", np.ones(channels)))
        elif op.kind == "relu6":
            extra.extend(limits)
        elif op.kind in SETTINGS:
            extra.extend(
                constant(f"{op.name}.{role}", np.array(values)) if role else ""
                for role, values in SETTINGS[op.kind](op)
            )
        if op.kind == "onnx":
            nodes += _kept(op, graph.input, weights, constant, fresh, opset)
            continue
        if op.kind in _SEVERAL:
            nodes += _SEVERAL[op.kind](op, graph.shapes[op.name], constant, fresh)
            continue
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
        body,
        producer_name="fitfront",
        ir_version=ir_version,
        opset_imports=[helper.make_opsetid("", opset)],
    )
    packed = [op.name for op in graph.ops if op.weight_bits == 4]
    helper.set_model_props(model, dict([AS_WRITTEN]) | ({PACKED: json.dumps(packed)} if packed else {}))
    return model
