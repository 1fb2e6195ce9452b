"""Passes over a draft: what ONNX says in several nodes and a `Graph` in one operator.

Every pass is exact, but for float rounding: a pattern that is not exact stays as it is, or is refused if a graph cannot
hold it. A folded operator carries the name of the last tensor folded into it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from search_spaces.errors import UnsupportedOp
from search_spaces.graph import Op
from search_spaces.onnx_draft import Draft

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


def fold_pads(draft: Draft, outputs: Collection[str]) -> None:
    """Zero padding goes into every convolution that reads it, and into a max pool over values that are never negative.

    Raises:
        UnsupportedOp: something else reads the padded map.
    """
    kinds = {op.name: op.kind for op in draft.ops}
    pending: dict[str, tuple[str, tuple[int, ...]]] = {}  # padded tensor -> the tensor it pads, and by how much
    kept: list[Op] = []
    for op in draft.ops:
        padded = [name for name in op.inputs if name in pending]
        if padded:
            source, more = pending[padded[0]]
            takes = op.kind in ("conv", "max_pool", "pad")
            pads = tuple(own + extra for own, extra in zip(op["pads"], more, strict=True)) if takes else ()
            if op.kind == "max_pool":
                # Zeros equal a max pool's own padding if no value is below zero and no window is padding alone.
                small = all(pad < side for pad, side in zip(pads, op["kernel"] * 2, strict=True))
                pads = pads if small and kinds.get(source) in ("relu", "relu6", "sigmoid") else ()
            if not pads:
                advice = "pad inside the operator that reads it, or before a convolution"
                raise UnsupportedOp(f"Pad {padded[0]!r} is read by {op.kind} {op.name!r}, which cannot pad; {advice}")
            op = Op(op.name, op.kind, (source,), op.attrs).replace(pads=pads)
        if op.kind == "pad":
            pending[op.name] = (op.inputs[0], op["pads"])
        else:
            kept.append(op)
    for name in outputs:
        if name in pending:
            raise UnsupportedOp(f"Pad {name!r} makes an output; end the model before it")
    draft.ops = kept


def drop_identities(draft: Draft) -> None:
    """Removes pools over one element: a network made for larger images may end in them."""
    names: dict[str, str] = {}
    kept: list[Op] = []
    for op in draft.ops:
        op = _rewired(op, names)
        one = op.kind in ("max_pool", "avg_pool") and (op["kernel"], op["stride"], op["pads"]) == _ONE_ELEMENT
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
        foldable = at is not None and kept[at].kind in ("conv", "linear", "affine")
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
        for role in ("weight", "bias"):
            if f"{old}.{role}" in draft.weights:
                draft.weights[f"{new}.{role}"] = draft.weights.pop(f"{old}.{role}")
