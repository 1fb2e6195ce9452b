"""ONNX nodes that move axes about: what a Reshape, Squeeze or Transpose means for a `View` of a tensor.

Understood are a flatten, axes of size 1 that come and go, any order of the axes behind the batch axis, and a channel
shuffle; a flatten of channels-last axes (as Keras has it) is remembered as an order of features for the linear layer
behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from search_spaces import ops
from search_spaces.graph import Shape
from search_spaces.onnx_draft import BATCH, Draft, Node, View


def flatten(draft: Draft, node: Node) -> None:
    """Flatten, of everything behind the batch axis."""
    view = draft.view(node)
    sides = draft.sides(view)
    if node.attrs.get("axis", 1) % (len(sides) + 1) != 1:
        node.refuse(f"only everything behind the batch axis (axis 1) can be flattened, got axis {node.attrs['axis']}")
    change_sides(draft, node, view, (prod(sides),))


def reshape(draft: Draft, node: Node) -> None:
    """Reshape, which must leave the batch axis as it is."""
    view = draft.view(node)
    now = draft.sides(view)
    wanted = [int(side) for side in draft.setting(node, "shape", 1, ())]
    if not node.attrs.get("allowzero", 0):
        kept = (BATCH, *now)
        wanted = [kept[k] if side == 0 and k < len(kept) else side for k, side in enumerate(wanted)]
    whole = -1 not in wanted[1:] and prod(wanted[1:]) == prod(now)
    if not wanted or not (wanted[0] in (BATCH, draft.batch) or (wanted[0] == -1 and whole)):
        law = "the batch axis must stay as it is (export with a dynamic one)"
        node.refuse(f"{law}, got {now} per sample reshaped to {wanted}")
    change_sides(draft, node, view, wanted[1:])


def squeeze(draft: Draft, node: Node) -> None:
    """Squeeze of named axes of size 1."""
    view = draft.view(node)
    sides = draft.sides(view)
    axes = draft.setting(node, "axes", 1, None)
    if axes is None:
        node.refuse("the axes to drop must be named, else a batch of one would lose its axis")
    dropped = {int(axis) % (len(sides) + 1) for axis in axes}
    if 0 in dropped or any(sides[axis - 1] != 1 for axis in dropped):
        node.refuse(f"only axes of size 1 behind the batch axis can be dropped, got axes {sorted(dropped)} of {sides}")
    change_sides(draft, node, view, [side for axis, side in enumerate(sides, start=1) if axis not in dropped])


def unsqueeze(draft: Draft, node: Node) -> None:
    """Unsqueeze behind the batch axis."""
    view = draft.view(node)
    sides = list(draft.sides(view))
    axes = draft.setting(node, "axes", 1, ())
    rank = len(sides) + 1 + len(axes)
    for axis in sorted(int(axis) % rank for axis in axes):
        if axis == 0:
            node.refuse("nothing can stand before the batch axis")
        sides.insert(axis - 1, 1)
    change_sides(draft, node, view, sides)


def transpose(draft: Draft, node: Node) -> None:
    """Transpose behind the batch axis: the view alone changes."""
    view = draft.view(node)
    if view.groups:
        rank = len(view.order) + 2
        if view.groups < 2 or tuple(node.attrs.get("perm", ())) != (0, 2, 1, *range(3, rank)):
            node.refuse("of channels that stand apart in groups only these two axes can be swapped (a channel shuffle)")
        return draft.alias(node, replace(view, groups=-view.groups))
    perm = tuple(node.attrs.get("perm", range(len(view.order), -1, -1)))
    if perm[0] != 0 or len(perm) != len(view.order) + 1 or view.columns is not None:
        node.refuse(f"the batch axis must stay the first of {len(view.order) + 1}, got perm {list(perm)}")
    draft.alias(node, View(view.tensor, tuple(view.order[axis - 1] for axis in perm[1:])))


def change_sides(draft: Draft, node: Node, view: View, sides: Sequence[int]) -> None:
    """The node's output is `view` with other sides (without the batch axis, -1 allowed once); makes the operator.

    Understood are: axes of size 1 that come and go, and a flatten.
    """
    now = draft.sides(view)
    sides = tuple(int(side) for side in sides)
    if sides.count(-1) == 1 and (rest := -prod(sides)) > 0:
        sides = tuple(prod(now) // rest if side == -1 else side for side in sides)
    if prod(sides) != prod(now):
        node.refuse(f"the batch axis must stay as it is, got {now} per sample reshaped to {sides}")
    if sides == now:
        draft.alias(node, view)
    elif view.groups or (draft.is_plain(view) and _in_groups(now, sides)):
        _shuffle(draft, node, view, sides)
    elif len(sides) == 1:
        _flatten(draft, node, view)
    elif len(draft.shapes[view.tensor]) == 1 and view.columns is None and max(sides) == prod(sides):
        _unit_axes(draft, node, View(_unflattened(draft, node, view.tensor), (0, 1, 2)), sides)
    else:
        _unit_axes(draft, node, view, sides)


def _in_groups(now: Shape, sides: Shape) -> bool:
    """Do `sides` set the channels of a map apart as groups x members, or make all of it one group?"""
    apart = len(now) > 1 and sides[2:] == now[1:] and min(sides[:2]) > 1
    return apart or (len(now) == 3 and max(now[1:]) > 1 and sides == (1, prod(now)))


def _shuffle(draft: Draft, node: Node, view: View, sides: Shape) -> None:
    """Channels set apart as groups x members; or, once those are swapped, together again: a channel shuffle."""
    shape = draft.shapes[view.tensor]
    if not view.groups:
        draft.alias(node, replace(view, groups=sides[0]))
    elif view.groups < 0 and sides == shape:
        draft.emit(node, "shuffle", view.tensor, groups=-view.groups)
    elif sides == shape:
        draft.alias(node, replace(view, groups=0))
    else:
        node.refuse(f"channels that stand apart can only be shuffled or normed, got {draft.sides(view)} to {sides}")


def _unit_axes(draft: Draft, node: Node, view: View, sides: Shape) -> None:
    """The same values with axes of size 1 dropped or added."""
    shape = draft.shapes[view.tensor]
    long = [axis for axis in view.order if shape[axis] != 1]
    units = [axis for axis in range(len(shape)) if shape[axis] == 1]
    if [shape[axis] for axis in long] != [side for side in sides if side != 1] or sides.count(1) > len(units):
        node.refuse(f"only a flatten or a change of axes of size 1 is understood, got {draft.sides(view)} to {sides}")
    order = tuple(units.pop(0) if side == 1 else long.pop(0) for side in sides)
    draft.alias(node, View(view.tensor, order, view.columns))


def _flatten(draft: Draft, node: Node, view: View) -> None:
    """The graph flattens channels first; features in another order are remembered as `columns`."""
    shape = draft.shapes[view.tensor]
    if len(shape) == 1:
        return draft.alias(node, View(view.tensor, (0,), view.columns))
    # Axes that were left out have size 1 and may stand anywhere.
    order = (*(axis for axis in range(len(shape)) if axis not in view.order), *view.order)
    flat = draft.add(node.outputs[0], "flatten", view.tensor)
    moved = None
    if [axis for axis in order if shape[axis] != 1] != [axis for axis, side in enumerate(shape) if side != 1]:
        moved = np.arange(prod(shape)).reshape(shape).transpose(order).ravel()
    draft.views[node.outputs[0]] = View(flat, (0,), moved)


def _unflattened(draft: Draft, node: Node, tensor: str) -> str:
    """`tensor`, C features, as a map of C x 1 x 1: its flatten is undone, linear layers become 1x1 convolutions.

    Squeeze-and-excite blocks need it: pool, flatten, two linear layers, back to a map.
    """
    op = draft.maker(tensor)
    if op is None or (op.kind == "flatten" and draft.shapes[op.inputs[0]][1:] != (1, 1)):
        node.refuse(f"features become a map again only behind a flatten of C x 1 x 1, got {draft.shapes[tensor]}")
    if op.kind == "flatten":
        return op.inputs[0]
    if op.kind not in ("linear", "affine") and not ops.KINDS[op.kind].pointwise:
        node.refuse(f"features become a map again only behind linear and pointwise operators, got {op.kind}")
    inputs = [_unflattened(draft, node, name) for name in op.inputs]
    weight, bias = draft.weights.get(f"{tensor}.weight"), draft.weights.get(f"{tensor}.bias")
    name = f"{tensor}.map"
    if op.kind != "linear" or weight is None:
        return draft.add(name, op.kind, *inputs, weight=weight, bias=bias)
    return draft.add(
        name,
        "conv",
        *inputs,
        weight=weight[:, :, None, None],
        bias=bias,
        out_channels=op["out_channels"],
        kernel=(1, 1),
        stride=(1, 1),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=1,
    )
