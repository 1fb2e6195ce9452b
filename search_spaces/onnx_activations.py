"""ONNX activations: what each means in a `Graph`.

Names and meanings are those of the ONNX operator documentation, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np

from search_spaces.onnx_draft import Draft, Node, View

KINDS = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "HardSwish": "hard_swish",
    "Softplus": "softplus",
    "Erf": "erf",  # of the draft only: a GELU is made of it
}


def clip(draft: Draft, node: Node) -> None:
    """Clip between 0 and infinity or 6: ReLU or ReLU6."""
    low = float(np.asarray(draft.setting(node, "min", 1, -inf)))
    high = float(np.asarray(draft.setting(node, "max", 2, inf)))
    _clamp(draft, node, draft.view(node), low, high)


def _clamp(draft: Draft, node: Node, view: View, low: float, high: float) -> None:
    """A clamp to [low, high]: ReLU and ReLU6 have kinds of their own; 0 must be among the values."""
    if low == 0 and high >= np.finfo(np.float32).max:
        draft.emit_like(node, view, "relu")
    elif (low, high) == (0, 6):
        draft.emit_like(node, view, "relu6")
    elif -inf < low <= 0 <= high < inf and low < high:
        draft.emit_like(node, view, "clip", low=low, high=high)
    else:
        node.refuse(f"only ReLU and clamps between two numbers around 0 are supported, got {low:g} to {high:g}")


def extreme(draft: Draft, node: Node) -> None:
    """Max with 0 is ReLU, and a Min with a number behind it clamps from above."""
    fixed = [place for place, name in enumerate(node.inputs) if name in draft.constants]
    value = draft.constant(node, fixed[0], "limit") if len(node.inputs) == 2 and fixed else np.empty(0)
    bound = float(value.flat[0]) if value.size == 1 else None
    view = draft.view(node, 1 - fixed[0]) if bound is not None else None
    if view and node.kind == "Max" and bound == 0:
        draft.emit_like(node, view, "relu")
    elif view and bound and node.kind == "Min" and (before := draft.maker(view.tensor)) and before.kind == "relu":
        _clamp(draft, node, replace(view, tensor=before.inputs[0]), 0.0, bound)
    else:
        node.refuse("only Max(x, 0) and Min(Max(x, 0), c) are supported; write ReLU or Clip")


def pointwise(draft: Draft, node: Node) -> None:
    """Functions of one value without settings."""
    draft.emit_like(node, draft.view(node), KINDS[node.kind])


def leaky_relu(draft: Draft, node: Node) -> None:
    """LeakyRelu: the slope below 0."""
    draft.emit_like(node, draft.view(node), "leaky_relu", slope=float(np.float32(node.attrs.get("alpha", 0.01))))


def elu(draft: Draft, node: Node) -> None:
    """Elu, https://arxiv.org/abs/1511.07289."""
    draft.emit_like(node, draft.view(node), "elu", alpha=float(node.attrs.get("alpha", 1.0)))


def mish(draft: Draft, node: Node) -> None:
    """Mish: x times tanh(softplus(x))."""
    view, name = draft.view(node), node.outputs[0]
    inner = draft.add(f"{name}.softplus", "softplus", view.tensor)
    draft.emit_like(node, view, "mul", draft.add(f"{name}.gate", "tanh", inner))


def hard_sigmoid(draft: Draft, node: Node) -> None:
    """HardSigmoid: a scale and a shift, which fold into the layer before it, and a clamp to [0, 1]."""
    slope, offset = node.attrs.get("alpha", 0.2), node.attrs.get("beta", 0.5)
    view = draft.view(node)
    size = draft.shapes[view.tensor][0]
    line = draft.add(
        f"{node.outputs[0]}.line", "affine", view.tensor, weight=np.full(size, slope), bias=np.full(size, offset)
    )
    draft.emit_like(node, replace(view, tensor=line), "clip", low=0.0, high=1.0)


def prelu(draft: Draft, node: Node) -> None:
    """PRelu, a slope for each channel below 0: ReLU of x less the slope times ReLU of -x."""
    view, name = draft.view(node), node.outputs[0]
    size = draft.shapes[view.tensor][0]
    slope = draft.constant(node, 1, "slope")
    if slope.size not in (1, size) or view.order[:1] != (0,):
        node.refuse(f"its slope must be one value or one a channel of {draft.sides(view)}, got shape {slope.shape}")
    slope = np.broadcast_to(slope.ravel(), (size,))
    if np.ptp(slope) == 0:
        return draft.emit_like(node, view, "leaky_relu", slope=float(slope[0]))
    zeros = np.zeros(size)
    negative = draft.add(f"{name}.negative", "affine", view.tensor, weight=np.full(size, -1.0), bias=zeros)
    below = draft.add(f"{name}.below", "relu", negative)
    scaled = draft.add(f"{name}.scaled", "affine", below, weight=-slope, bias=zeros)
    above = draft.add(f"{name}.above", "relu", view.tensor)
    return draft.emit_like(node, replace(view, tensor=above), "add", scaled)


def gelu(draft: Draft, node: Node) -> None:
    """Gelu, exact or by tanh, https://arxiv.org/abs/1606.08415."""
    draft.emit_like(node, draft.view(node), "gelu", tanh=node.attrs.get("approximate", b"none") == b"tanh")


def swish(draft: Draft, node: Node) -> None:
    """Swish, also called SiLU: x times sigmoid(alpha x)."""
    view, slope = draft.view(node), float(node.attrs.get("alpha", 1.0))
    inner = view.tensor
    if slope != 1:
        size = draft.shapes[inner][0]
        inner = draft.add(f"{node.outputs[0]}.line", "affine", inner, weight=np.full(size, slope), bias=np.zeros(size))
    gate = draft.add(f"{node.outputs[0]}.gate", "sigmoid", inner)
    draft.views[node.outputs[0]] = replace(view, tensor=draft.add(node.outputs[0], "mul", view.tensor, gate))


def power(draft: Draft, node: Node) -> None:
    """Pow with exponent 2 or 3: products."""
    exponent = draft.constant(node, 1, "exponent")
    view = draft.view(node)
    if exponent.size != 1 or float(exponent.flat[0]) not in (2.0, 3.0):
        node.refuse(f"only powers of 2 and 3 are supported, got {exponent.ravel()[:4].tolist()}")
    if float(exponent.flat[0]) == 2:
        return draft.emit_like(node, view, "mul", view.tensor)
    square = draft.add(f"{node.outputs[0]}.square", "mul", view.tensor, view.tensor)
    return draft.emit_like(node, replace(view, tensor=square), "mul", view.tensor)


def softmax(draft: Draft, node: Node) -> None:
    """Softmax over channels or features."""
    source = draft.plain(node)
    rank = len(draft.shapes[source]) + 1
    # The default is 1 before opset 13, over all axes from there on, and -1 since: the same for N x features alone.
    axis = node.attrs.get("axis", 1 if rank == 2 else 0)
    if axis % rank != 1:
        node.refuse(f"it must be over the channels (axis 1) of {draft.shapes[source]}, got axis {axis}")
    draft.emit(node, "softmax", source)
