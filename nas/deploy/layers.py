"""A `.tflite` file as the kernel calls of generated C: pads folded into the windows behind them, reshapes gone.

The calls are those that `targets.lower(graph, "c")` bills; here they come from the file alone, so that any file of
these operators can be exported.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from nas.deploy import fixed_point as fp
from nas.deploy.tables import Ends
from nas.deploy.tflite_reader import FileModel, FileOperator, FileTensor
from search_spaces.errors import TargetError
from targets import tflite_schema as schema
from targets.program import CallKind

Pads = tuple[int, int, int, int]

KINDS: dict[int, CallKind] = {code: kind for kind, (code, _, _) in schema.OPERATORS.items() if kind != "crop"}
WINDOWS = frozenset({"conv", "dw", "max_pool", "avg_pool", "transpose_conv"})
TAKES_PADS = frozenset({"conv", "dw", "max_pool"})
FUSED_NONE, FUSED_RELU, FUSED_RELU6 = 0, 1, 3


@dataclass(frozen=True)
class Value:
    """An int8 tensor in the arena; `shape` is without the batch axis."""

    shape: tuple[int, ...]
    scale: np.float32
    zero: int

    @property
    def size_bytes(self) -> int:
        return prod(self.shape)

    @property
    def map(self) -> tuple[int, int, int]:
        """Height, width, channels; features are a 1 x 1 map, rows a map of one column."""
        rows, channels = self.shape[:-1], self.shape[-1]
        return (rows[0] if rows else 1, prod(rows[1:]), channels)


@dataclass(frozen=True)
class Layer:
    """One kernel call.

    Attributes:
        inputs, output: numbers of tensors of the file.
        kernel, stride, dilation: `(height, width)`.
        pads: `(top, left)`.
        weights: as the file stores them; None without weights.
        bias: int32, one per filter.
        multipliers, shifts: int32, one per filter.
        low, high: the int8 range the call clamps to.
        begin: where a slice starts, one number an axis.
        slope, beta: of a leaky ReLU and a softmax.
        six: a ReLU6 of its own.
    """

    kind: CallKind
    inputs: tuple[int, ...]
    output: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    weights: np.ndarray | None = None
    bias: np.ndarray | None = None
    multipliers: np.ndarray | None = None
    shifts: np.ndarray | None = None
    low: int = -128
    high: int = 127
    begin: tuple[int, ...] = ()
    slope: float = 0.0
    beta: float = 1.0
    six: bool = False


@dataclass(frozen=True)
class Network:
    """Calls in order, over tensors by their number in the file.

    Attributes:
        calls: reshapes among them, which are nothing in C.
        views: a reshaped tensor and the one whose bytes it is.
    """

    values: dict[int, Value]
    calls: tuple[Layer, ...]
    views: dict[int, int]
    input: int
    output: int

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The calls that C makes."""
        return tuple(call for call in self.calls if call.kind != "reshape")

    def holder(self, number: int) -> int:
        """The tensor whose bytes a tensor is."""
        return self.views.get(number, number)

    def ends(self, layer: Layer) -> Ends:
        source, made = self.values[layer.inputs[0]], self.values[layer.output]
        return Ends(source.scale, source.zero, made.scale, made.zero)


def network_of(model: FileModel) -> Network:
    """The calls of a file.

    Raises:
        TargetError: an operator that generated C has no kernel for, or a form of it.
    """
    reader = _Reader(model)
    for place, operator in enumerate(model.operators):
        reader.operator(operator, place)
    if model.output not in reader.values:
        raise TargetError("the network's output must be what one of its operators writes")
    return Network(reader.values, tuple(_folded(reader)), reader.views, model.input, model.output)


class _Reader:
    """The network while its operators are read."""

    def __init__(self, model: FileModel) -> None:
        self.model = model
        self.values: dict[int, Value] = {model.input: _value(model.tensors[model.input], "the input")}
        self.views: dict[int, int] = {}
        self.layers: list[Layer] = []

    def operator(self, operator: FileOperator, place: int) -> None:
        kind = KINDS.get(operator.code) or ("relu" if operator.code == schema.RELU6_OPERATOR else None)
        where = f"operator {place} ({kind or f'builtin {operator.code}'})"
        if kind is None:
            raise TargetError(f"{where} cannot run on c: no kernel computes it; retrain with another in its place")
        if len(operator.outputs) != 1 or not operator.inputs:
            raise TargetError(f"{where} must read something and write one tensor")
        output = operator.outputs[0]
        made = _value(self.model.tensors[output], where)
        inputs = tuple(k for k in operator.inputs if self.model.tensors[k].data is None)
        if not inputs or not all(k in self.values for k in inputs) or output in self.values:
            raise TargetError(f"{where} must read what is there by then, and write a tensor of its own")
        self.values[output] = made
        if kind == "reshape":
            if made.size_bytes != self.values[inputs[0]].size_bytes:
                raise TargetError(f"{where} must keep its {self.values[inputs[0]].size_bytes} values")
            self.views[output] = self.views.get(inputs[0], inputs[0])
            self.layers.append(Layer(kind, inputs, output))
        else:
            self.layers.append(self._layer(kind, operator, inputs, output, where))

    def _constants(self, operator: FileOperator) -> list[FileTensor]:
        return [self.model.tensors[k] for k in operator.inputs if self.model.tensors[k].data is not None]

    def _layer(self, kind: CallKind, operator: FileOperator, inputs: tuple[int, ...], output: int, where: str) -> Layer:
        constants, options = self._constants(operator), operator.options
        made = self.values[output]
        layer = Layer(kind, inputs, output)
        if kind in ("conv", "dw", "fc", "transpose_conv"):
            layer = self._weighted(layer, constants, where)
        if kind in WINDOWS:
            layer = self._window(layer, operator, where)
        elif kind in ("pad", "slice"):
            layer = replace(layer, begin=_begin(kind, constants, self.values[inputs[0]], made, where))
        elif kind == "leaky_relu":
            layer = replace(layer, slope=options.number(0, "f"))
        elif kind == "softmax":
            layer = replace(layer, beta=options.number(0, "f"))
        elif kind == "relu":
            layer = replace(layer, six=operator.code == schema.RELU6_OPERATOR)
        fused = {"conv": 3, "dw": 4, "max_pool": 5, "avg_pool": 5, "fc": 0, "add": 0, "sub": 0, "mul": 0, "concat": 1}
        low, high = _range(options.integer(fused[kind], "b") if kind in fused else FUSED_NONE, made, where)
        return replace(layer, low=low, high=high)

    def _weighted(self, layer: Layer, constants: list[FileTensor], where: str) -> Layer:
        """Weights, biases, and the multipliers that requantize the sums."""
        weights = next((t for t in constants if t.dtype == np.int8), None)
        biases = [t for t in constants if t.dtype != np.int8 and len(t.scales)]
        if weights is None or weights.data is None or not len(weights.scales) or weights.zero_points.any():
            raise TargetError(f"{where} must have constant int8 weights with zero points of 0")
        filters = weights.shape[-1] if layer.kind == "dw" else weights.shape[0]
        bias = biases[0].data if biases and biases[0].data is not None else np.zeros(filters, np.int32)
        if bias.shape != (filters,) or len(weights.scales) not in (1, filters):
            raise TargetError(f"{where} has {filters} filters, but {bias.size} biases and {len(weights.scales)} scales")
        source, made = self.values[layer.inputs[0]], self.values[layer.output]
        scales = np.broadcast_to(weights.scales, filters)
        if layer.kind == "fc" and len(weights.scales) == 1:  # the kernel multiplies these two in float32
            real = (source.scale * scales).astype(float) / float(made.scale)
        else:
            real = float(source.scale) * scales.astype(float) / float(made.scale)
        found = np.array([fp.multiplier_of(value) for value in real], np.int32).reshape(-1, 2)
        return replace(layer, weights=weights.data, bias=bias, multipliers=found[:, 0], shifts=found[:, 1])

    def _window(self, layer: Layer, operator: FileOperator, where: str) -> Layer:
        options = operator.options
        source, made = self.values[layer.inputs[0]], self.values[layer.output]
        if len(source.shape) != 3 or len(made.shape) != 3:
            raise TargetError(f"{where} must read and write maps, got {source.shape} and {made.shape}")
        stride = options.integer(2), options.integer(1)
        dilation = (1, 1)
        if layer.weights is None:
            kernel = options.integer(4), options.integer(3)
        else:
            kernel = layer.weights.shape[1], layer.weights.shape[2]
            if layer.kind in ("conv", "dw"):
                slot = 4 if layer.kind == "conv" else 5
                dilation = options.integer(slot + 1, default=1), options.integer(slot, default=1)
        if min(*stride, *kernel, *dilation) < 1:
            raise TargetError(f"{where} must have a kernel, stride and dilation of 1 at least")
        small, large = (made, source) if layer.kind != "transpose_conv" else (source, made)
        spare = [
            max(0, (small.shape[k] - 1) * stride[k] + (kernel[k] - 1) * dilation[k] + 1 - large.shape[k])
            for k in (0, 1)
        ]
        same = options.integer(0, "b") == 0
        pads = (spare[0] // 2, spare[1] // 2) if same else (0, 0)
        return replace(layer, kernel=kernel, stride=stride, dilation=dilation, pads=pads)


def _value(tensor: FileTensor, where: str) -> Value:
    if tensor.dtype != np.int8 or len(tensor.scales) != 1 or tensor.data is not None:
        raise TargetError(f"{where} must read and write int8 tensors of one scale each")
    shape = tensor.shape[1:] if len(tensor.shape) > 1 and tensor.shape[0] == 1 else tensor.shape
    if not 1 <= len(shape) <= 3:
        raise TargetError(f"{where} must have tensors of one to three axes behind a batch of 1, got {tensor.shape}")
    return Value(shape, tensor.scales[0], int(tensor.zero_points[0]))


def _range(fused: int, made: Value, where: str) -> tuple[int, int]:
    """The int8 range of a fused activation."""
    if fused == FUSED_NONE:
        return -128, 127
    if fused not in (FUSED_RELU, FUSED_RELU6):
        raise TargetError(f"{where} has fused activation {fused}; it must be none, ReLU or ReLU6")
    top = 127 if fused == FUSED_RELU else made.zero + int(np.floor(np.float32(6) / made.scale + np.float32(0.5)))
    return max(-128, made.zero), min(127, top)


def _begin(kind: CallKind, constants: list[FileTensor], source: Value, made: Value, where: str) -> tuple[int, ...]:
    """Where a slice starts in its input, or the input of a pad in its output."""
    given = constants[0].data if constants else None
    if given is None:
        raise TargetError(f"{where} must have constant amounts")
    amounts = given.reshape(len(given), -1)[:, 0]
    begin = tuple(int(k) for k in amounts[len(amounts) - len(source.shape) :])
    inner, outer = (made, source) if kind == "slice" else (source, made)
    if len(begin) != len(outer.shape) or any(
        b < 0 or b + i > o for b, i, o in zip(begin, inner.shape, outer.shape, strict=True)
    ):
        raise TargetError(f"{where} at {begin} of {inner.shape} leaves {outer.shape}")
    return begin


def _folded(reader: _Reader) -> list[Layer]:
    """The layers without pads that the one window behind them can do itself: CMSIS-NN takes any.

    A maximum takes those of the least int8, which changes no maximum.
    """
    reads = Counter(reader.views.get(k, k) for layer in reader.layers for k in layer.inputs)
    reads[reader.views.get(reader.model.output, reader.model.output)] += 1
    pads = {layer.output: layer for layer in reader.layers if layer.kind == "pad" and reads[layer.output] == 1}
    found: list[Layer] = []
    gone: set[int] = set()
    for layer in reader.layers:
        pad = pads.get(layer.inputs[0])
        if pad is not None and layer.kind in TAKES_PADS and _harmless(pad, layer, reader):
            top, left = pad.begin[0] + layer.pads[0], pad.begin[1] + layer.pads[1]
            layer = replace(layer, inputs=pad.inputs, pads=(top, left))
            gone.add(pad.output)
        found.append(layer)
    return [layer for layer in found if layer.output not in gone]


def _harmless(pad: Layer, window: Layer, reader: _Reader) -> bool:
    """Is a pad of rows and columns with 0 the same as a window that reaches over the edge?"""
    source, made = reader.values[pad.inputs[0]], reader.values[pad.output]
    plain = len(source.shape) == 3 and source.shape[2] == made.shape[2]
    inside = all(made.shape[k] - source.shape[k] - pad.begin[k] < window.kernel[k] for k in (0, 1))
    return plain and inside and max(pad.begin) < min(window.kernel) and (window.kind != "max_pool" or made.zero == -128)
