"""A layer as C: the constants it reads, the structure that describes it, and the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from nas.deploy import fixed_point as fp
from nas.deploy import tables
from nas.deploy.arena import geometry_of
from nas.deploy.layers import Layer, Network
from search_spaces.errors import TargetError
from targets.kernels import Extension
from targets.kernels_c import path

MOST = 65_535
"""The largest side, channel count and kernel a layer's structure holds."""

C_TYPES = {"int8": "int8_t", "int32": "int32_t", "uint16": "uint16_t"}
LUT = frozenset({"relu", "requantize", "leaky_relu", "logistic", "tanh", "elu", "hard_swish"})


class Source:
    """The C of one network while it is being written; equal constants are written once.

    Attributes:
        entries: the kernels in use.
        constants: bytes of flash the constants take, weights among them.
        layer_bytes: bytes of flash the layers' structures take on a 32-bit core.
    """

    def __init__(
        self, network: Network, extension: Extension, offsets: dict[int, int], scratch: dict[int, int]
    ) -> None:
        self.network, self.extension = network, extension
        self.offsets, self.scratch = offsets, scratch
        self.definitions: list[str] = []
        self.calls: list[str] = []
        self.entries: set[str] = set()
        self.constants = 0
        self._known: dict[tuple[str, bytes], str] = {}
        for place, layer in enumerate(network.layers):
            self.place = place
            _RULES[layer.kind](self, layer)

    def at(self, number: int) -> str:
        return f"arena + {self.offsets[self.network.holder(number)]}"

    def array(self, values: np.ndarray) -> str:
        """The name of a constant with these values."""
        key = values.dtype.name, values.tobytes()
        if key not in self._known:
            name = self._known[key] = f"data_{len(self._known)}"
            self.constants += values.nbytes
            self.definitions.append(
                f"static const {C_TYPES[values.dtype.name]} {name}[{values.size}] = {{\n{_rows(values.ravel())}}};"
            )
        return self._known[key]

    def layer(self, entry: str, struct: str, fields: Sequence[tuple[str, object]]) -> None:
        """One structure, and the call of `entry` with it."""
        name = f"layer_{len(self.calls)}"
        body = "".join(f"    .{field} = {value},\n" for field, value in fields)
        self.definitions.append(f"static const {struct} {name} = {{\n{body}}};")
        self.calls.append(f"    {entry}(&{name});")
        self.entries.add(entry)


def _rows(values: np.ndarray, width: int = 120) -> str:
    """Numbers with commas, in lines."""
    lines, line = [], "   "
    for text in map(str, values.tolist()):
        if len(line) + len(text) + 2 > width:
            lines.append(line)
            line = "   "
        line += f" {text},"
    return "\n".join([*lines, line]) + "\n"


def _sized(*sides: int) -> None:
    if max(sides) > MOST:
        raise TargetError(f"a layer's sides must be at most {MOST:,} in generated C, got {max(sides):,}")


def _window(source: Source, layer: Layer) -> None:
    network = source.network
    reads, writes = network.values[layer.inputs[0]], network.values[layer.output]
    shape = geometry_of(network, layer)
    _sized(*reads.shape, *writes.shape, *layer.kernel, *layer.stride, *layer.dilation, *layer.pads)
    fields: list[tuple[str, object]] = [("input", source.at(layer.inputs[0])), ("output", source.at(layer.output))]
    if source.place in source.scratch:
        fields.append(("scratch", f"arena + {source.scratch[source.place]}"))
    if layer.weights is not None and layer.bias is not None:
        fields += [("weights", source.array(layer.weights)), ("bias", source.array(layer.bias))]
        fields += [("multiplier", source.array(_of(layer.multipliers))), ("shift", source.array(_of(layer.shifts)))]
    (height, width, channels), (rows, columns, filters) = reads.map, writes.map
    fields += [("in_height", height), ("in_width", width), ("in_channels", channels)]
    fields += [("out_height", rows), ("out_width", columns), ("out_channels", filters)]
    for name, pair in (("kernel", layer.kernel), ("stride", layer.stride), ("dilation", layer.dilation)):
        fields += [(f"{name}_height", pair[0]), (f"{name}_width", pair[1])]
    fields += [("pad_top", layer.pads[0]), ("pad_left", layer.pads[1]), ("groups", shape.groups)]
    if layer.weights is not None:
        fields += [("in_offset", -reads.zero), ("out_offset", writes.zero)]
    fields += [("low", layer.low), ("high", layer.high)]
    source.layer(entry_of(network, layer, source.extension), "nn_window", fields)


def entry_of(network: Network, layer: Layer, extension: Extension) -> str:
    """Which of our entries calls the kernel of CMSIS-NN that its wrapper would choose; so the others are not linked."""
    code = path(geometry_of(network, layer), extension)
    if code == "conv_1x1":
        return "nn_conv_1x1" if layer.stride == (1, 1) else "nn_conv_1x1_strided"
    return "nn_dw_any" if code == "dw_by_4" else f"nn_{code}"


def _of(values: np.ndarray | None) -> np.ndarray:
    return np.ascontiguousarray(values, np.int32)


def _linear(source: Source, layer: Layer) -> None:
    reads, writes = source.network.values[layer.inputs[0]], source.network.values[layer.output]
    weights, bias = layer.weights, layer.bias
    if weights is None or bias is None or weights.shape != (writes.size_bytes, reads.size_bytes):
        raise TargetError(f"a linear layer's weights must join {reads.shape} and {writes.shape} in one matrix")
    _sized(*weights.shape)
    bias = (bias.astype(np.int64) - reads.zero * weights.sum(1, np.int64)).astype(np.int32)
    source.layer("nn_fc", "nn_linear", [
        ("input", source.at(layer.inputs[0])), ("output", source.at(layer.output)), ("weights", source.array(weights)),
        ("bias", source.array(bias)), ("multiplier", source.array(_of(layer.multipliers))),
        ("shift", source.array(_of(layer.shifts))), ("in_features", weights.shape[1]),
        ("out_features", weights.shape[0]), ("out_offset", writes.zero), ("low", layer.low), ("high", layer.high),
    ])  # fmt: skip


def _pair(source: Source, layer: Layer) -> None:
    if len(layer.inputs) != 2:
        raise TargetError(f"{layer.kind} must join two tensors that are computed, none of them a constant")
    (left, right), writes = (source.network.values[n] for n in layer.inputs), source.network.values[layer.output]
    rows, columns = prod(writes.shape[:-1]), writes.shape[-1]
    whole = left.shape == right.shape == writes.shape
    walks = [(0, 1)] * 2 if whole else [_walk(operand.shape, writes.shape, layer) for operand in (left, right)]
    if whole:
        rows, columns = 1, rows * columns
    scales = float(left.scale), float(right.scale), float(writes.scale)
    if layer.kind == "mul":
        found = [(0, 0), (0, 0), fp.multiplier_of(scales[0] * scales[1] / scales[2])]
    else:
        twice = 2 * max(scales[:2])
        found = [fp.multiplier_of(scale / twice) for scale in scales[:2]]
        found.append(fp.multiplier_of(twice / (2**20 * scales[2])))
    names = "left_", "right_", ""
    fields: list[tuple[str, object]] = [
        ("left", source.at(layer.inputs[0])), ("right", source.at(layer.inputs[1])),
        ("output", source.at(layer.output)),
        ("rows", rows), ("columns", columns), ("left_row", walks[0][0]), ("right_row", walks[1][0]),
        ("left_step", walks[0][1]), ("right_step", walks[1][1]),
    ]  # fmt: skip
    for name, (multiplier, shift) in zip(names, found, strict=True):
        fields += [(f"{name}multiplier", multiplier), (f"{name}shift", shift if layer.kind == "mul" else -shift)]
    fields += [("left_offset", -left.zero), ("right_offset", -right.zero), ("out_offset", writes.zero)]
    source.layer(f"nn_{layer.kind}", "nn_pair", [*fields, ("low", layer.low), ("high", layer.high)])


def _walk(operand: tuple[int, ...], made: tuple[int, ...], layer: Layer) -> tuple[int, int]:
    """Steps of an operand from one place to the next and from one channel to the next, while the whole is made."""
    places, channels = prod(operand[:-1]), operand[-1]
    if places not in (1, prod(made[:-1])) or channels not in (1, made[-1]):
        raise TargetError(f"{layer.kind} must join equal shapes, a value a channel or a value a place; got {operand}")
    return (0 if places == 1 else channels), (0 if channels == 1 else 1)


def _lookup(source: Source, layer: Layer) -> None:
    ends = source.network.ends(layer)
    if layer.kind == "leaky_relu":
        table = tables.leaky_relu(ends, layer.slope)
    else:
        made: dict[str, Callable[[tables.Ends], np.ndarray]] = {
            "relu": tables.relu6 if layer.six else tables.relu, "requantize": tables.requantize,
            "logistic": tables.logistic, "tanh": tables.tanh, "elu": tables.elu, "hard_swish": tables.hard_swish,
        }  # fmt: skip
        table = made[layer.kind](ends)
    count = source.network.values[layer.output].size_bytes
    source.layer("nn_lookup", "nn_table", [
        ("input", source.at(layer.inputs[0])), ("output", source.at(layer.output)), ("table", source.array(table)),
        ("count", count),
    ])  # fmt: skip


def _softmax(source: Source, layer: Layer) -> None:
    reads = source.network.values[layer.inputs[0]]
    table = tables.exponentials(reads.scale, layer.beta)
    rows = prod(reads.shape[:-1])
    source.layer("nn_softmax", "nn_normalize", [
        ("input", source.at(layer.inputs[0])), ("output", source.at(layer.output)),
        ("exponentials", source.array(table)), ("rows", rows), ("columns", reads.shape[-1]),
    ])  # fmt: skip


def _box(
    source: Source, reads: str, writes: str, size: tuple[int, ...], inner: tuple[int, ...], outer: tuple[int, ...]
) -> None:
    """Copies `size` (height, width, channels) between tensors of shapes `inner` (read) and `outer` (written)."""
    rows, columns, channels = size
    if inner[2] == outer[2] == channels:  # whole rows
        columns, channels = 1, columns * channels
        if inner[1] == outer[1] == size[1]:  # all at once
            rows, channels = (1, rows * channels) if rows * channels <= MOST else (rows, channels)
    _sized(rows, columns, channels)
    source.layer("nn_copy", "nn_box", [
        ("input", reads), ("output", writes), ("rows", rows), ("columns", columns), ("bytes", channels),
        ("in_row", inner[1] * inner[2]), ("in_column", inner[2]), ("out_row", outer[1] * outer[2]),
        ("out_column", outer[2]),
    ])  # fmt: skip


def _start(begin: tuple[int, ...], outer: tuple[int, ...]) -> int:
    """Bytes before a place in a map."""
    y, x, c = (*[0] * (3 - len(begin)), *begin)
    return (y * outer[1] + x) * outer[2] + c


def _slice(source: Source, layer: Layer) -> None:
    inner, size = source.network.values[layer.inputs[0]].map, source.network.values[layer.output].map
    reads = f"{source.at(layer.inputs[0])} + {_start(layer.begin, inner)}"
    _box(source, reads, source.at(layer.output), size, inner, size)


def _pad(source: Source, layer: Layer) -> None:
    made = source.network.values[layer.output]
    size, outer = source.network.values[layer.inputs[0]].map, made.map
    source.layer("nn_fill", "nn_plain", [
        ("output", source.at(layer.output)), ("count", made.size_bytes), ("value", made.zero),
    ])  # fmt: skip
    writes = f"{source.at(layer.output)} + {_start(layer.begin, outer)}"
    _box(source, source.at(layer.inputs[0]), writes, size, size, outer)


def _concat(source: Source, layer: Layer) -> None:
    made, start = source.network.values[layer.output], 0
    for number in layer.inputs:
        part = source.network.values[number]
        if part.shape[:-1] != made.shape[:-1] or (part.scale, part.zero) != (made.scale, made.zero):
            raise TargetError(f"concat must join channels of one scale, got {part.shape} into {made.shape}")
        _box(source, source.at(number), f"{source.at(layer.output)} + {start}", part.map, part.map, made.map)
        start += part.shape[-1]
    if start != made.shape[-1]:
        raise TargetError(f"concat must fill its {made.shape[-1]} channels, got {start}")


def _transpose(source: Source, layer: Layer) -> None:
    reads, writes = source.network.values[layer.inputs[0]].shape, source.network.values[layer.output].shape
    if len(reads) != 3 or writes != (reads[0], reads[2], reads[1]):
        raise TargetError(f"transpose must swap the last two of three axes, got {reads} to {writes}")
    _sized(*reads[1:])
    source.layer("nn_transpose", "nn_swap", [
        ("input", source.at(layer.inputs[0])), ("output", source.at(layer.output)), ("places", reads[0]),
        ("groups", reads[1]), ("members", reads[2]),
    ])  # fmt: skip


def _nearest(source: Source, layer: Layer) -> None:
    _resize(source, layer, "nn_resize_nearest", "nn_nearest", _nearest_axis)


def _bilinear(source: Source, layer: Layer) -> None:
    _resize(source, layer, "nn_resize_linear", "nn_bilinear", _linear_axis)


def _resize(source: Source, layer: Layer, entry: str, struct: str, axis: Callable[[int, int], np.ndarray]) -> None:
    reads, writes = source.network.values[layer.inputs[0]].map, source.network.values[layer.output].map
    _sized(*reads, *writes)
    source.layer(entry, struct, [
        ("input", source.at(layer.inputs[0])), ("output", source.at(layer.output)), ("in_width", reads[1]),
        ("channels", reads[2]), ("out_height", writes[0]), ("out_width", writes[1]),
        ("rows", source.array(axis(reads[0], writes[0]))), ("columns", source.array(axis(reads[1], writes[1]))),
    ])  # fmt: skip


def _nearest_axis(size: int, out: int) -> np.ndarray:
    scale = np.float32(size) / np.float32(out)
    return np.minimum(np.floor(np.arange(out, dtype=np.float32) * scale), size - 1).astype(np.uint16)


def _linear_axis(size: int, out: int) -> np.ndarray:
    """Half-pixel centres in 1024ths (`reference/resize_bilinear.h`): lower neighbour, upper, and the upper's share."""
    scale = (1024 * size + out // 2) // out
    at = np.arange(out, dtype=np.int64) * scale + scale // 2 - 512
    lower = np.maximum(at // 1024, 0)
    upper = np.minimum((at + 1023) // 1024, size - 1)
    return np.stack([lower, upper, at - 1024 * lower], 1).astype(np.uint16)


_RULES: dict[str, Callable[[Source, Layer], None]] = {
    **dict.fromkeys(("conv", "dw", "max_pool", "avg_pool", "transpose_conv"), _window),
    **dict.fromkeys(("add", "sub", "mul"), _pair),
    **dict.fromkeys(LUT, _lookup),
    "fc": _linear,
    "softmax": _softmax,
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "transpose": _transpose,
    "resize_nearest": _nearest,
    "resize_linear": _bilinear,
}
