"""The QDQ ONNX file of a quantized network: the integers and scales of the `.tflite` file, in N x C x H x W.

Every activation passes QuantizeLinear and DequantizeLinear, every weight and bias is an integer behind a
DequantizeLinear, so a runtime that fuses them computes in int8 and one that does not still rounds in the same places.
Opset 17, or 21 for weights of 4 bits; float input and output, any batch size.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nas.int8.quantize import Quantized, packed
from targets.program import Activation, Call, Fused, Program
from targets.scales import scheme

OPSET, IR_VERSION = 17, 8
PACKED_OPSET, PACKED_IR_VERSION = 21, 10  # the first with INT4
BATCH = "n"
NO_PADS = (0, 0, 0, 0)
ASYMMETRIC = {"coordinate_transformation_mode": "asymmetric"}


def qdq_onnx(program: Program, quantized: Quantized) -> onnx.ModelProto:
    """The model: input `program.input` as floats (pixels in [0, 1] for images), outputs under the graph's names."""
    writer = _Writer(program, quantized)
    for call, fused in zip(program.calls, scheme(program).fused, strict=True):
        writer.call(call, fused)
    source, *results = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *_channels_first(program.by_name[name].shape)])
        for name in (program.input, *program.outputs)
    ]
    graph = helper.make_graph(writer.nodes, "int8", [source], results, writer.constants)
    late = any(call.weight_bits < 8 for call in program.calls)
    opset, ir_version = (PACKED_OPSET, PACKED_IR_VERSION) if late else (OPSET, IR_VERSION)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version, producer_name="fitfront"
    )


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-1], *shape[:-1])


class _Writer:
    """The graph while it is being written. A float tensor has an activation's name, its int8 form that and `:int8`."""

    def __init__(self, program: Program, quantized: Quantized) -> None:
        self.program, self.quantized = program, quantized
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.known: set[str] = set()
        self.padded: dict[str, tuple[str, tuple[int, int, int, int]]] = {}  # what a "pad" call made: of what, how much
        self.crops = {call.inputs[0]: call for call in program.calls if call.kind == "crop"}
        self.apart = {call.inputs[0] for call in program.calls if call.kind == "transpose"}
        self.value = {program.input: f"{program.input}:value"}  # where an activation is read, if not under its name
        self.round(program.by_name[program.input], program.input)

    def node(self, kind: str, inputs: list[str], output: str, **attrs: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attrs))
        return output

    def constant(self, name: str, array: np.ndarray | np.generic) -> str:
        if name not in self.known:
            self.known.add(name)
            self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def integers(self, name: str, array: np.ndarray, bits: int) -> str:
        """A constant of int8 values, stored in 8 or in 4 bits each."""
        if bits == 8:
            return self.constant(name, array)
        self.constants.append(
            helper.make_tensor(name, TensorProto.INT4, array.shape, packed(array).tobytes(), raw=True)
        )
        return name

    def round(self, activation: Activation, source: str) -> None:
        """Quantizes `source` and makes it float again, as the activation's value."""
        name, group = activation.name, activation.scale_group
        parameters = [
            self.constant(f"group{group}:scale", self.quantized.scales[group]),
            self.constant(f"group{group}:zero_point", self.quantized.zero_points[group].astype(np.int8)),
        ]
        self.node("QuantizeLinear", [source, *parameters], f"{name}:int8")
        self.node("DequantizeLinear", [f"{name}:int8", *parameters], self.value.get(name, name))

    def weights(self, call: Call, shape: tuple[int, ...], axis: int = 0) -> list[str]:
        """Float views of a call's weights, in `shape` with the filters moved to `axis`, and biases."""
        of, op, bits = self.quantized, str(call.op), call.weight_bits
        scale, bias_scale = of.weight_scales[op], of.bias_scales[op]
        weight = [
            self.integers(f"{op}.weight:int{bits}", np.moveaxis(of.weights[op].reshape(shape), 0, axis), bits),
            self.constant(f"{op}.weight:scale", scale),
            self.integers(f"{op}.weight:zero_point", np.zeros(len(scale), np.int8), bits),
        ]
        bias = [
            self.constant(f"{op}.bias:int32", of.biases[op]),
            self.constant(f"{op}.bias:scale", bias_scale),
        ]
        return [
            self.node("DequantizeLinear", weight, f"{op}.weight", axis=axis),
            self.node("DequantizeLinear", bias, f"{op}.bias", axis=0),
        ]

    def call(self, call: Call, fused: Fused) -> None:
        if call.kind == "pad" and self.program.by_name[call.output].tensor != call.output:  # a copy for one window
            self.padded[call.output] = call.inputs[0], call.pads
            return
        if call.kind == "crop":  # done by its convolution
            return
        if call.output in self.crops:
            crop = self.crops[call.output]
            call = replace(call, output=crop.output, pads=crop.pads)
        shape = self.program.by_name[call.inputs[0]].shape
        source, before = self.padded.get(call.inputs[0], (call.inputs[0], NO_PADS))
        inputs = [self.value.get(name, name) for name in (source, *call.inputs[1:])]
        pads = [one + other for one, other in zip(before, call.pads, strict=True)]
        raw = f"{call.output}:raw"
        window = {"kernel_shape": call.kernel, "strides": call.stride, "pads": pads}
        if call.kind in ("conv", "dw"):
            depth = 1 if call.kind == "dw" else call.weight_shape[3]
            parameters = self.weights(call, (call.out_channels, depth, *call.kernel))
            groups = {"group": shape[-1] // depth, "dilations": call.dilation}
            self.node("Conv", inputs + parameters, raw, **window, **groups)
        elif call.kind == "transpose_conv":
            shape = (call.out_channels, call.weight_shape[3], *call.kernel)
            self.node("ConvTranspose", inputs + self.weights(call, shape, axis=1), raw, **window)
        elif call.kind == "fc":
            self.node("Gemm", inputs + self.weights(call, call.weight_shape), raw, transB=1)
        elif call.kind == "max_pool":
            self.node("MaxPool", inputs, raw, **window)
        elif call.kind == "avg_pool":
            if call.kernel == shape[:2] and not any(pads):
                self.node("GlobalAveragePool", inputs, raw)
            else:
                self.node("AveragePool", inputs, raw, **window)
        elif call.kind == "reshape":
            shape = self.program.by_name[call.output].shape
            # Channels set apart, places x groups x members, are groups x members x places where channels come first.
            order = (*shape[1:], shape[0]) if call.output in self.apart else _channels_first(shape)
            self.reshape(inputs, raw, order)
        elif call.kind == "relu":
            self.clamp(inputs[0], raw, call.fused)
        elif call.kind == "requantize":
            raw = inputs[0]  # the rounding clamps
        else:
            others: dict[str, tuple[str, dict[str, Any]]] = {
                "add": ("Add", {}),
                "sub": ("Sub", {}),
                "mul": ("Mul", {}),
                "concat": ("Concat", {"axis": 1}),
                "softmax": ("Softmax", {"axis": 1}),
                "logistic": ("Sigmoid", {}),
                "tanh": ("Tanh", {}),
                "hard_swish": ("HardSwish", {}),
                "elu": ("Elu", {}),
                "leaky_relu": ("LeakyRelu", {"alpha": call.slope}),
                "pad": ("Pad", {}),
                "slice": ("Slice", {}),
                "transpose": ("Transpose", {"perm": (0, 2, 1, 3)}),
                "resize_nearest": ("Resize", {"mode": "nearest", "nearest_mode": "floor", **ASYMMETRIC}),
                "resize_linear": ("Resize", {"mode": "linear"}),
            }
            kind, attrs = others[call.kind]
            self.node(kind, inputs + self.settings(call), raw, **attrs)
        if call.kind != "relu" and fused != "none":
            raw = self.clamp(raw, f"{call.output}:clamped", fused)
        self.round(self.program.by_name[call.output], raw)

    def settings(self, call: Call) -> list[str]:
        """What ONNX takes as constant inputs behind the first."""
        shape, output = (self.program.by_name[name].shape for name in (call.inputs[0], call.output))
        given: list[np.ndarray] = []
        if call.kind == "pad":
            given = [np.array([0, 0, *call.pads[:2], 0, 0, *call.pads[2:]])]
        elif call.kind == "slice":
            given = [np.array([call.start]), np.array([call.start + output[-1]]), np.array([1])]
        elif call.kind in ("resize_nearest", "resize_linear"):
            factors = [1, 1, output[0] / shape[0], output[1] / shape[1]]
            return ["", self.constant(f"{call.output}:scales", np.array(factors, np.float32))]
        return [self.constant(f"{call.output}:setting{k}", values) for k, values in enumerate(given)]

    def reshape(self, inputs: list[str], output: str, shape: tuple[int, ...]) -> None:
        if len(shape) == 1:
            self.node("Flatten", inputs, output, axis=1)
        else:
            target = self.constant(f"{output}:shape", np.array([0, *shape], np.int64))
            self.node("Reshape", [*inputs, target], output)

    def clamp(self, source: str, output: str, fused: Fused) -> str:
        if fused == "relu":
            return self.node("Relu", [source], output)
        ends = [self.constant("clamp:low", np.float32(0)), self.constant("clamp:high", np.float32(6))]
        return self.node("Clip", [source, *ends], output)
