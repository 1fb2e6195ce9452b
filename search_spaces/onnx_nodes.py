"""One rule an ONNX operator: what a node means in a `Graph`. A rule that does not hold refuses the node by name.

Names and meanings are those of the ONNX operator documentation, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod

import numpy as np

from search_spaces import onnx_views
from search_spaces.graph import Op, Shape
from search_spaces.onnx_draft import Draft, Node, View
from search_spaces.ops import window_size

Rule = Callable[[Draft, Node], None]
Pair = tuple[int, int]

_FLOW = "data-dependent control flow has no rule; export the path that is taken, with fixed shapes"
_RECURRENT = "recurrent operators have no rule; use convolutions over time instead"
_ACTIVATION = "this activation has no rule; retrain with ReLU or ReLU6 in its place"
_QUANTIZED = "the model is quantized already; give the float model"
_LABEL = "cut the model before it, so that it ends in its logits"

ADVICE = {
    **dict.fromkeys(("If", "Loop", "Scan"), _FLOW),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    **dict.fromkeys(("LeakyRelu", "PRelu", "Elu", "Selu", "Gelu", "HardSwish", "HardSigmoid", "Mish"), _ACTIVATION),
    **dict.fromkeys(("Erf", "Tanh", "Softplus", "Swish", "Celu", "ThresholdedRelu"), _ACTIVATION),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"), _QUANTIZED),
    **dict.fromkeys(("ArgMax", "TopK", "LogSoftmax", "NonMaxSuppression"), _LABEL),
    **dict.fromkeys(("ConvTranspose", "Resize", "Upsample"), "upsampling has no rule; end the model before it"),
    "Expand": "a repeated tensor has no rule; multiply the map by its channel gates directly",
}


def advice(kind: str) -> str:
    """What to do about an operator without a rule."""
    return ADVICE.get(kind, f"there is no rule for this operator; rewrite the model with: {', '.join(sorted(RULES))}")


def _pair(values: object, node: Node, what: str) -> Pair:
    found = tuple(int(v) for v in np.atleast_1d(np.asarray(values)))
    if len(found) != 2:
        node.refuse(f"only 2-D windows are supported, got {what} {list(found)}; make 1-D inputs N x C x 1 x length")
    return found[0], found[1]


def _pads(node: Node, shape: Shape, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) from `pads` or `auto_pad`, never negative."""
    mode = node.attrs.get("auto_pad", b"NOTSET").decode()
    if mode in ("NOTSET", "VALID"):
        pads = node.attrs.get("pads", (0, 0, 0, 0)) if mode == "NOTSET" else (0, 0, 0, 0)
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


def _map(draft: Draft, node: Node) -> tuple[str, Shape]:
    """The first input and its shape, which must be channels x height x width."""
    source = draft.plain(node)
    shape = draft.shapes[source]
    if len(shape) != 3:
        node.refuse(f"only N x C x H x W inputs are supported, got {len(shape)} axes after N: {shape}")
    return source, shape


def conv(draft: Draft, node: Node) -> None:
    """Conv of two spatial axes; a missing bias is zero."""
    weight = draft.constant(node, 1, "weight")
    if weight.ndim != 4:
        law = f"only 2-D convolutions are supported, got {weight.ndim - 2}-D"
        node.refuse(f"{law}; rewrite a 1-D one as 2-D over N x C x 1 x length")
    source, shape = _map(draft, node)
    kernel = _pair(weight.shape[2:], node, "kernel")
    stride = _pair(node.attrs.get("strides", (1, 1)), node, "strides")
    dilation = _pair(node.attrs.get("dilations", (1, 1)), node, "dilations")
    draft.emit(
        node,
        "conv",
        source,
        weight=weight,
        bias=draft.constant(node, 2, "bias") if draft.has(node, 2) else np.zeros(len(weight)),
        out_channels=len(weight),
        kernel=kernel,
        stride=stride,
        pads=_pads(node, shape, kernel, stride, dilation),
        dilation=dilation,
        groups=int(node.attrs.get("group", 1)),
    )


def _linear(draft: Draft, node: Node, weight: np.ndarray, bias: np.ndarray) -> None:
    """A linear layer of `O x I` weights whose columns stand in ONNX's order of features."""
    view = draft.view(node)
    if len(draft.shapes[view.tensor]) != 1:
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
    source = draft.plain(node, place)
    shape = draft.shapes[source]

    def by_channel(values: np.ndarray | float) -> np.ndarray:
        given = np.asarray(values, np.float64)
        full = given.reshape((1,) * (len(shape) + 1 - given.ndim) + given.shape)
        if full.ndim != len(shape) + 1 or full.size != full.shape[1] or full.size not in (1, shape[0]):
            node.refuse(f"a constant must be one value or one a channel of {shape}, got shape {given.shape}")
        return np.broadcast_to(full.ravel(), shape[:1])

    draft.emit(node, "affine", source, weight=by_channel(scale), bias=by_channel(shift))


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
    if kind in ("Sub", "Div"):
        node.refuse("two computed tensors can be added and multiplied only; rewrite the model without it")
    left, right = draft.plain(node, 0), draft.plain(node, 1)
    if kind == "Mul" and prod(draft.shapes[left][1:]) < prod(draft.shapes[right][1:]):
        left, right = right, left  # the gate, C x 1 x 1, stands on the right
    draft.emit(node, kind.lower(), left, right)


def batch_norm(draft: Draft, node: Node) -> None:
    """https://arxiv.org/abs/1502.03167 with fixed statistics: gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    if node.attrs.get("training_mode", 0):
        node.refuse("it is in training mode; export the model in eval mode")
    gamma, beta, mean, variance = (
        draft.constant(node, place, what) for place, what in enumerate(("scale", "bias", "mean", "variance"), start=1)
    )
    scale = gamma / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    draft.emit(node, "affine", draft.plain(node), weight=scale, bias=beta - mean * scale)


def clip(draft: Draft, node: Node) -> None:
    """Clip between 0 and infinity or 6: ReLU or ReLU6."""
    low = float(draft.setting(node, "min", 1, -inf))
    high = float(draft.setting(node, "max", 2, inf))
    if low != 0 or (high != 6 and high < np.finfo(np.float32).max):
        node.refuse(f"only ReLU (0 to infinity) and ReLU6 (0 to 6) are supported, got {low:g} to {high:g}")
    draft.emit(node, "relu6" if high == 6 else "relu", draft.plain(node))


def extreme(draft: Draft, node: Node) -> None:
    """Max with 0 is ReLU, and a Min with 6 behind it makes that a ReLU6."""
    fixed = [place for place, name in enumerate(node.inputs) if name in draft.constants]
    value = draft.constant(node, fixed[0], "limit") if len(node.inputs) == 2 and fixed else np.empty(0)
    bound = float(value.flat[0]) if value.size == 1 else None
    source = draft.plain(node, 1 - fixed[0]) if bound is not None else ""
    if node.kind == "Max" and bound == 0:
        draft.emit(node, "relu", source)
    elif node.kind == "Min" and bound == 6 and (before := draft.maker(source)) and before.kind == "relu":
        draft.emit(node, "relu6", *before.inputs)
    else:
        node.refuse("only Max(x, 0) and Min(Max(x, 0), 6) are supported; write ReLU or ReLU6")


def pointwise(draft: Draft, node: Node) -> None:
    """Operators whose ONNX name is the graph's kind."""
    draft.emit(node, node.kind.lower(), draft.plain(node))


def softmax(draft: Draft, node: Node) -> None:
    """Softmax over channels or features."""
    source = draft.plain(node)
    rank = len(draft.shapes[source]) + 1
    # The default is 1 before opset 13, over all axes from there on, and -1 since: the same for N x features alone.
    axis = node.attrs.get("axis", 1 if rank == 2 else 0)
    if axis % rank != 1:
        node.refuse(f"it must be over the channels (axis 1) of {draft.shapes[source]}, got axis {axis}")
    draft.emit(node, "softmax", source)


def concat(draft: Draft, node: Node) -> None:
    """Concat of channels or features."""
    sources = [draft.plain(node, place) for place in range(len(node.inputs))]
    axis = node.attrs["axis"] % (len(draft.shapes[sources[0]]) + 1)
    if axis != 1:
        node.refuse(f"only channels (axis 1) can be joined, got axis {axis}")
    draft.emit(node, "concat", *sources)


def pool(draft: Draft, node: Node) -> None:
    """MaxPool and AveragePool; the padding of an average pool is not counted."""
    source, shape = _map(draft, node)
    kernel = _pair(node.attrs["kernel_shape"], node, "kernel")
    stride = _pair(node.attrs.get("strides", (1, 1)), node, "strides")
    if set(node.attrs.get("dilations", (1, 1))) != {1}:
        node.refuse("a dilated pool has no rule; use dilation 1")
    if len(node.outputs) > 1 and node.outputs[1]:
        node.refuse("the indices of a max pool have no rule; use its values only")
    pads = _pads(node, shape, kernel, stride)
    if node.kind == "AveragePool" and node.attrs.get("count_include_pad", 0) and any(pads):
        law = "padding must not be counted (PyTorch: count_include_pad=False)"
        node.refuse(f"{law}, got count_include_pad 1 and pads {list(pads)}")
    if node.attrs.get("ceil_mode", 0):
        for size, k, step, low, high in zip(shape[1:], kernel, stride, pads[:2], pads[2:], strict=True):
            if (size + low + high - k) % step:
                count = window_size(size, k, step, low, high)
                node.refuse(f"ceil_mode must be 0: a side of {size} has {count} whole windows and a part; pad instead")
    kind = "max_pool" if node.kind == "MaxPool" else "avg_pool"
    draft.emit(node, kind, source, kernel=kernel, stride=stride, pads=pads)


def global_pool(draft: Draft, node: Node) -> None:
    """GlobalAveragePool, and GlobalMaxPool as a max pool of the map's size."""
    source, shape = _map(draft, node)
    if node.kind == "GlobalAveragePool":
        draft.emit(node, "global_avg_pool", source)
    else:
        draft.emit(node, "max_pool", source, kernel=shape[1:], stride=(1, 1), pads=(0, 0, 0, 0))


def reduce_mean(draft: Draft, node: Node) -> None:
    """ReduceMean over height and width: a global average pool, flattened if the axes are dropped."""
    view = draft.view(node)
    shape = draft.shapes[view.tensor]
    rank = len(view.order) + 1
    axes = {int(axis) % rank for axis in draft.setting(node, "axes", 1, ())}
    meant = {view.order[axis - 1] for axis in axes if axis}
    if len(shape) != 3 or rank != 4 or 0 in axes or meant != {1, 2}:
        node.refuse(f"only a mean over height and width is supported, got axes {sorted(axes)} of {draft.sides(view)}")
    name = node.outputs[0]
    keeps = bool(node.attrs.get("keepdims", 1))
    pooled = draft.add(name if keeps else f"{name}.pool", "global_avg_pool", view.tensor)
    if keeps:
        draft.alias(node, View(pooled, view.order))
    else:
        onnx_views.change_sides(draft, node, View(pooled, view.order), shape[:1])


def pad(draft: Draft, node: Node) -> None:
    """Stays a `pad` of the draft until the convolution behind it takes it over."""
    source, shape = _map(draft, node)
    mode = node.attrs.get("mode", b"constant").decode()
    value = float(np.asarray(draft.setting(node, "value", 2, 0.0)))
    if mode != "constant" or value != 0:
        node.refuse(f"only padding with zeros is supported, got {mode} padding with {value:g}")
    given = [int(side) for side in draft.setting(node, "pads", 1, (0,) * 8)]
    axes = [int(axis) % 4 for axis in draft.setting(node, "axes", 3, range(4))]
    low, high = dict.fromkeys(range(4), 0), dict.fromkeys(range(4), 0)
    low.update(zip(axes, given[: len(axes)], strict=True))
    high.update(zip(axes, given[len(axes) :], strict=True))
    if low[0] or low[1] or high[0] or high[1] or min(given) < 0:
        node.refuse(f"only height and width can be padded, and not cropped, got pads {given}")
    pads = (low[2], low[3], high[2], high[3])
    sides = (shape[0], shape[1] + low[2] + high[2], shape[2] + low[3] + high[3])
    op = Op.make(draft.fresh(node.outputs[0]), "pad", source, pads=pads)
    draft.show(node.outputs[0], draft.append(op, sides))


def same(draft: Draft, node: Node) -> None:
    """Identity, and Dropout and Cast as they are in a float model at rest."""
    if node.kind == "Dropout" and np.any(draft.setting(node, "training_mode", 2, False)):
        node.refuse("it is in training mode; export the model in eval mode")
    if node.kind == "Cast" and node.attrs["to"] != 1:
        node.refuse("only casts to float32 are supported; export the model in float32")
    draft.alias(node, draft.view(node))


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Sum"), arithmetic),
    **dict.fromkeys(("Relu", "Sigmoid"), pointwise),
    **dict.fromkeys(("Max", "Min"), extreme),
    **dict.fromkeys(("MaxPool", "AveragePool"), pool),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool"), global_pool),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), same),
    "BatchNormalization": batch_norm,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "Flatten": onnx_views.flatten,
    "Gemm": gemm,
    "MatMul": matmul,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Reshape": onnx_views.reshape,
    "Softmax": softmax,
    "Squeeze": onnx_views.squeeze,
    "Transpose": onnx_views.transpose,
    "Unsqueeze": onnx_views.unsqueeze,
}
