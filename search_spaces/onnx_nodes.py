"""One rule an ONNX operator: what a node means in a `Graph`. A rule that does not hold refuses the node by name.

Names and meanings are those of the ONNX operator documentation, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from search_spaces import onnx_activations, onnx_norms, onnx_views, onnx_windows
from search_spaces import onnx_functions as functions
from search_spaces.onnx_draft import Draft, Node, View

Rule = Callable[[Draft, Node], None]

_FLOW = "data-dependent control flow has no rule; export the path that is taken, with fixed shapes"
_RECURRENT = "recurrent operators have no rule; use convolutions over time instead"
_ACTIVATION = "this activation has no rule; retrain with ReLU or ReLU6 in its place"
_QUANTIZED = "integer operators have no rule; give the float model, or one of QuantizeLinear and DequantizeLinear"
_LABEL = "cut the model before it, so that it ends in its logits"

ADVICE = {
    **dict.fromkeys(("If", "Loop", "Scan"), _FLOW),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    **dict.fromkeys(("Selu", "Celu", "ThresholdedRelu"), _ACTIVATION),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"), _QUANTIZED),
    **dict.fromkeys(("ArgMax", "TopK", "LogSoftmax", "NonMaxSuppression"), _LABEL),
    "Expand": "a repeated tensor has no rule; multiply the map by its channel gates directly",
}


def advice(kind: str) -> str:
    """What to do about an operator without a rule."""
    return ADVICE.get(kind, f"there is no rule for this operator; rewrite the model with: {', '.join(sorted(RULES))}")


def _linear(draft: Draft, node: Node, weight: np.ndarray, bias: np.ndarray) -> None:
    """A linear layer of `O x I` weights whose columns stand in ONNX's order of features."""
    view = draft.view(node)
    shape = draft.shapes[view.tensor]
    if len(shape) == 3 and view.order == (1, 2, 0):  # on the channels of a map that stands channels last
        window = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}
        weight = weight[:, :, None, None]
        draft.emit_like(node, view, "conv", weight=weight, bias=bias, out_channels=len(weight), groups=1, **window)
        return
    if len(shape) != 1:
        node.refuse(f"its input must be N x features, got {draft.sides(view)} after N; flatten first")
    if view.columns is not None and weight.shape[1:] == view.columns.shape:
        weight = weight[:, np.argsort(view.columns)]
    draft.emit(node, "linear", view.tensor, weight=weight, bias=bias, out_channels=len(weight))


def gemm(draft: Draft, node: Node) -> None:
    """Gemm: `alpha x B + beta C`, which is a linear layer if B and C are constants."""
    if node.attrs.get("transA", 0):
        node.refuse("transA must be 0; export the model with the batch axis first")
    weight = draft.constant(node, 1, "weight")
    weight = (weight if node.attrs.get("transB", 0) else weight.T) * node.attrs.get("alpha", 1.0)
    bias = np.zeros(len(weight))
    if draft.has(node, 2):
        given = draft.constant(node, 2, "bias") * node.attrs.get("beta", 1.0)
        if given.ndim > 1 and given.shape[0] != 1:
            node.refuse(f"its bias must be one value a feature, got shape {given.shape}")
        bias = bias + given.reshape(given.shape[-1:])
    _linear(draft, node, weight, bias)


def matmul(draft: Draft, node: Node) -> None:
    """MatMul with a constant on the right: a linear layer without bias."""
    weight = draft.constant(node, 1, "right side")
    if weight.ndim != 2:
        node.refuse(f"its right side must be features x outputs, got shape {weight.shape}")
    _linear(draft, node, weight.T, np.zeros(weight.shape[1]))


def _affine(draft: Draft, node: Node, place: int, scale: np.ndarray | float, shift: np.ndarray | float) -> None:
    """`scale * x + shift` for each channel; both are single numbers or broadcast against x as ONNX says."""
    view = draft.view(node, place)
    shape, sides = draft.shapes[view.tensor], draft.sides(view)

    def by_channel(values: np.ndarray | float) -> np.ndarray:
        given = np.asarray(values, np.float64)
        if given.size == 1 and given.ndim <= len(sides) + 1:
            return np.full(shape[0], given.item())
        full = given.reshape((1,) * (len(sides) + 1 - given.ndim) + given.shape)
        axis = view.order.index(0) + 1 if 0 in view.order and not view.groups and view.columns is None else -1
        if full.ndim != len(sides) + 1 or axis < 0 or full.size != full.shape[axis] or full.size != shape[0]:
            node.refuse(f"a constant must be one value or one a channel of {sides}, got shape {given.shape}")
        return full.ravel()

    draft.emit_like(node, view, "affine", weight=by_channel(scale), bias=by_channel(shift))


def arithmetic(draft: Draft, node: Node) -> None:
    """Add, Sub, Mul and Div: of two tensors (Add and Mul alone), or of a tensor and a constant for each channel."""
    kind = "Add" if node.kind == "Sum" else node.kind
    if len(node.inputs) != 2:
        node.refuse(f"it must have two inputs, got {len(node.inputs)}; write it as several")
    fixed = [place for place, name in enumerate(node.inputs) if name in draft.constants]
    if fixed:
        value = draft.constant(node, fixed[0], "constant").astype(np.float64)
        first = fixed[0] == 0
        if kind == "Div" and (first or not value.all()):
            node.refuse("only division by a constant without zeros is supported")
        scale = value if kind == "Mul" else 1 / value if kind == "Div" else -1.0 if kind == "Sub" and first else 1.0
        shift = 0.0 if kind in ("Mul", "Div") else -value if kind == "Sub" and not first else value
        _affine(draft, node, 1 - fixed[0], scale, shift)
        return
    if kind == "Div":
        node.refuse("two computed tensors can be added, subtracted and multiplied only; rewrite the model without it")
    one, other = draft.view(node, 0), draft.view(node, 1)
    if one.order != other.order or one.columns is not None or other.columns is not None or one.groups or other.groups:
        draft.plain(node, 0), draft.plain(node, 1)
        node.refuse(f"its inputs must have the same axes, got {draft.sides(one)} and {draft.sides(other)}")
    left, right = one.tensor, other.tensor
    if prod(draft.shapes[left]) < prod(draft.shapes[right]):
        if kind == "Sub":
            node.refuse("a repeated tensor can be subtracted, and not be subtracted from; add its negative")
        left, right = right, left  # what is repeated, C x 1 x 1 or 1 x H x W, stands on the right
    draft.emit_like(node, replace(one, tensor=left), kind.lower(), right)
    if kind == "Mul":
        functions.recognise(draft, node)


def batch_norm(draft: Draft, node: Node) -> None:
    """https://arxiv.org/abs/1502.03167 with fixed statistics: gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    scale, shift = draft.norm(node)
    draft.emit_like(node, draft.view(node), "affine", weight=scale, bias=shift)


def concat(draft: Draft, node: Node) -> None:
    """Concat of channels or features."""
    views = [draft.view(node, place) for place in range(len(node.inputs))]
    first = views[0]
    axis = node.attrs["axis"] % (len(first.order) + 1)
    if any(view.order != first.order or view.columns is not None or view.groups for view in views):
        for place in range(len(views)):
            draft.plain(node, place)
    if axis == 0 or first.order[axis - 1] != 0:
        node.refuse(f"only channels can be joined, got axis {axis} of {draft.sides(first)}")
    draft.emit_like(node, first, "concat", *(view.tensor for view in views[1:]))


def split(draft: Draft, node: Node) -> None:
    """Split of the channels."""
    view = draft.view(node)
    axis = node.attrs.get("axis", 0) % (len(view.order) + 1)
    for name, (start, stop) in draft.parts(node, draft.sides(view)[axis - 1]).items():
        _cut(draft, node, name, view, axis, start, stop)


def slices(draft: Draft, node: Node) -> None:
    """Slice of the channels: a run of them, in order."""
    view = draft.view(node)
    rank = len(view.order) + 1
    starts, stops = draft.setting(node, "starts", 1, ()), draft.setting(node, "ends", 2, ())
    axes = [int(axis) % rank for axis in draft.setting(node, "axes", 3, range(len(starts)))]
    steps = draft.setting(node, "steps", 4, [1] * len(starts))
    sides = (0, *draft.sides(view))
    ranges = [
        (axis, *slice(start, stop, step).indices(sides[axis]))
        for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True)
        if axis
    ]
    changed = [found for found in ranges if found[1:] != (0, sides[found[0]], 1)]
    if len(axes) != len(ranges) or any(step != 1 for *_, step in changed) or len(changed) > 1:
        node.refuse("only a run of channels can be taken, not parts of the batch, of two axes, or every other one")
    if not changed:
        return draft.alias(node, view)
    ((axis, start, stop, _),) = changed
    return _cut(draft, node, node.outputs[0], view, axis, start, stop)


def _cut(draft: Draft, node: Node, name: str, view: View, axis: int, start: int, stop: int) -> None:
    if axis < 1 or view.order[axis - 1] != 0 or view.groups or view.columns is not None:
        node.refuse(f"only channels can be taken apart, got axis {axis} of {draft.sides(view)}")
    if stop <= start:
        node.refuse(f"it must take at least one channel, got {start} to {stop}")
    made = draft.add(name, "slice", view.tensor, start=start, stop=stop)
    draft.views[name] = replace(view, tensor=made)


def same(draft: Draft, node: Node) -> None:
    """Identity, and Dropout and Cast as they are in a float model at rest, and DequantizeLinear."""
    if node.kind == "Dropout" and np.any(draft.setting(node, "training_mode", 2, False)):
        node.refuse("it is in training mode; export the model in eval mode")
    if node.kind == "Cast" and node.attrs["to"] != 1:
        node.refuse("only casts to float32 are supported; export the model in float32")
    draft.alias(node, draft.view(node))


def quantize(draft: Draft, node: Node) -> None:
    """QuantizeLinear of a quantized file, whose rounding is left out: a range that begins at 0 is a ReLU."""
    view = draft.view(node)
    scale = draft.constant(node, 1, "scale")
    zero = draft.constant(node, 2, "zero point") if draft.has(node, 2) else np.zeros((), np.uint8)
    begins_at_0 = scale.size == 1 and bool((zero == np.iinfo(zero.dtype).min).all())
    if begins_at_0 and view.tensor != draft.input and not _never_negative(draft, view.tensor):
        draft.emit_like(node, view, "relu")
    else:
        draft.alias(node, view)


def _never_negative(draft: Draft, tensor: str) -> bool:
    op = draft.maker(tensor)
    if op is None:
        return False
    if op.kind in ("max_pool", "avg_pool", "global_avg_pool", "flatten", "pad", "resize", "slice", "shuffle", "concat"):
        return all(_never_negative(draft, name) for name in op.inputs)
    return op.kind in ("relu", "relu6", "sigmoid", "softmax") or (op.kind == "clip" and op["low"] == 0)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Sum"), arithmetic),
    **dict.fromkeys(onnx_activations.KINDS, onnx_activations.pointwise),
    **dict.fromkeys(("Max", "Min"), onnx_activations.extreme),
    **dict.fromkeys(("MaxPool", "AveragePool"), onnx_windows.pool),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool"), onnx_windows.global_pool),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), same),
    "QuantizeLinear": quantize,
    "DequantizeLinear": same,
    "BatchNormalization": batch_norm,
    "Clip": onnx_activations.clip,
    "LeakyRelu": onnx_activations.leaky_relu,
    "PRelu": onnx_activations.prelu,
    "Elu": onnx_activations.elu,
    "Mish": onnx_activations.mish,
    "HardSigmoid": onnx_activations.hard_sigmoid,
    "Gelu": onnx_activations.gelu,
    "Swish": onnx_activations.swish,
    "Pow": onnx_activations.power,
    "Split": split,
    "Slice": slices,
    **dict.fromkeys(("Resize", "Upsample"), onnx_windows.resize),
    "Concat": concat,
    "Conv": onnx_windows.conv,
    "ConvTranspose": onnx_windows.conv_transpose,
    "Flatten": onnx_views.flatten,
    "Gemm": gemm,
    "InstanceNormalization": onnx_norms.instance_norm,
    "LayerNormalization": onnx_norms.layer_norm,
    "MatMul": matmul,
    "Pad": onnx_windows.pad,
    "ReduceMean": onnx_windows.reduce_mean,
    "Reshape": onnx_views.reshape,
    "Softmax": onnx_activations.softmax,
    "Squeeze": onnx_views.squeeze,
    "Transpose": onnx_views.transpose,
    "Unsqueeze": onnx_views.unsqueeze,
}
