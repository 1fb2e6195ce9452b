"""The part of TFLite's schema that a `Program` needs: operators, their options, and the forms of the tables.

Source: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3; operator versions are the lowest that promise int8
with a scale per channel (tensorflow/compiler/mlir/lite/tools/versioning/op_version.cc), so that old runtimes read them.
"""

from __future__ import annotations

from functools import cache

from targets.flatbuffer import Node, layout, scalars
from targets.program import Call, CallKind, Fused

VERSION = 3
IDENTIFIER = b"TFL3"
INT8, INT32, INT4 = 9, 2, 17
LAST_AXIS = 3

OPERATORS: dict[CallKind, tuple[int, int, int]] = {
    "conv": (3, 3, 1),
    "dw": (4, 3, 2),
    "fc": (9, 4, 8),
    "add": (0, 2, 11),
    "mul": (18, 2, 21),
    "max_pool": (17, 2, 5),
    "avg_pool": (1, 2, 5),
    "concat": (2, 2, 10),
    "pad": (34, 2, 22),
    "reshape": (22, 1, 17),
    "softmax": (25, 2, 9),
    "logistic": (14, 2, 0),
    "relu": (19, 2, 0),
    "sub": (41, 2, 28),
    "leaky_relu": (98, 2, 75),
    "hard_swish": (117, 1, 0),
    "tanh": (28, 2, 0),
    "elu": (111, 1, 0),
    "requantize": (114, 2, 0),
    "slice": (65, 2, 0),
    "transpose": (39, 2, 0),
    "resize_nearest": (97, 2, 74),
    "resize_linear": (23, 3, 15),
    "crop": (65, 2, 0),
    "transpose_conv": (67, 3, 49),
}
"""Of each kernel: the operator, its version, and the type of its options (0: it has none)."""

_WITH_OPTIONS = frozenset(operator for operator, _, options in OPERATORS.values() if options)
RELU6_OPERATOR = 21
GROUPED_CONV_VERSION = 6  # the first whose filters may read fewer channels than there are
PACKED_VERSION = 7  # of both convolutions the first whose filters may have 4 bits
FUSED: dict[Fused, int] = {"none": 0, "relu": 1, "relu6": 3}  # a clip is a range, not an activation

# Tables: slots and codes of the fields that are written, in the order in which nodes give the values.
MODEL = layout((0, "I"), (1, "O"), (2, "O"), (4, "O"))  # version, operator codes, subgraphs, buffers
SUBGRAPH = layout((0, "O"), (1, "O"), (2, "O"), (3, "O"))  # tensors, inputs, outputs, operators
OPERATOR = layout((0, "I"), (1, "O"), (2, "O"), (3, "b"), (4, "O"))  # code, inputs, outputs, options type, options
FIRST_OPERATOR = layout((1, "O"), (2, "O"), (3, "b"), (4, "O"))  # of code 0, the default
BARE_OPERATOR = layout((0, "I"), (1, "O"), (2, "O"))
ACTIVATION = layout((0, "O"), (1, "b"), (4, "O"))  # shape, type, quantization; buffer 0, the empty one, is the default
CONSTANT = layout((0, "O"), (1, "b"), (2, "I"), (4, "O"))  # shape, type, buffer, quantization
PLAIN_CONSTANT = layout((0, "O"), (1, "b"), (2, "I"))
QUANTIZATION = layout((2, "O"), (3, "O"))  # scales, zero points; several belong to axis 0
LAST_AXIS_QUANTIZATION = layout((2, "O"), (3, "O"), (6, "i"))
RESHAPE_OPTIONS = layout((0, "O"))
EMPTY = layout()

_CODE = ((0, "b"), (2, "i"), (3, "i"))  # the operator in its old one-byte field, version, operator
_CONV = ((0, "b"), (1, "i"), (2, "i"), (3, "b"), (4, "i"), (5, "i"))  # padding, strides, activation, dilations
_DW = ((0, "b"), (1, "i"), (2, "i"), (3, "i"), (4, "b"), (5, "i"), (6, "i"))  # the same with a multiplier
_TRANSPOSE_CONV = ((0, "b"), (1, "i"), (2, "i"))  # padding, strides
_POOL = ((0, "b"), (1, "i"), (2, "i"), (3, "i"), (4, "i"), (5, "b"))  # padding, strides, window, activation
_CONCAT = ((0, "i"), (1, "b"))  # axis, activation
_CLAMP = ((0, "b"),)  # activation
_SOFTMAX = ((0, "f"),)  # beta
_LEAKY = ((0, "f"),)  # slope
_LINEAR = ((3, "b"),)  # half-pixel centres


def operator_of(
    kind: CallKind, fused: Fused, weight_shape: tuple[int, ...], channels: int, weight_bits: int = 8
) -> tuple[int, int]:
    """The operator of a call and its version; `channels` is the last axis of what the call reads first."""
    operator, version, _ = OPERATORS[kind]
    if weight_bits < 8:
        version = PACKED_VERSION
    elif kind == "conv" and weight_shape[3] != channels:
        version = GROUPED_CONV_VERSION
    elif kind == "relu" and fused == "relu6":
        operator = RELU6_OPERATOR
    return operator, version


def has_options(code: tuple[int, int]) -> bool:
    """Whether calls of an operator carry a table of options."""
    return code[0] in _WITH_OPTIONS


@cache
def code(operator: int, version: int) -> Node:
    """The table that lists an operator of the file."""
    return scalars(_CODE, (operator, version, operator), (0, 1, 0))


@cache
def options_of(
    kind: CallKind,
    fused: Fused,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    same: bool,
    multiplier: int,
    slope: float = 0.0,
) -> Node:
    """The options of a call; a reshape's hold a vector and are made elsewhere."""
    (height, width), valid, clamp = stride, int(not same), FUSED[fused]
    if kind == "conv":
        return scalars(_CONV, (valid, width, height, clamp, dilation[1], dilation[0]), (0, 0, 0, 0, 1, 1))
    if kind == "dw":
        values = valid, width, height, multiplier, clamp, dilation[1], dilation[0]
        return scalars(_DW, values, (0, 0, 0, 0, 0, 1, 1))
    if kind == "transpose_conv":
        return scalars(_TRANSPOSE_CONV, (valid, width, height), (0, 0, 0))
    if kind in ("max_pool", "avg_pool"):
        return scalars(_POOL, (valid, width, height, kernel[1], kernel[0], clamp), (0,) * 6)
    if kind == "concat":
        return scalars(_CONCAT, (-1, clamp), (0, 0))
    if kind in ("fc", "add", "sub", "mul"):
        return scalars(_CLAMP, (clamp,), (0,))
    if kind == "softmax":
        return scalars(_SOFTMAX, (1.0,), (0.0,))
    if kind == "leaky_relu":
        return scalars(_LEAKY, (slope,), (0.0,))
    if kind == "resize_linear":
        return scalars(_LINEAR, (1,), (0,))
    return (EMPTY,)


Constant = tuple[tuple[int, ...], tuple[int, ...]]
"""Shape and values of an int32 tensor."""


WITH_SETTINGS = frozenset(
    {"pad", "slice", "transpose", "resize_nearest", "resize_linear", "crop", "transpose_conv"}
)  # fmt: skip


def settings_of(call: Call, source: tuple[int, ...], output: tuple[int, ...]) -> tuple[Constant, ...]:
    """What a call takes as constant tensors behind its first input; `source` and `output` are shapes without batch.

    A transposed convolution takes the shape of its output before all else.
    """
    if call.kind == "pad":
        top, left, bottom, right = call.pads
        return (((4, 2), (0, 0, top, bottom, left, right, 0, 0)),)
    if call.kind == "transpose_conv":
        return (((4,), (1, *output)),)
    if call.kind == "crop":
        return ((4,), (0, *call.pads[:2], 0)), ((4,), (1, *output))
    rank = len(source) + 1
    if call.kind == "slice":
        return ((rank,), (*[0] * (rank - 1), call.start)), ((rank,), (1, *output))
    if call.kind == "transpose":
        return (((4,), (0, 1, 3, 2)),)
    if call.kind in ("resize_nearest", "resize_linear"):
        return (((2,), output[:2]),)
    return ()
