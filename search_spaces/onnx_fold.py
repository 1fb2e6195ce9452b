"""Passes over a draft: what ONNX says in several nodes and a `Graph` in one operator.

Every pass is exact, but for float rounding: a pattern that is not exact stays as it is, or is refused if a graph cannot
hold it. A folded operator carries the name of the last tensor folded into it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from search_spaces.graph import Op
from search_spaces.onnx_draft import Draft
from search_spaces.ops import LAYERS

_ONE_ELEMENT = ((1, 1), (1, 1), (0, 0, 0, 0))  # kernel, stride and pads of a window that is its own answer


def _readers(draft: Draft) -> dict[str, list[Op]]:
    found: dict[str, list[Op]] = {}
    for op in draft.ops:
        for name in dict.fromkeys(op.inputs):
            found.setdefault(name, []).append(op)
    return found


def _rewired(op: Op, names: dict[str, str]) -> Op:
    """The operator with its name and inputs looked up in `names`."""
    return Op(names.get(op.name, op.name), op.kind, tuple(names.get(name, name) for name in op.inputs), op.attrs)


def fold_pads(draft: Draft) -> None:
    """Zero padding goes into every convolution that reads it, and into a max pool over values that are never negative.

    For every other reader, and where it is an output, the pad stays an operator of its own.
    """
    kinds = {op.name: op.kind for op in draft.ops}
    pads = {op.name: op for op in draft.ops if op.kind == "pad"}
    kept: list[Op] = []
    for op in draft.ops:
        source = op.inputs[0]
        while source in pads and (merged := _padded(op, pads[source], kinds)):
            op, source = merged, merged.inputs[0]
        if op.kind == "pad":
            pads[op.name] = op
        kept.append(op)
    draft.ops = kept


def _padded(op: Op, pad: Op, kinds: dict[str, str]) -> Op | None:
    """The operator with the padding of what it reads among its own, reading what that reads; None if it cannot pad."""
    if op.kind not in ("conv", "max_pool", "pad"):
        return None
    pads = tuple(own + extra for own, extra in zip(op["pads"], pad["pads"], strict=True))
    if op.kind == "max_pool":
        # Zeros equal a max pool's own padding if no value is below zero and no window is padding alone.
        small = all(amount < side for amount, side in zip(pads, op["kernel"] * 2, strict=True))
        if not small or kinds.get(pad.inputs[0]) not in ("relu", "relu6", "sigmoid"):
            return None
    return Op(op.name, op.kind, pad.inputs, op.attrs).replace(pads=pads)


def drop_identities(draft: Draft) -> None:
    """Removes what changes nothing: pools over one element, as of a network made for larger images, scales of 1."""
    names: dict[str, str] = {}
    kept: list[Op] = []
    for op in draft.ops:
        op = _rewired(op, names)
        one = op.kind in ("max_pool", "avg_pool") and (op["kernel"], op["stride"], op["pads"]) == _ONE_ELEMENT
        if op.kind == "affine":
            one = bool((draft.weights[f"{op.name}.weight"] == 1).all() and not draft.weights[f"{op.name}.bias"].any())
        if one or (op.kind == "global_avg_pool" and draft.shapes[op.inputs[0]][1:] == (1, 1)):
            names[op.name] = op.inputs[0]
        else:
            kept.append(op)
    draft.ops = kept
    draft.views = {
        name: replace(view, tensor=names.get(view.tensor, view.tensor)) for name, view in draft.views.items()
    }


def fold_back(draft: Draft, outputs: Collection[str]) -> None:
    """An affine goes into the convolution, linear layer or affine before it, where nothing else reads that one.

    `w' = scale w` and `b' = scale b + shift` for each output channel: a folded BatchNormalization.
    """
    readers = _readers(draft)
    place: dict[str, int] = {}
    kept: list[Op] = []
    for op in draft.ops:
        source = op.inputs[0]
        at = place.get(source)
        foldable = at is not None and (kept[at].kind in LAYERS or kept[at].kind == "affine")
        if op.kind == "affine" and at is not None and foldable and len(readers[source]) == 1 and source not in outputs:
            scale, shift = draft.take(op.name)
            weight, bias = draft.take(source)
            draft.put(op.name, (weight.T * scale).T, bias * scale + shift)
            before = kept[at]
            kept[at] = Op(op.name, before.kind, before.inputs, before.attrs)
            place[op.name] = at
        else:
            place[op.name] = len(kept)
            kept.append(op)
    draft.ops = kept


def fold_ahead(draft: Draft, outputs: Collection[str]) -> None:
    """An affine goes into the convolution or linear layer behind it, where that is its only reader and pads nothing.

    `w' = w scale` and `b' = b + sum(w shift)` over input channels. With padding the shift would be missing at the
    border, so only a pure scale folds there.
    """
    readers = _readers(draft)
    names: dict[str, str] = {}
    for op in draft.ops:
        behind = readers.get(op.name, [])
        if op.kind != "affine" or op.name in outputs or len(behind) != 1 or behind[0].kind not in ("conv", "linear"):
            continue
        (after,) = behind
        scale, shift = draft.weights[f"{op.name}.weight"], draft.weights[f"{op.name}.bias"]
        if after.kind == "conv" and any(after["pads"]) and shift.any():
            continue
        draft.take(op.name)
        weight, bias = draft.take(after.name)
        groups = after["groups"] if after.kind == "conv" else 1
        # groups x filters of a group x input channels of a group x taps
        parts = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
        scale, shift = (values.reshape(groups, 1, -1, 1) for values in (scale, shift))
        bias = bias + (parts * shift).sum(axis=(2, 3)).ravel()
        draft.put(after.name, (parts * scale).reshape(weight.shape), bias)
        names[op.name] = op.inputs[0]
    draft.ops = [_rewired(op, names) for op in draft.ops if op.name not in names]


def prune(draft: Draft, outputs: Collection[str]) -> None:
    """Removes operators that no output needs."""
    needed = set(outputs)
    kept: list[Op] = []
    for op in reversed(draft.ops):
        if op.name in needed:
            needed.update(op.inputs)
            kept.append(op)
    draft.ops = kept[::-1]


def rename(draft: Draft, names: dict[str, str]) -> None:
    """Gives operators other names, their weights with them."""
    draft.ops = [_rewired(op, names) for op in draft.ops]
    for old, new in names.items():
        for key in draft.weights_of(old):
            draft.weights[f"{new}.{key.rpartition('.')[2]}"] = draft.weights.pop(key)
