"""Operators of kind `onnx` in torch: nodes kept as they are, with gradients to their inputs and their constants.

Meanings are those of https://onnx.ai/onnx/operators/ at the opset that `search_spaces.to_onnx` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.graph import Op
from search_spaces.onnx_draft import BATCH, counts_batch

Given = dict[int, Any]
"""A node's inputs by place: tensors where they are computed, learned or tables, lists where they are fixed."""

Settings = Mapping[str, Any]
Forward = Callable[[Given, Settings], Tensor]


class Kept(nn.Module):
    """The operator with its learned constants as parameters `c<place>`."""

    def __init__(self, op: Op, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.op = op
        for role, *_ in op["learned"]:
            self.register_parameter(role, nn.Parameter(torch.tensor(weights[f"{op.name}.{role}"], dtype=torch.float32)))

    def forward(self, *inputs: Tensor) -> Tensor:
        return run(self.op, inputs, {role: getattr(self, role) for role, *_ in self.op["learned"]})

    def folded(self) -> dict[str, np.ndarray]:
        """The learned constants by role."""
        return {role: value.detach().cpu().numpy().copy() for role, value in self.named_parameters()}


def run_of(op: Op, weights: Mapping[str, np.ndarray]) -> Callable[..., Tensor]:
    """The operator with these weights, nothing of it to be learned."""
    learned = {role: torch.tensor(weights[f"{op.name}.{role}"]) for role, *_ in op["learned"]}
    return lambda *inputs: run(op, inputs, learned)


def run(op: Op, inputs: tuple[Tensor, ...], learned: Mapping[str, Tensor]) -> Tensor:
    """The operator's output; the batch may be any size."""
    axis, times = op["batch"]
    count = inputs[0].shape[axis] // times
    given: Given = dict(zip(op["places"], inputs, strict=True))
    for place, shape, values in op["fixed"]:
        numbers = [value // BATCH * count if counts_batch(value) else value for value in values]
        if len(shape) > 1:
            given[place] = torch.tensor(numbers, device=inputs[0].device).reshape(shape)
        else:
            given[place] = numbers if shape else numbers[0]
    for role, place, shape, repeated in op["learned"]:
        constant = learned[role]
        if repeated >= 0:
            constant = constant.expand(*(count if k == repeated else side for k, side in enumerate(shape)))
        given[place] = constant
    return FORWARD[op["operator"]](given, dict(op["settings"]))


def _tensor(value: Any, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=like.dtype, device=like.device)


def _two(function: Callable[[Tensor, Tensor], Tensor]) -> Forward:
    def forward(given: Given, settings: Settings) -> Tensor:
        like = next(value for value in given.values() if isinstance(value, Tensor))
        return function(_tensor(given[0], like), _tensor(given[1], like))

    return forward


def _one(function: Callable[[Tensor], Tensor]) -> Forward:
    return lambda given, settings: function(given[0])


def _reduced(function: Callable[..., Tensor]) -> Forward:
    def forward(given: Given, settings: Settings) -> Tensor:
        axes = settings.get("axes", given.get(1)) or range(given[0].ndim)
        return function(given[0], tuple(axes), bool(settings.get("keepdims", 1)))

    return forward


def _reshape(given: Given, settings: Settings) -> Tensor:
    x, sides = given[0], list(given[1])
    if not settings.get("allowzero", 0):
        sides = [x.shape[k] if side == 0 else side for k, side in enumerate(sides)]
    return x.reshape(sides)


def _slice(given: Given, settings: Settings) -> Tensor:
    x, starts, stops = given[0], given[1], given[2]
    axes, steps = given.get(3, range(len(starts))), given.get(4, [1] * len(starts))
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        chosen = range(x.shape[axis])[slice(start, stop, step)]
        if step > 0:
            window: list[Any] = [slice(None)] * x.ndim
            window[axis] = slice(chosen.start, chosen.stop, step)
            x = x[tuple(window)]
        else:
            x = x.index_select(axis, torch.tensor(list(chosen), device=x.device))
    return x


def _gather(given: Given, settings: Settings) -> Tensor:
    x, axis = given[0], int(settings.get("axis", 0)) % given[0].ndim
    places = torch.as_tensor(given[1], device=x.device)
    chosen = x.index_select(axis, places.flatten() % x.shape[axis])
    return chosen.reshape(*x.shape[:axis], *places.shape, *x.shape[axis:][1:])


def _squeeze(given: Given, settings: Settings) -> Tensor:
    x = given[0]
    return x.squeeze(tuple(given[1])) if 1 in given else x.squeeze()


def _unsqueeze(given: Given, settings: Settings) -> Tensor:
    x, rank = given[0], given[0].ndim + len(given[1])
    for axis in sorted(axis % rank for axis in given[1]):
        x = x.unsqueeze(axis)
    return x


def _pad(given: Given, settings: Settings) -> Tensor:
    x = given[0]
    axes = given.get(3, range(x.ndim))
    low, high = [0] * x.ndim, [0] * x.ndim
    for k, axis in enumerate(axes):
        low[axis], high[axis] = given[1][k], given[1][len(axes) + k]
    mode = settings.get("mode", "constant")
    first = next((k for k in range(x.ndim) if low[k] or high[k]), x.ndim)
    amounts = [side for k in range(x.ndim - 1, first - 1, -1) for side in (low[k], high[k])]
    if mode == "constant":
        return F.pad(x, amounts, value=float(given.get(2) or 0.0))
    return F.pad(x, amounts, mode={"reflect": "reflect", "edge": "replicate"}[mode])


def _windows(given: Given, settings: Settings, rank: int) -> tuple[Tensor, tuple[int, ...], tuple[int, ...]]:
    """Input with uneven padding done, and the even padding and strides that are left."""
    x, pads = given[0], settings.get("pads", (0,) * (2 * rank))
    if settings.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise NotImplementedError("auto_pad of a kept node")
    low, high = pads[:rank], pads[rank:]
    strides = tuple(settings.get("strides", (1,) * rank))
    if low == high:
        return x, tuple(low), strides
    amounts = [side for k in range(rank - 1, -1, -1) for side in (low[k], high[k])]
    return F.pad(x, amounts), (0,) * rank, strides


def _conv(given: Given, settings: Settings) -> Tensor:
    rank = given[1].ndim - 2
    x, padding, strides = _windows(given, settings, rank)
    dilation = tuple(settings.get("dilations", (1,) * rank))
    function = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    return function(x, given[1], given.get(2), strides, padding, dilation, settings.get("group", 1))


def _conv_transpose(given: Given, settings: Settings) -> Tensor:
    rank = given[1].ndim - 2
    pads = settings.get("pads", (0,) * (2 * rank))
    if pads[:rank] != pads[rank:] or "output_shape" in settings:
        raise NotImplementedError("uneven padding of a transposed convolution")
    strides, dilation = settings.get("strides", (1,) * rank), settings.get("dilations", (1,) * rank)
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    extra = tuple(settings.get("output_padding", (0,) * rank))
    group = settings.get("group", 1)
    return function(given[0], given[1], given.get(2), tuple(strides), tuple(pads[:rank]), extra, group, tuple(dilation))


def _pool(function: Callable[..., Tensor], given: Given, settings: Settings) -> Tensor:
    rank = len(settings["kernel_shape"])
    low, high = (settings.get("pads", (0,) * (2 * rank))[k * rank : (k + 1) * rank] for k in (0, 1))
    if low != high or rank != 2:
        raise NotImplementedError("uneven padding of a kept pool")
    strides = tuple(settings.get("strides", (1,) * rank))
    return function(
        given[0], tuple(settings["kernel_shape"]), strides, tuple(low), ceil_mode=bool(settings.get("ceil_mode", 0)),
        **({"count_include_pad": bool(settings.get("count_include_pad", 0))} if function is F.avg_pool2d else {}),
    )  # fmt: skip


def _gemm(given: Given, settings: Settings) -> Tensor:
    a, b = given[0], given[1]
    a = a.T if settings.get("transA", 0) else a
    b = b.T if settings.get("transB", 0) else b
    y = settings.get("alpha", 1.0) * (a @ b)
    return y + settings.get("beta", 1.0) * given[2] if 2 in given else y


def _layer_norm(given: Given, settings: Settings) -> Tensor:
    x = given[0]
    axis = settings.get("axis", -1) % x.ndim
    normed = F.layer_norm(x, x.shape[axis:], eps=settings.get("epsilon", 1e-5)) * given[1]
    return normed + given[2] if 2 in given else normed


def _resize(given: Given, settings: Settings) -> Tensor:
    x = given[0]
    size = given[3] if 3 in given else [round(side * scale) for side, scale in zip(x.shape, given[2], strict=True)]
    mode, place = settings.get("mode", "nearest"), settings.get("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest" and place == "asymmetric" and settings.get("nearest_mode") == "floor":
        return F.interpolate(x, size[2:])
    if mode == "linear" and place in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        return F.interpolate(x, size[2:], mode="bilinear", align_corners=place == "align_corners")
    if mode == "cubic" and place in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        return F.interpolate(x, size[2:], mode="bicubic", align_corners=place == "align_corners")
    raise NotImplementedError(f"Resize by {mode}, {place}")


def _blocks(given: Given, settings: Settings) -> Tensor:
    """DepthToSpace."""
    x, side = given[0], settings["blocksize"]
    if settings.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, side)
    n, c, h, w = x.shape
    apart = x.reshape(n, side, side, c // side**2, h, w)
    return apart.permute(0, 3, 4, 1, 5, 2).reshape(n, c // side**2, h * side, w * side)


def _depth(given: Given, settings: Settings) -> Tensor:
    """SpaceToDepth."""
    x, side = given[0], settings["blocksize"]
    n, c, h, w = x.shape
    apart = x.reshape(n, c, h // side, side, w // side, side)
    return apart.permute(0, 3, 5, 1, 2, 4).reshape(n, c * side**2, h // side, w // side)


def _flatten(given: Given, settings: Settings) -> Tensor:
    x, axis = given[0], settings.get("axis", 1)
    return x.reshape(prod(x.shape[:axis]), -1)


def _many(given: Given) -> list[Tensor]:
    like = next(value for value in given.values() if isinstance(value, Tensor))
    return [_tensor(given[place], like) for place in sorted(given)]


def _extreme(function: Callable[[Tensor, Tensor], Tensor]) -> Forward:
    def forward(given: Given, settings: Settings) -> Tensor:
        first, *others = _many(given)
        for other in others:
            first = function(first, other)
        return first

    return forward


FORWARD: dict[str, Forward] = {
    "Abs": _one(torch.abs),
    "Add": _two(torch.add),
    "AveragePool": partial(_pool, F.avg_pool2d),
    "Clip": lambda given, settings: given[0].clamp(given.get(1), given.get(2)),
    "Concat": lambda given, settings: torch.cat(_many(given), settings["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _blocks,
    "Div": _two(torch.div),
    "Einsum": lambda given, settings: torch.einsum(settings["equation"], *_many(given)),
    "Erf": _one(torch.erf),
    "Exp": _one(torch.exp),
    "Expand": lambda given, settings: given[0] + torch.zeros(given[1], device=given[0].device),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda given, settings: given[0].mean(tuple(range(2, given[0].ndim)), keepdim=True),
    "HardSigmoid": lambda given, settings: (settings.get("alpha", 0.2) * given[0] + settings.get("beta", 0.5)).clamp(
        0, 1
    ),
    "HardSwish": _one(F.hardswish),
    "InstanceNormalization": lambda given, settings: F.instance_norm(
        given[0], weight=given[1], bias=given[2], eps=settings.get("epsilon", 1e-5)
    ),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda given, settings: F.leaky_relu(given[0], settings.get("alpha", 0.01)),
    "Log": _one(torch.log),
    "MatMul": _two(torch.matmul),
    "Max": _extreme(torch.maximum),
    "MaxPool": partial(_pool, F.max_pool2d),
    "Min": _extreme(torch.minimum),
    "Mul": _two(torch.mul),
    "Neg": _one(torch.neg),
    "PRelu": _two(lambda x, slope: torch.where(x < 0, slope * x, x)),
    "Pad": _pad,
    "Pow": _two(torch.pow),
    "Reciprocal": _one(torch.reciprocal),
    "ReduceL2": _reduced(lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep)),
    "ReduceMax": _reduced(lambda x, axes, keep: torch.amax(x, axes, keepdim=keep)),
    "ReduceMean": _reduced(lambda x, axes, keep: torch.mean(x, axes, keepdim=keep)),
    "ReduceSum": _reduced(lambda x, axes, keep: torch.sum(x, axes, keepdim=keep)),
    "Relu": _one(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Selu": _one(F.selu),
    "Sigmoid": _one(torch.sigmoid),
    "Slice": _slice,
    "Softmax": lambda given, settings: torch.softmax(given[0], settings.get("axis", -1)),
    "SpaceToDepth": _depth,
    "Sqrt": _one(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _two(torch.sub),
    "Tanh": _one(torch.tanh),
    "Tile": lambda given, settings: given[0].repeat(given[1]),
    "Transpose": lambda given, settings: given[0].permute(settings["perm"]),
    "Unsqueeze": _unsqueeze,
}
