"""ONNX nodes that slide a window over a map or a series, or change its sides: what each means in a `Graph`.

Names and meanings are those of the ONNX operator documentation, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from search_spaces import onnx_views
from search_spaces.graph import Op, Shape
from search_spaces.onnx_draft import Draft, Node, View
from search_spaces.ops import window_size

Pair = tuple[int, int]
SERIES = (0, 2)
"""The axes of a view of a map of height 1 as channels x length."""

UPRIGHT = (0, 2, 1)
"""The axes of a view of such a map as channels x length x 1."""


def _pair(values: object, node: Node, what: str) -> Pair:
    """(height, width) of a setting; one over time alone has height 1."""
    found = tuple(int(v) for v in np.atleast_1d(np.asarray(values)))
    if len(found) > 2:
        node.refuse(f"only 1-D and 2-D windows are supported, got {what} {list(found)}")
    return (found[0], found[1]) if len(found) == 2 else (1, found[0])


def _pads(node: Node, shape: Shape, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) from `pads` or `auto_pad`, never negative."""
    mode = node.attrs.get("auto_pad", b"NOTSET").decode()
    if mode in ("NOTSET", "VALID"):
        pads = node.attrs.get("pads", (0, 0, 0, 0)) if mode == "NOTSET" else (0, 0, 0, 0)
        pads = (0, pads[0], 0, pads[1]) if len(pads) == 2 else pads
        top, left, bottom, right = (int(p) for p in pads)
        if min(top, left, bottom, right) < 0:
            node.refuse(f"pads must not be negative, got {list(pads)}")
        return top, left, bottom, right
    low, high = [], []
    for size, k, step, gap in zip(shape[1:], kernel, stride, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + gap * (k - 1) + 1 - size, 0)
        small, large = total // 2, total - total // 2
        low.append(small if mode == "SAME_UPPER" else large)
        high.append(large if mode == "SAME_UPPER" else small)
    return low[0], low[1], high[0], high[1]


def of_map(draft: Draft, node: Node) -> tuple[View, Shape]:
    """The first input and its shape, channels x height x width; a series, channels x length, has height 1."""
    view = draft.view(node)
    shape = draft.shapes[view.tensor]
    if view.order != SERIES or shape[1:2] != (1,):
        draft.plain(node)
        if len(shape) != 3:
            node.refuse(f"only N x C x H x W and N x C x length are supported, got {len(shape)} axes after N: {shape}")
    return view, shape


def conv(draft: Draft, node: Node) -> None:
    """Conv over height and width, or over time; a missing bias is zero."""
    weight, window = _filters(draft, node)
    pads = _pads(node, of_map(draft, node)[1], **window)
    _convolution(draft, node, "conv", weight, pads=pads, groups=int(node.attrs.get("group", 1)), **window)


def conv_transpose(draft: Draft, node: Node) -> None:
    """ConvTranspose over height and width, or over time; ONNX gives its weights as `I x O/groups x KH x KW`."""
    weight, window = _filters(draft, node)
    groups = int(node.attrs.get("group", 1))
    extra = tuple(node.attrs.get("output_padding", (0, 0)))
    extra = extra if len(extra) == 2 else (0, *extra)
    rest = {"pads": _crops(node, of_map(draft, node)[1], extra, **window), "output_padding": extra, "groups": groups}
    _convolution(draft, node, "conv_transpose", by_filter(weight, groups), **rest, **window)


def _filters(draft: Draft, node: Node) -> tuple[np.ndarray, dict[str, Pair]]:
    """The weights with both spatial axes, and the kernel, stride and dilation."""
    weight = draft.constant(node, 1, "weight")
    if weight.ndim not in (3, 4):
        node.refuse(f"only 1-D and 2-D convolutions are supported, got {weight.ndim - 2}-D")
    view, _ = of_map(draft, node)
    if (weight.ndim == 3) != (len(view.order) == 2):
        node.refuse(f"its weights have {weight.ndim - 2} spatial axes, its input {draft.sides(view)} has others")
    weight = weight[:, :, None] if weight.ndim == 3 else weight
    ones = (1,) * (len(view.order) - 1)
    window = {"kernel": _pair(weight.shape[2:], node, "kernel")}
    window["stride"] = _pair(node.attrs.get("strides", ones), node, "strides")
    window["dilation"] = _pair(node.attrs.get("dilations", ones), node, "dilations")
    return weight, window


def _convolution(draft: Draft, node: Node, kind: str, weight: np.ndarray, **attrs: Any) -> None:
    bias = draft.constant(node, 2, "bias") if draft.has(node, 2) else np.zeros(len(weight))
    view, _ = of_map(draft, node)
    draft.emit_like(node, view, kind, weight=weight, bias=bias, out_channels=len(weight), **attrs)


def by_filter(weight: np.ndarray, groups: int) -> np.ndarray:
    """`I x O/groups x taps` as `O x I/groups x taps`, or the other way round."""
    parts = weight.reshape(groups, -1, *weight.shape[1:])
    return parts.swapaxes(1, 2).reshape(-1, parts.shape[1], *weight.shape[2:])


def _crops(
    node: Node, shape: Shape, extra: Pair, kernel: Pair, stride: Pair, dilation: Pair
) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) that a transposed convolution cuts off, from `pads`, `auto_pad` or `output_shape`."""
    mode = node.attrs.get("auto_pad", b"NOTSET").decode()
    wanted = node.attrs.get("output_shape")
    if wanted is None and not mode.startswith("SAME"):
        return _pads(node, shape, kernel, stride)
    wanted = tuple(wanted or (side * step for side, step in zip(shape[1:], stride, strict=True)))[-2:]
    wanted = wanted if len(wanted) == 2 else (1, *wanted)
    low, high = [], []
    for size, step, k, gap, more, side in zip(shape[1:], stride, kernel, dilation, extra, wanted, strict=True):
        total = step * (size - 1) + more + gap * (k - 1) + 1 - side
        if total < 0:
            node.refuse(f"it cannot make {list(wanted)} of {shape[1:]}; give output_padding")
        small, large = total // 2, total - total // 2
        low.append(small if mode == "SAME_UPPER" else large)
        high.append(large if mode == "SAME_UPPER" else small)
    return low[0], low[1], high[0], high[1]


def pool(draft: Draft, node: Node) -> None:
    """MaxPool and AveragePool; the padding of an average pool is not counted."""
    if draft.view(node).order == UPRIGHT and draft.shapes[draft.view(node).tensor][1:2] == (1,):
        return _upright_pool(draft, node)
    view, shape = of_map(draft, node)
    kernel = _pair(node.attrs["kernel_shape"], node, "kernel")
    stride = _pair(node.attrs.get("strides", (1,) * (len(view.order) - 1)), node, "strides")
    if set(node.attrs.get("dilations", (1, 1))) != {1}:
        node.refuse("a dilated pool has no rule; use dilation 1")
    if len(node.outputs) > 1 and node.outputs[1]:
        node.refuse("the indices of a max pool have no rule; use its values only")
    pads = _pads(node, shape, kernel, stride)
    counted = node.kind == "AveragePool" and node.attrs.get("count_include_pad", 0) and any(pads)
    if node.attrs.get("ceil_mode", 0):
        more = [_last_window(*side) for side in zip(shape[1:], kernel, stride, pads[:2], pads[2:], strict=True)]
        if counted and any(more):
            node.refuse("ceil_mode with padding that is counted has no rule; use one of the two")
        pads = (*pads[:2], pads[2] + more[0], pads[3] + more[1])
    if counted:
        sides = (shape[0], shape[1] + pads[0] + pads[2], shape[2] + pads[1] + pads[3])
        padded = Op.make(draft.fresh(f"{node.outputs[0]}.padded"), "pad", view.tensor, pads=pads)
        view, pads = replace(view, tensor=draft.append(padded, sides)), (0, 0, 0, 0)
    kind = "max_pool" if node.kind == "MaxPool" else "avg_pool"
    draft.emit_like(node, view, kind, kernel=kernel, stride=stride, pads=pads)


def _upright_pool(draft: Draft, node: Node) -> None:
    """A pool over a series that stands upright, as tf2onnx writes Keras' 1-D pools: its windows are laid down."""
    (name, *_), (output, *_) = node.inputs, node.outputs
    lying = f"{name}.lying"
    draft.views[lying] = replace(draft.views[name], order=(0, 1, 2))
    attrs = {key: value[::-1] if key in ("kernel_shape", "strides") else value for key, value in node.attrs.items()}
    if "pads" in attrs:
        top, left, bottom, right = attrs["pads"]
        attrs["pads"] = [left, top, right, bottom]
    pool(draft, replace(node, inputs=(lying, *node.inputs[1:]), attrs=attrs))
    draft.views[output] = replace(draft.views[output], order=UPRIGHT)


def _last_window(size: int, kernel: int, stride: int, low: int, high: int) -> int:
    """Padding at the end that makes room for the window that begins inside and ends outside (ceil_mode)."""
    rest = (size + low + high - kernel) % stride
    begins = (window_size(size, kernel, stride, low, high)) * stride - low
    return stride - rest if rest and begins < size else 0


def global_pool(draft: Draft, node: Node) -> None:
    """GlobalAveragePool, and GlobalMaxPool as a max pool of the map's size."""
    view, shape = of_map(draft, node)
    if node.kind == "GlobalAveragePool":
        draft.emit_like(node, view, "global_avg_pool")
    else:
        draft.emit_like(node, view, "max_pool", kernel=shape[1:], stride=(1, 1), pads=(0, 0, 0, 0))


def reduce_mean(draft: Draft, node: Node) -> None:
    """ReduceMean over height and width, or time: a global average pool, flattened if the axes are dropped."""
    view = draft.view(node)
    shape = draft.shapes[view.tensor]
    rank = len(view.order) + 1
    axes = {int(axis) % rank for axis in draft.setting(node, "axes", 1, ())}
    meant = {view.order[axis - 1] for axis in axes if axis}
    meant |= {axis for axis, side in enumerate(shape) if side == 1 and axis not in view.order}
    if len(shape) != 3 or rank < 3 or 0 in axes or meant != {1, 2}:
        node.refuse(f"only a mean over height and width is supported, got axes {sorted(axes)} of {draft.sides(view)}")
    name = node.outputs[0]
    keeps = bool(node.attrs.get("keepdims", 1))
    pooled = draft.add(name if keeps else f"{name}.pool", "global_avg_pool", view.tensor)
    if keeps:
        draft.alias(node, View(pooled, view.order))
    else:
        onnx_views.change_sides(draft, node, View(pooled, view.order), shape[:1])


def pad(draft: Draft, node: Node) -> None:
    """A `pad`, which the convolution behind it may take over."""
    view, _ = of_map(draft, node)
    mode = node.attrs.get("mode", b"constant").decode()
    value = float(np.asarray(draft.setting(node, "value", 2, 0.0)))
    if mode != "constant" or value != 0:
        node.refuse(f"only padding with zeros is supported, got {mode} padding with {value:g}")
    rank = len(view.order) + 1
    given = [int(side) for side in draft.setting(node, "pads", 1, (0,) * (2 * rank))]
    axes = [int(axis) % rank for axis in draft.setting(node, "axes", 3, range(rank))]
    amounts = dict.fromkeys(range(-1, 3), (0, 0))  # by axis of the graph tensor, -1 the batch
    for axis, low, high in zip(axes, given[: len(axes)], given[len(axes) :], strict=True):
        amounts[view.order[axis - 1] if axis else -1] = (low, high)
    if any(amounts[-1]) or any(amounts[0]) or min(given) < 0:
        node.refuse(f"only height and width can be padded, and not cropped, got pads {given}")
    if not any(given):
        return draft.alias(node, view)
    (top, bottom), (left, right) = amounts[1], amounts[2]
    return draft.emit_like(node, view, "pad", pads=(top, left, bottom, right))


def resize(draft: Draft, node: Node) -> None:
    """Resize and Upsample to a whole multiple: nearest, or linear by half pixels."""
    view, shape = of_map(draft, node)
    old = node.kind == "Upsample" or len(node.inputs) == 2  # before opset 11: data, scales
    if not old and draft.has(node, 3):
        target = [int(side) for side in draft.constant(node, 3, "sizes")][2:]
        target = target if len(view.order) == 3 else [1, *target]
        factor = [side / before for side, before in zip(target, shape[1:], strict=True)]
    else:
        scales = draft.setting(node, "scales", 1 if old else 2, ())
        factor = list(scales)[2:] if len(view.order) == 3 else [1.0, *list(scales)[2:]]
    if len(factor) != 2 or any(f != int(f) or f < 1 for f in factor):
        node.refuse(f"maps can grow by whole factors only, got {factor}; choose another size")
    mode = node.attrs.get("mode", b"nearest").decode()
    place = node.attrs.get("coordinate_transformation_mode", b"asymmetric" if old else b"half_pixel").decode()
    rounding = node.attrs.get("nearest_mode", b"floor" if old else b"round_prefer_floor").decode()
    repeats = {
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_floor"),
        ("pytorch_half_pixel", "round_prefer_floor"),
    }
    if not (
        (mode == "nearest" and (place, rounding) in repeats)
        or (mode == "linear" and place in ("half_pixel", "pytorch_half_pixel") and min(shape[1:]) > 1)
    ):
        node.refuse(f"only repeated pixels or linear by half pixels are supported, got {mode}, {place}, {rounding}")
    draft.emit_like(node, view, "resize", factor=(int(factor[0]), int(factor[1])), mode=mode)
