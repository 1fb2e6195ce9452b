"""One row per operator kind: its attributes, shape rule, weight shapes and multiply-accumulates.

Spatial attributes are `(height, width)` pairs; `pads` is `(top, left, bottom, right)`, never negative. A transposed
convolution crops by its pads, and `output_padding` adds rows below and columns to the right before that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from search_spaces.errors import ModelError

if TYPE_CHECKING:
    from search_spaces.graph import Op, Shape

    ShapeRule = Callable[[Op, list[Shape]], Shape]
    WeightRule = Callable[[Op, list[Shape]], dict[str, Shape]]
    MacRule = Callable[[Op, list[Shape], Shape], int]


@dataclass(frozen=True)
class Kind:
    """What the engine knows of an operator kind.

    Attributes:
        attrs: the attribute names an `Op` of this kind carries; a conv may have `weight_bits` besides (`Op.stored_in`).
        shape: output shape from the operator and its input shapes.
        weights: weight shapes by role (`weight`, `bias`).
        macs: multiply-accumulates of one sample.
        pointwise: every output element depends on the input element at the same place alone.
    """

    attrs: tuple[str, ...]
    shape: ShapeRule
    weights: WeightRule
    macs: MacRule
    pointwise: bool = False


def window_size(size: int, kernel: int, stride: int, low: int, high: int, dilation: int = 1) -> int:
    """Positions of a sliding window, rounded down as ONNX does."""
    return (size + low + high - dilation * (kernel - 1) - 1) // stride + 1


def _windowed(op: Op, shape: Shape, channels: int, dilation: tuple[int, int] = (1, 1)) -> Shape:
    (kh, kw), (sh, sw), (top, left, bottom, right) = op["kernel"], op["stride"], op["pads"]
    if len(shape) != 3:
        raise ModelError(f"{op.kind} {op.name!r} needs channels x height x width, got {shape}")
    height = window_size(shape[1], kh, sh, top, bottom, dilation[0])
    width = window_size(shape[2], kw, sw, left, right, dilation[1])
    if height < 1 or width < 1:
        raise ModelError(f"{op.kind} {op.name!r} leaves no output: input {shape}, kernel {kh}x{kw}")
    return channels, height, width


def _check_groups(op: Op, shapes: list[Shape]) -> None:
    groups, channels = op["groups"], shapes[0][0]
    if channels % groups or op["out_channels"] % groups:
        law = f"groups (={groups}) must divide input ({channels}) and output ({op['out_channels']}) channels"
        raise ModelError(f"{op.kind} {op.name!r}: {law}")


def _conv_shape(op: Op, shapes: list[Shape]) -> Shape:
    _check_groups(op, shapes)
    return _windowed(op, shapes[0], op["out_channels"], op["dilation"])


def _conv_weights(op: Op, shapes: list[Shape]) -> dict[str, Shape]:
    out = op["out_channels"]
    return {"weight": (out, shapes[0][0] // op["groups"], *op["kernel"]), "bias": (out,)}


def _conv_macs(op: Op, shapes: list[Shape], out: Shape) -> int:
    return prod(out) * (shapes[0][0] // op["groups"]) * prod(op["kernel"])


def _transposed_shape(op: Op, shapes: list[Shape]) -> Shape:
    _check_groups(op, shapes)
    if len(shapes[0]) != 3:
        raise ModelError(f"{op.kind} {op.name!r} needs channels x height x width, got {shapes[0]}")
    pads = op["pads"]
    sides = [
        (shapes[0][k + 1] - 1) * op["stride"][k] + op["dilation"][k] * (op["kernel"][k] - 1) + 1
        + op["output_padding"][k] - pads[k] - pads[k + 2]
        for k in (0, 1)
    ]  # fmt: skip
    if min(sides) < 1:
        raise ModelError(f"{op.kind} {op.name!r} leaves no output: input {shapes[0]}, pads {pads}")
    return op["out_channels"], sides[0], sides[1]


def _transposed_macs(op: Op, shapes: list[Shape], out: Shape) -> int:
    return prod(shapes[0]) * (op["out_channels"] // op["groups"]) * prod(op["kernel"])


def _linear_shape(op: Op, shapes: list[Shape]) -> Shape:
    if len(shapes[0]) != 1:
        raise ModelError(f"linear {op.name!r} needs a flat input, got {shapes[0]}")
    return (op["out_channels"],)


def _pool_shape(op: Op, shapes: list[Shape]) -> Shape:
    return _windowed(op, shapes[0], shapes[0][0])


def _same(op: Op, shapes: list[Shape]) -> Shape:
    return shapes[0]


def _elementwise(op: Op, shapes: list[Shape]) -> Shape:
    first, second = shapes
    if len(first) == len(second) and all(b in (a, 1) for a, b in zip(first, second, strict=True)):
        return first
    raise ModelError(f"{op.kind} {op.name!r} needs equal shapes, on the right also sides of 1, got {shapes}")


def _concat_shape(op: Op, shapes: list[Shape]) -> Shape:
    if len({shape[1:] for shape in shapes}) != 1:
        raise ModelError(f"concat {op.name!r} joins channels of equal maps, got {shapes}")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _pad_shape(op: Op, shapes: list[Shape]) -> Shape:
    (channels, height, width), (top, left, bottom, right) = shapes[0], op["pads"]
    return channels, height + top + bottom, width + left + right


def _slice_shape(op: Op, shapes: list[Shape]) -> Shape:
    start, stop, size = op["start"], op["stop"], shapes[0][0]
    if not 0 <= start < stop <= size:
        raise ModelError(f"slice {op.name!r} takes channels {start} to {stop} of {size}")
    return (stop - start, *shapes[0][1:])


def _shuffle_shape(op: Op, shapes: list[Shape]) -> Shape:
    if shapes[0][0] % op["groups"]:
        raise ModelError(f"shuffle {op.name!r}: groups (={op['groups']}) must divide channels ({shapes[0][0]})")
    return shapes[0]


def _resize_shape(op: Op, shapes: list[Shape]) -> Shape:
    (channels, height, width), (up, across) = shapes[0], op["factor"]
    return channels, height * up, width * across


def _affine_weights(op: Op, shapes: list[Shape]) -> dict[str, Shape]:
    return {"weight": (shapes[0][0],), "bias": (shapes[0][0],)}


def _none(op: Op, shapes: list[Shape]) -> dict[str, Shape]:
    return {}


def _no_macs(op: Op, shapes: list[Shape], out: Shape) -> int:
    return 0


def is_depthwise(op: Op, channels: int) -> bool:
    """A convolution that gives each input channel filters of its own; one input channel is an ordinary convolution."""
    return bool(op.kind in CONVOLUTIONS and op["groups"] == channels and channels > 1)


def batch_is_first(template: Shape) -> bool:
    """Is the batch the first axis of a kept node's output, and nothing but the batch?"""
    return template[0] == -1 and min(template[1:], default=1) > 0


def _kept_shape(op: Op, shapes: list[Shape]) -> Shape:
    """A kept node's shape is its template's: -k stands for k times the batch."""
    template: Shape = op["template"]
    return template[1:] if batch_is_first(template) else tuple(abs(side) for side in template)


CONVOLUTIONS = frozenset({"conv", "conv_transpose"})

LAYERS = frozenset({*CONVOLUTIONS, "linear"})
"""Kinds whose filters make the output channels anew; their weights are `filters x inputs of one x taps`."""

_WINDOW = ("kernel", "pads", "stride")


def _pointwise(*attrs: str) -> Kind:
    return Kind(attrs, _same, _none, _no_macs, pointwise=True)


KINDS: dict[str, Kind] = {
    "conv": Kind(("dilation", "groups", *_WINDOW, "out_channels"), _conv_shape, _conv_weights, _conv_macs),
    "conv_transpose": Kind(
        ("dilation", "groups", *_WINDOW, "out_channels", "output_padding"),
        _transposed_shape,
        _conv_weights,
        _transposed_macs,
    ),
    "linear": Kind(
        ("out_channels",),
        _linear_shape,
        lambda op, s: {"weight": (op["out_channels"], s[0][0]), "bias": (op["out_channels"],)},
        lambda op, s, out: out[0] * s[0][0],
    ),
    "affine": Kind((), _same, _affine_weights, lambda op, s, out: prod(out)),
    "relu": _pointwise(),
    "relu6": _pointwise(),
    "clip": _pointwise("high", "low"),
    "leaky_relu": _pointwise("slope"),
    "hard_swish": _pointwise(),
    "gelu": _pointwise("tanh"),
    "elu": _pointwise("alpha"),
    "softplus": _pointwise(),
    "sigmoid": _pointwise(),
    "tanh": _pointwise(),
    "softmax": Kind((), _same, _none, _no_macs),
    "norm": Kind(("epsilon", "over"), _same, _none, _no_macs),
    "add": Kind((), _elementwise, _none, _no_macs),
    "sub": Kind((), _elementwise, _none, _no_macs),
    "mul": Kind((), _elementwise, _none, _no_macs),
    "concat": Kind((), _concat_shape, _none, _no_macs),
    "max_pool": Kind(_WINDOW, _pool_shape, _none, _no_macs),
    "avg_pool": Kind(_WINDOW, _pool_shape, _none, _no_macs),
    "global_avg_pool": Kind((), lambda op, s: (s[0][0], *(1 for _ in s[0][1:])), _none, _no_macs),
    "flatten": Kind((), lambda op, s: (prod(s[0]),), _none, _no_macs),
    "pad": Kind(("pads",), _pad_shape, _none, _no_macs),
    "slice": Kind(("start", "stop"), _slice_shape, _none, _no_macs),
    "shuffle": Kind(("groups",), _shuffle_shape, _none, _no_macs),
    "resize": Kind(("factor", "mode"), _resize_shape, _none, _no_macs),
    "onnx": Kind(
        ("batch", "fixed", "learned", "operator", "places", "settings", "template"),
        _kept_shape,
        lambda op, s: {role: shape for role, _, shape, _ in op["learned"]},
        _no_macs,  # a product of two computed tensors is not counted
    ),
}
