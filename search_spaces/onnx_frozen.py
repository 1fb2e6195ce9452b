"""Nodes that are kept as they are: attention, unusual norms, and whatever is understood but has no kind of its own.

Such an operator has the kind `onnx`. Its structure and its channels stay; its float constants, but for single numbers,
are weights and are trained with the rest; `nas.students.frozen` computes it in torch and `to_onnx` writes it as it
came. It may put the batch axis anywhere and fold other axes into it (as windowed attention does), so its shape is a
template, in which -k stands for k times the batch.
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
from search_spaces.onnx_draft import BATCH, Draft, Node, View, counts_batch

Template = tuple[int, ...]

OPERATORS = frozenset({
    *("Abs", "Add", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose", "DepthToSpace", "Div", "Einsum"),
    *("Erf", "Exp", "Expand", "Flatten", "Gather", "Gemm", "HardSigmoid", "HardSwish", "InstanceNormalization"),
    *("LayerNormalization", "LeakyRelu", "Log", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "Pad", "Pow", "PRelu"),
    *("Reciprocal", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Selu", "Sigmoid", "Slice"),
    *("Softmax", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"),
    *("BatchNormalization", "GlobalAveragePool", "Resize", "ScatterND", "Tile"),
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


def keep(draft: Draft, node: Node, opset: int) -> None:
    """The node becomes an operator of kind `onnx`; a Split becomes a Slice for each of its outputs.

    Raises:
        UnsupportedOp: its shape cannot be worked out, or the batch cannot be followed.
    """
    if node.kind == "Softmax" and opset < 13:
        node.refuse("before opset 13 a Softmax flattens its axes; export with opset 13 or newer")
    if node.kind == "Split":
        return _split(draft, node, opset)
    if node.kind == "BatchNormalization":
        return _batch_norm(draft, node, opset)
    if node.kind == "ScatterND":
        return _scatter(draft, node, opset)
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
    if node.kind == "Resize" and len(inputs) > 3 and inputs[3]:
        inputs = [inputs[0], "", _scales(draft, node)]
    _append(draft, Node(node.kind, node.label, tuple(inputs), node.outputs[:1], attrs), opset)


def _check_window(node: Node) -> None:
    """Refuses what `nas.students.frozen` does not compute, so that nothing fails later."""
    attrs = node.attrs
    if attrs.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        node.refuse("auto_pad has no rule here; export with explicit pads")
    pads = attrs.get("pads", ())
    half = len(pads) // 2
    pool = node.kind in ("AveragePool", "MaxPool")
    if (pool or node.kind == "ConvTranspose") and list(pads[:half]) != list(pads[half:]):
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
    for name, (start, stop) in draft.parts(node, full_shape(draft, node.inputs[0])[axis]).items():
        _slice(draft, node, opset, name, node.inputs[0], axis, start, stop)


def _slice(draft: Draft, node: Node, opset: int, name: str, source: str, axis: int, start: int, stop: int) -> None:
    given = []
    for role, value in (("start", start), ("stop", stop), ("axis", axis)):
        given.append(draft.fresh(f"{name}.{role}"))
        draft.constants[given[-1]] = np.array([value], np.int64)
    _append(draft, Node("Slice", node.label, (source, *given), (name,), {}), opset)


def _scatter(draft: Draft, node: Node, opset: int) -> None:
    """A ScatterND that overwrites a block up to the end of every axis becomes Slices and Concats around the block."""
    source, indices, block = node.inputs
    sides = full_shape(draft, source)
    starts = _block_starts(draft, node, indices, sides)
    name = node.outputs[0]
    cuts = [axis for axis, start in enumerate(starts) if start]
    if not cuts:
        return draft.alias(node, draft.view(node, 2))
    rests = [source, *(draft.fresh(f"{name}.rest{axis}") for axis in cuts[:-1])]
    for rest, behind, axis in zip(rests, rests[1:], cuts, strict=False):
        _slice(draft, node, opset, behind, rest, axis, starts[axis], sides[axis])
    for rest, axis in reversed(list(zip(rests, cuts, strict=True))):
        front = draft.fresh(f"{name}.front{axis}")
        _slice(draft, node, opset, front, rest, axis, 0, starts[axis])
        joined = name if axis == cuts[0] else draft.fresh(f"{name}.joined{axis}")
        _append(draft, Node("Concat", node.label, (front, block), (joined,), {"axis": axis}), opset)
        block = joined


def _block_starts(draft: Draft, node: Node, indices: str, sides: Shape) -> list[int]:
    """Where the block of a ScatterND's indices begins; refuses any other indices."""
    law = "only a block up to the end of every axis can be overwritten"
    if indices not in draft.constants or draft.constants[indices].shape[-1:] != (len(sides),):
        node.refuse(law)
    for count in (1, 2):
        given = draft.for_samples(indices, count)
        ends = [side // BATCH * count if counts_batch(side) else side for side in sides]
        starts = given[(0,) * len(sides)].tolist()
        whole = np.meshgrid(*map(np.arange, starts, ends), indexing="ij")
        if not np.array_equal(given, np.stack(whole, -1)):
            node.refuse(law)
    return starts


def _batch_norm(draft: Draft, node: Node, opset: int) -> None:
    """Of a tensor whose batch axis is not simply its first: a Mul and an Add of its channels, the second axis."""
    scale, shift = draft.norm(node)
    sides = (-1, *(1,) * (len(full_shape(draft, node.inputs[0])) - 2))
    names = [draft.fresh(f"{node.outputs[0]}.{part}") for part in ("scale", "shift", "scaled")]
    for name, values in zip(names, (scale, shift), strict=False):
        draft.constants[name] = values.reshape(sides)
    _append(draft, Node("Mul", node.label, (node.inputs[0], names[0]), (names[2],), {}), opset)
    _append(draft, Node("Add", node.label, (names[2], names[1]), node.outputs[:1], {}), opset)


def _scales(draft: Draft, node: Node) -> str:
    """The name of a Resize's factors in place of its sizes, which count the batch: the least float32 that give them."""
    wanted = draft.constant(node, 3, "sizes").tolist()
    scales = []
    for size, before in zip(wanted, full_shape(draft, node.inputs[0]), strict=True):
        scale = np.float32(size / before)
        while np.floor(scale * np.float32(before)) < size:
            scale = np.nextafter(scale, np.float32(np.inf))
        scales.append(scale)
    name = draft.fresh(f"{node.outputs[0]}.scales")
    draft.constants[name] = np.array(scales, np.float32)
    return name


def _append(draft: Draft, node: Node, opset: int) -> None:
    places, sources, fixed, learned = [], [], [], []
    values: dict[str, np.ndarray] = {}
    for place, name in enumerate(node.inputs):
        if not name:
            continue
        if name not in draft.constants:
            places.append(place)
            sources.append(materialised(draft, node, name))
            continue
        draft.check_alike(node, name)
        if _is_learned(draft, node, name):
            array, axis = draft.constants[name], draft.repeated.get(name, -1)
            if axis >= 0 and array.shape[axis] > 1:
                node.refuse("a constant that is repeated for every sample must be one row of it")
            learned.append((f"c{place}", place, array.shape, axis))
            values[f"c{place}"] = array.astype(np.float64)
        else:
            array = draft.constants[name]
            counted = node.kind not in _TAKES_BATCH and np.any(counts_batch(array))
            if counted or name in draft.repeated:
                node.refuse("it computes with the size of the batch, which has no rule")
            fixed.append((place, array.shape, tuple(array.ravel().tolist())))
    if not sources:
        node.refuse("nothing that it reads is computed from the model's input")
    template = _inferred(draft, node, opset)
    if node.kind == "Reshape":  # with its -1 and 0 worked out
        sides = tuple(-side * BATCH if side < 0 else side for side in template)
        fixed = [(1, (len(sides),), sides)]
    elif node.kind == "Expand":  # what is computed has all samples already
        fixed = [(1, shape, tuple(1 if counts_batch(v) else v for v in values)) for _, shape, values in fixed]
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


def _is_learned(draft: Draft, node: Node, name: str) -> bool:
    """Single numbers are settings as well, except where an operator takes tensors alone."""
    constant = draft.constants[name]
    enough = constant.size > 1 or name in draft.repeated or (constant.ndim > 0 and node.kind in _TENSORS)
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
    if view.groups == 1:
        both = draft.sides(view)
        fixed = ((1, (3,), (BATCH, *both)),)
        draft.held[name] = _kept(draft, made, "Reshape", view.tensor, (), fixed, (-1, *both))
        return draft.held[name]
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
        one, two = draft.constants[name].shape, draft.differing.get(name, draft.constants[name]).shape
        batch = draft.repeated.get(name)
        grown = [axis == batch or sides[0] != sides[1] for axis, sides in enumerate(zip(one, two, strict=True))]
        return tuple(side * BATCH if more else side for side, more in zip(one, grown, strict=True))
    view = draft.views[name]
    template = draft.templates.get(view.tensor)
    if template is not None and not ops.batch_is_first(template):
        return tuple(-side * BATCH if side < 0 else side for side in template)
    return (BATCH, *draft.sides(view))


def _template(shape: Iterable[int]) -> Template:
    return tuple(-(side // BATCH) if counts_batch(side) else side for side in shape)


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
        if name in draft.constants and not _is_learned(draft, node, name):
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
    return template is None or ops.batch_is_first(template)
