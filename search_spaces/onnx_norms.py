"""ONNX norms whose statistics are taken anew from every sample: what each means in a `Graph`.

A `norm` operator has no weights; the scale and the shift behind it are an `affine`, which may fold into what follows.
Names and meanings are those of the ONNX operator documentation, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from search_spaces import onnx_windows
from search_spaces.onnx_draft import Draft, Node, View


def layer_norm(draft: Draft, node: Node) -> None:
    """LayerNormalization over the channels of each position, wherever the file has that axis last."""
    view = draft.view(node)
    sides = draft.sides(view)
    axis = node.attrs.get("axis", -1) % (len(sides) + 1)
    if axis != len(sides) or view.order[-1:] != (0,) or view.columns is not None or view.groups:
        node.refuse(f"only a norm over the channels, as the last axis, is supported, got axis {axis} of {sides}")
    scale = draft.constant(node, 1, "scale")
    shift = draft.constant(node, 2, "bias") if draft.has(node, 2) else np.zeros(len(scale))
    _norm(draft, node, view, "channels", scale, shift)


def instance_norm(draft: Draft, node: Node) -> None:
    """InstanceNormalization of each channel's map; behind a reshape to one group, a group norm of all channels."""
    scale, shift = draft.constant(node, 1, "scale"), draft.constant(node, 2, "bias")
    view = draft.view(node)
    if view.groups == 1:
        size = draft.shapes[view.tensor][0]
        return _norm(draft, node, view, "all", np.full(size, scale.item()), np.full(size, shift.item()))
    view, _ = onnx_windows.of_map(draft, node)
    return _norm(draft, node, view, "positions", scale, shift)


def _norm(draft: Draft, node: Node, view: View, over: str, scale: np.ndarray, shift: np.ndarray) -> None:
    """A norm, and the affine behind it where that changes anything."""
    plain = bool((scale == 1).all() and not shift.any())
    name, epsilon = node.outputs[0], float(np.float32(node.attrs.get("epsilon", 1e-5)))
    made = draft.add(name if plain else f"{name}.norm", "norm", view.tensor, over=over, epsilon=epsilon)
    if plain:
        draft.views[name] = replace(view, tensor=made)
    else:
        draft.emit_like(node, replace(view, tensor=made), "affine", weight=scale, bias=shift)
