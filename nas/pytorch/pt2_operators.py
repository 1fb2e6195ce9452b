"""The operators that a program of `torch.export.save` may call; a file can ask for nothing else.

All of them compute with tensors or their sizes alone: none opens a file, draws random numbers, or makes a tensor from
a size that stands in the file.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nas.pytorch.pt2_archive import ADVICE
from search_spaces.errors import ModelError

MOST_PARTS = 4096
"""Of one tensor."""

OPERATORS = frozenset(
    {
        *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d"),
        *("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "convolution", "linear"),
        *("addmm", "baddbmm", "bmm", "einsum", "matmul", "mm", "scaled_dot_product_attention"),
        *("batch_norm", "group_norm", "instance_norm", "layer_norm", "native_layer_norm"),
        *("celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "prelu", "relu"),
        *("relu6", "selu", "sigmoid", "silu", "softplus", "tanh", "log_softmax", "softmax", "_log_softmax"),
        *("abs", "add", "clamp", "clamp_max", "clamp_min", "div", "erf", "exp", "log", "maximum", "mean", "minimum"),
        *("mul", "neg", "pow", "reciprocal", "rsqrt", "rsub", "sqrt", "sub", "sum"),
        *("cat", "constant_pad_nd", "flatten", "narrow", "pad", "permute", "pixel_shuffle", "pixel_unshuffle"),
        *("select", "slice", "split_with_sizes", "squeeze", "stack", "t", "transpose", "unflatten"),
        *("unsqueeze", "upsample_bilinear2d", "upsample_nearest1d", "upsample_nearest2d"),
        *("alias", "clone", "contiguous", "detach", "dropout", "feature_dropout", "lift_fresh"),
    }
)
"""Of torch.ops.aten, each overload that takes tensors, also with `_` behind for the form that works in place."""

_ATEN = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")


def find(target: str) -> Callable[..., Any]:
    """The call behind a node's target, which takes its arguments by name.

    Raises:
        ModelError: it is none of those known here.
    """
    if target in ARITHMETIC:
        return ARITHMETIC[target]
    match = _ATEN.fullmatch(target)
    name, overload = match.groups() if match else ("", "")
    if f"{name}.{overload}" in REPLACED:
        return REPLACED[f"{name}.{overload}"]
    if (name not in OPERATORS and name.removesuffix("_") not in OPERATORS) or "out" in overload:
        raise ModelError(f"operator {target} has no rule here; {ADVICE}")
    packet = getattr(torch.ops.aten, name, None)
    if packet is None or overload not in packet.overloads():
        raise ModelError(f"operator {target} is not in torch {torch.__version__}; {ADVICE}")
    found: Callable[..., Any] = getattr(packet, overload)
    return found


def _positional(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **sizes: call(*sizes.values())


def _chunk(self: Tensor, chunks: int, dim: int = 0) -> Any:
    _check_parts(chunks)
    return self.chunk(chunks, dim)


def _split(self: Tensor, split_size: int, dim: int = 0) -> Any:
    _check_parts(self.shape[dim] / split_size)
    return self.split(split_size, dim)


def _unbind(self: Tensor, dim: int = 0) -> Any:
    _check_parts(self.shape[dim])
    return self.unbind(dim)


def _check_parts(count: float) -> None:
    if count > MOST_PARTS:
        raise ModelError(f"a tensor may be cut into {MOST_PARTS} parts, got {count:.0f}")


def _squeeze(self: Tensor, dim: list[int]) -> Tensor:
    for axis in sorted((axis % self.ndim for axis in dim), reverse=True):
        self = self.squeeze(axis)
    return self


ARITHMETIC: dict[str, Callable[..., Any]] = {
    f"_operator.{name}": _positional(getattr(operator, name))
    for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "eq", "ne", "le", "ge", "lt", "gt")
}
"""Between sizes."""


REPLACED: dict[str, Callable[..., Any]] = {
    # Sizes stay traced through methods, where the operators would take them as the numbers they are for the example.
    "sym_size.int": lambda self, dim: self.size(dim),
    "view.default": lambda self, size: self.reshape(size),
    "reshape.default": lambda self, shape: self.reshape(shape),
    "expand.default": lambda self, size, implicit=False: self.expand(size),
    "repeat.default": lambda self, repeats: self.repeat(repeats),
    # Bounded, since every part is an object.
    "chunk.default": _chunk,
    "split.Tensor": _split,
    "unbind.int": _unbind,
    # Without an ONNX form of their own.
    "_unsafe_view.default": lambda self, size: self.reshape(size),
    "squeeze.dims": _squeeze,
    "lift_fresh_copy.default": lambda self: self.clone(),
    "_to_copy.default": lambda self, dtype=None, **_: self.to(dtype or self.dtype, copy=True),
    "to.dtype": lambda self, dtype, **_: self.to(dtype),
    "_adaptive_avg_pool2d.default": lambda self, output_size: functional.adaptive_avg_pool2d(self, output_size),
    "_softmax.default": lambda self, dim, half_to_float: self.softmax(dim),
    "_prelu_kernel.default": lambda self, weight: functional.prelu(self, weight.flatten()),
    "_native_batch_norm_legit_no_training.default": lambda input, running_mean, running_var, weight, bias, eps, **_: (
        functional.batch_norm(input, running_mean, running_var, weight, bias, eps=eps),
    ),
    "max_pool2d_with_indices.default": lambda self, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False: (
        functional.max_pool2d(self, kernel_size, stride, padding, dilation, ceil_mode),
    ),
    "native_group_norm.default": lambda input, weight, bias, group, eps, **_: (
        functional.group_norm(input, group, weight, bias, eps),
    ),
}
"""Operators of torch.ops.aten that are called in another form, which computes the same."""
