"""Nodes that are kept as they are: attention, unusual norms, and whatever is understood but has no kind of its own.

Such an operator has the kind `onnx`. Its structure and its channels stay; its float constants, but for single numbers,
are weights and are trained with the rest; `nas.frozen` computes it in torch and `to_onnx` writes it as it came. It may
put the batch axis anywhere and fold other axes into it (as windowed attention does), so its shape is a template, in
which -k stands for k times the batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search_spaces import ops
from search_spaces.errors import ModelError
from search_spaces.graph import Op, Shape
from search_spaces.onnx_draft import BATCH, Draft, Node, View

Template = tuple[int, ...]

OPERATORS = frozenset({
    *("Abs", "Add", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose", "DepthToSpace", "Div", "Einsum"),
    *("Erf", "Exp", "Expand", "Flatten", "Gather", "Gemm", "HardSigmoid", "HardSwish", "InstanceNormalization"),
    *("LayerNormalization", "LeakyRelu", "Log", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "Pad", "Pow", "PRelu"),
    *("Reciprocal", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Selu", "Sigmoid", "Slice"),
    *("Softmax", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"),
    *("GlobalAveragePool", "Resize"),
})  # fmt: skip

_AXES_AS_INPUT = frozenset({"ReduceSum", "Squeeze", "Unsqueeze"})  # in the opset that `to_onnx` writes
_AXES_AS_SETTING = frozenset({"ReduceL2", "ReduceMax", "ReduceMean"})
_LEARNS = frozenset({
    *("Add", "Concat", "Conv", "ConvTranspose", "Div", "Einsum", "Gemm", "InstanceNormalization", "LayerNormalization"),
    *("MatMul", "Mul", "PRelu", "Sub"),
})  # fmt: skip
"""Operators whose constants are weights; elsewhere they are settings."""

_TENSORS = frozenset({"Conv", "ConvTranspose", "InstanceNormalization", "LayerNormalization"})

_TAKES_BATCH = frozenset({"Reshape", "Expand"})  # their integers may count the batch


def is_simple(template: Template) -> bool:
    """Is the batch the first axis, and nothing but the batch?"""
    return template[0] == -1 and min(template[1:], default=1) > 0


def keep(draft: Draft, node: Node, opset: int) -> None:
    """The node becomes an operator of kind `onnx`; a Split becomes a Slice for each of its outputs.

    Raises:
        UnsupportedOp: its shape cannot be worked out, or the batch cannot be followed.
    """
    if node.kind == "Softmax" and opset < 13:
        node.refuse("before opset 13 a Softmax flattens its axes; export with opset 13 or newer")
    if node.kind == "Split":
        return _split(draft, node, opset)
    _check_window(node)
    if node.kind == "Squeeze" and "axes" not in node.attrs and len(node.inputs) < 2:
        node.refuse("the axes to drop must be named, else a batch of one would lose its axis")
    attrs, inputs = dict(node.attrs), list(node.inputs)
    if node.kind in _AXES_AS_SETTING and len(inputs) > 1 and inputs[1]:
        attrs["axes"], inputs = draft.constant(node, 1, "axes").tolist(), inputs[:1]
    if node.kind in _AXES_AS_INPUT and "axes" in attrs:
        name = draft.fresh(f"{node.outputs[0]}.axes")
        draft.constants[name] = np.array(attrs.pop("axes"), np.int64)
        inputs = [inputs[0], name]
    last = node.kind == "LayerNormalization" and _channels_last(draft, inputs[0])
    _append(draft, Node(node.kind, node.label, tuple(inputs), node.outputs[:1], attrs), opset)
    if last:  # linear layers behind it are then 1x1 convolutions
        made = draft.views[node.outputs[0]].tensor
        height, width, channels = draft.shapes[made]
        settings, template = (("perm", (0, 3, 1, 2)),), (-1, channels, height, width)
        back = _kept(draft, draft.fresh(f"{made}.back"), "Transpose", made, settings, (), template)
        draft.views[node.outputs[0]] = View(back, (1, 2, 0))
        draft.held[node.outputs[0]] = made


def _channels_last(draft: Draft, name: str) -> bool:
    view = draft.views.get(name)
    return view is not None and view.order == (1, 2, 0) and len(draft.shapes[view.tensor]) == 3


def _check_window(node: Node) -> None:
    """Refuses what `nas.frozen` does not compute, so that nothing fails later."""
    attrs = node.attrs
    if attrs.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        node.refuse("auto_pad has no rule here; export with explicit pads")
    pads = attrs.get("pads", ())
    half = len(pads) // 2
    pool = node.kind in ("AveragePool", "MaxPool")
    if node.kind in ("AveragePool", "MaxPool", "ConvTranspose") and list(pads[:half]) != list(pads[half:]):
        node.refuse("padding that differs from side to side has no rule here; pad before it")
    if pool and (
        len(attrs["kernel_shape"]) != 2 or set(attrs.get("dilations", (1, 1))) != {1} or any(node.outputs[1:])
    ):
        node.refuse("only pools over height and width without dilation and indices are supported")
    if "output_shape" in attrs:
        node.refuse("give output_padding instead of output_shape")
    if node.kind == "Resize":
        mode, place = attrs.get("mode", b"nearest"), attrs.get("coordinate_transformation_mode", b"half_pixel")
        nearest = place == b"asymmetric" and attrs.get("nearest_mode") == b"floor"
        even = place in (b"half_pixel", b"pytorch_half_pixel", b"align_corners") and not attrs.get("antialias", 0)
        if not (nearest if mode == b"nearest" else even):
            node.refuse(f"Resize by {mode.decode()} and {place.decode()} has no rule")
        if mode == b"cubic" and attrs.get("cubic_coeff_a", -0.75) != -0.75:
            node.refuse("Resize by cubic needs cubic_coeff_a of -0.75")


def _split(draft: Draft, node: Node, opset: int) -> None:
    axis = int(node.attrs.get("axis", 0))
    size = full_shape(draft, node.inputs[0])[axis]
    count = len(node.outputs)
    even = [-(-size // count)] * (count - 1)
    parts = [int(part) for part in draft.setting(node, "split", 1, [*even, size - sum(even)])]
    start = 0
    for name, part in zip(node.outputs, parts, strict=True):
        given = []
        for role, value in (("start", start), ("stop", start + part), ("axis", axis)):
            given.append(draft.fresh(f"{name}.{role}"))
            draft.constants[given[-1]] = np.array([value], np.int64)
        _append(draft, Node("Slice", node.label, (node.inputs[0], *given), (name,), {}), opset)
        start += part


def _append(draft: Draft, node: Node, opset: int) -> None:
    places, sources, fixed, learned = [], [], [], []
    values: dict[str, np.ndarray] = {}
    for place, name in enumerate(node.inputs):
        if not name:
            continue
        if name not in draft.constants:
            places.append(place)
            sources.append(materialised(draft, node, name))
        elif _is_learned(node, draft.constants[name]):
            array, axis = _without_batch(node, draft.constants[name])
            learned.append((f"c{place}", place, array.shape, axis))
            values[f"c{place}"] = array.astype(np.float64)
        else:
            array = draft.constants[name]
            if node.kind not in _TAKES_BATCH and array.dtype.kind == "i" and any(map(_counts_batch, array.flat)):
                node.refuse("it computes with the size of the batch, which has no rule")
            fixed.append((place, array.shape, tuple(array.ravel().tolist())))
    if not sources:
        node.refuse("nothing that it reads is computed from the model's input")
    template = _inferred(draft, node, opset)
    if node.kind == "Reshape":  # with its -1 and 0 worked out
        sides = tuple(-side * BATCH if side < 0 else side for side in template)
        fixed = [(1, (len(sides),), sides)]
    first = _template(full_shape(draft, node.inputs[places[0]]))
    axis = next(k for k, side in enumerate(first) if side < 0)
    name = draft.fresh(node.outputs[0])
    op = Op.make(
        name,
        "onnx",
        *sources,
        operator=node.kind,
        settings=tuple(sorted((key, _plain(value)) for key, value in node.attrs.items())),
        places=tuple(places),
        fixed=tuple(fixed),
        learned=tuple(learned),
        batch=(axis, -first[axis]),
        template=template,
    )
    draft.append(op, ops.KINDS["onnx"].shape(op, []))
    for role, array in values.items():
        draft.weights[f"{name}.{role}"] = array
    draft.templates[name] = template
    draft.show(node.outputs[0], name)


def _is_learned(node: Node, constant: np.ndarray) -> bool:
    """Single numbers are settings as well, except where an operator takes tensors alone."""
    enough = constant.size > 1 or (constant.ndim > 0 and node.kind in _TENSORS)
    return node.kind in _LEARNS and constant.dtype.kind == "f" and enough


def materialised(draft: Draft, node: Node, name: str) -> str:
    """The tensor that holds an ONNX tensor's values in its own order of axes, made if there is none."""
    if name not in draft.views:
        node.refuse(f"input {name!r} must be computed from the model's input or constant")
    view = draft.views[name]
    if draft.is_plain(view) or name in draft.held:
        return draft.held.get(name, view.tensor)
    if view.columns is not None:
        node.refuse("its input is a flatten of moved axes; export without that")
    if view.groups:
        return _set_apart(draft, name, view)
    shape, source = draft.shapes[view.tensor], view.tensor
    missing = tuple(axis for axis in range(len(shape)) if axis not in view.order)
    order = (*view.order, *missing)
    made = f"{name}.turned" if name in draft.shapes else name
    if order != tuple(range(len(shape))):
        settings, template = (("perm", (0, *(axis + 1 for axis in order))),), (-1, *(shape[axis] for axis in order))
        source = _kept(draft, f"{made}.whole" if missing else made, "Transpose", source, settings, (), template)
    if missing:
        sides = draft.sides(view)
        fixed = ((1, (len(sides) + 1,), (BATCH, *sides)),)
        source = _kept(draft, made, "Reshape", source, (), fixed, (-1, *sides))
    draft.held[name] = source
    return source


def _set_apart(draft: Draft, name: str, view: View) -> str:
    """Channels as groups x members, or as members x groups."""
    made = f"{name}.turned" if name in draft.shapes else name
    members, groups, *sides = draft.sides(view)
    if view.groups > 0:
        members, groups = groups, members
    apart = f"{made}.whole" if view.groups < 0 else made
    fixed = ((1, (len(sides) + 3,), (BATCH, groups, members, *sides)),)
    source = _kept(draft, apart, "Reshape", view.tensor, (), fixed, (-1, groups, members, *sides))
    if view.groups < 0:
        settings = (("perm", (0, 2, 1, *range(3, len(sides) + 3))),)
        source = _kept(draft, made, "Transpose", source, settings, (), (-1, members, groups, *sides))
    draft.held[name] = source
    return source


def settle(draft: Draft) -> None:
    """Functions that no pass has made part of another become operators that are kept as they are."""
    for place, op in enumerate(draft.ops):
        if op.kind not in ops.KINDS:
            made = draft.ops.pop(place)
            _kept(draft, made.name, made.kind.title(), made.inputs[0], (), (), (-1, *draft.shapes.pop(made.name)))
            draft.ops.insert(place, draft.ops.pop())


def _kept(
    draft: Draft, name: str, kind: str, source: str, settings: Iterable[Any], fixed: Iterable[Any], template: Template
) -> str:
    if name in draft.shapes:
        raise ModelError(f"the name {name!r} is used twice")
    op = Op.make(
        name, "onnx", source, operator=kind, settings=tuple(settings), places=(0,), fixed=tuple(fixed), learned=(),
        batch=(0, 1), template=template,
    )  # fmt: skip
    draft.templates[name] = template
    return draft.append(op, ops.KINDS["onnx"].shape(op, []))


def full_shape(draft: Draft, name: str) -> Shape:
    """The ONNX shape of a name, with `BATCH` for the batch."""
    if name in draft.constants:
        return draft.constants[name].shape
    view = draft.views[name]
    template = draft.templates.get(view.tensor)
    if template is not None and not is_simple(template):
        return tuple(-side * BATCH if side < 0 else side for side in template)
    return (BATCH, *draft.sides(view))


def _template(shape: Iterable[int]) -> Template:
    return tuple(-(side // BATCH) if _counts_batch(side) else side for side in shape)


def _counts_batch(value: int) -> bool:
    return bool(0 < value < BATCH * 10_000 and value % BATCH == 0)


def _without_batch(node: Node, array: np.ndarray) -> tuple[np.ndarray, int]:
    """A constant that was repeated for every sample of a batch, once, and that axis; -1 for any other constant."""
    for axis, side in enumerate(array.shape):
        if side == BATCH:
            first = array.take([0], axis)
            if not (array == first).all():
                node.refuse("a constant differs from sample to sample")
            return first, axis
    return array, -1


def _plain(value: Any) -> Any:
    """An attribute's value as something hashable."""
    if isinstance(value, np.ndarray):
        return tuple(value.ravel().tolist())
    if isinstance(value, bytes):
        return value.decode()
    return tuple(value) if isinstance(value, list) else value


def _inferred(draft: Draft, node: Node, opset: int) -> Template:
    """The template of the node's output, by ONNX's own shape inference."""
    inputs, constants = [], []
    for name in dict.fromkeys(name for name in node.inputs if name):
        if name in draft.constants:
            constants.append(numpy_helper.from_array(np.asarray(draft.constants[name]), name))
        else:
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, full_shape(draft, name)))
    made = helper.make_node(node.kind, node.inputs, node.outputs, **node.attrs)
    end = helper.make_tensor_value_info(node.outputs[0], TensorProto.FLOAT, None)
    body = helper.make_graph([made], "one", inputs, [end], constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)])
    try:
        found = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        node.refuse(f"its shape cannot be worked out ({str(error).splitlines()[0][:80]})")
    dims = found.graph.output[0].type.tensor_type.shape.dim
    if not dims or any(not dim.HasField("dim_value") for dim in dims):
        node.refuse("its shape depends on its values; export with fixed sizes")
    template = _template(dim.dim_value for dim in dims)
    if sum(side < 0 for side in template) != 1:
        node.refuse(f"the batch axis must stay in one place, got the shape {template}")
    return template


def is_readable(draft: Draft, name: str) -> bool:
    """May a rule of `onnx_nodes` read this name? Only if the batch is simply its first axis."""
    template = draft.templates.get(draft.views[name].tensor)
    return template is None or is_simple(template)
