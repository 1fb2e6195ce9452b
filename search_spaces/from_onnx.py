"""ONNX to Graph and weights: the door through which every model enters.

Nodes are read in order by the rules of `onnx_nodes`; whatever depends on constants alone is computed with ONNX's own
reference implementation; then the passes of `onnx_fold` fold padding and per-channel arithmetic (BatchNormalization)
into convolutions and linear layers. What is not understood is refused by name, never guessed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from search_spaces import onnx_fold, onnx_frozen
from search_spaces.errors import EngineError, ModelError, UnsupportedOp
from search_spaces.graph import Graph, Shape
from search_spaces.onnx_constants import COMPUTABLE, compute
from search_spaces.onnx_draft import Draft, Node, View
from search_spaces.onnx_nodes import RULES, advice
from search_spaces.onnx_windows import SERIES
from search_spaces.to_onnx import AS_WRITTEN, PACKED

# What reading a damaged node may raise: missing attributes, inputs of another type, sizes that do not fit.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)

_BROADCAST = {"Add", "Sub", "Mul"}

_WINDOWS = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}


def load_model(path: Path, input_shape: Shape | None = None) -> tuple[Graph, dict[str, np.ndarray]]:
    """The network in an ONNX file, and its weights as float32; `input_shape` as in `parse`.

    Raises:
        ModelError: the file is missing, truncated, not ONNX, or breaks ONNX's rules.
        UnsupportedOp: an operator has no rule.
    """
    if not path.is_file():
        raise ModelError(f"the model must be an ONNX file, got {str(path)!r}, which is not there")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    return read_model(content, path, input_shape)


def read_model(content: bytes, path: Path, input_shape: Shape | None = None) -> tuple[Graph, dict[str, np.ndarray]]:
    """The network in the bytes of an ONNX file, and its weights as float32.

    Args:
        content: the file's bytes.
        path: what messages call it; weights kept outside the file are looked for beside it.
        input_shape: as in `parse`.

    Raises:
        ModelError: the bytes are truncated, not ONNX, or break ONNX's rules.
        UnsupportedOp: an operator has no rule.
    """
    try:
        model = onnx.load_model_from_string(content)
        if not model.graph.node:
            raise ModelError(f"{path} holds no ONNX network: it is empty or cut short; export it again")
        tensors = [
            *model.graph.initializer,
            *(attribute.t for node in model.graph.node for attribute in node.attribute),
        ]
        external = any(onnx.external_data_helper.uses_external_data(tensor) for tensor in tensors)
        onnx.load_external_data_for_model(model, str(path.parent))
        _known_operators(model)
        onnx.checker.check_model(model if external else content)  # writing it again takes as long as the check
    except (DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path} is not a whole ONNX file ({reason}); export it again") from error
    try:
        return parse(model, input_shape)
    except EngineError:
        raise
    except _DAMAGE as error:
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"
        raise ModelError(f"{path} breaks a rule of ONNX ({reason}); export it again") from error


def parse(model: onnx.ModelProto, input_shape: Shape | None = None) -> tuple[Graph, dict[str, np.ndarray]]:
    """The network in an ONNX model, and its weights as float32.

    Tensors keep their ONNX names, but `/features/0/Conv_output_0` is called `features/0/Conv`; an operator that several
    nodes were folded into has the last one's. A model written by `to_onnx` is taken as it stands.

    Args:
        model: one input and any number of outputs, float32, with a batch axis first.
        input_shape: the input's shape without the batch axis, in the file's order of axes; needed where the file leaves
            it open.

    Raises:
        ModelError: the input's shape is not known, shapes do not fit, or a weight is not finite.
        UnsupportedOp: an operator has no rule, or is used in a way that has none; the message names the node.
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    _known_operators(model)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    if opset < 7:
        raise ModelError(f"the model must use ONNX opset 7 or newer, got {opset}; export it again")
    draft = _start(model.graph, input_shape)
    _read_all(draft, model.graph.node, opset)
    told = {entry.key: entry.value for entry in model.metadata_props}
    graph, weights = _finish(draft, AS_WRITTEN in told.items())
    return _packed(graph, json.loads(told.get(PACKED, "[]"))), weights


def _packed(graph: Graph, names: list[str]) -> Graph:
    """With weights of 4 bits in these convolutions."""
    if not names:
        return graph
    ops = [op.stored_in(4) if op.name in names and op.kind == "conv" else op for op in graph.ops]
    return replace(graph, ops=tuple(ops))


def _read_all(draft: Draft, protos: Iterable[onnx.NodeProto], opset: int) -> None:
    """Nodes in order: shapes and what depends on constants alone are computed, all else becomes operators."""
    for proto in protos:
        node = _node(proto)
        if node.kind == "Shape" and any(node.inputs[0] in of for of in (draft.views, draft.repeated, draft.differing)):
            sides = onnx_frozen.full_shape(draft, node.inputs[0])
            sides = sides[slice(node.attrs.get("start", 0), node.attrs.get("end"))]
            draft.constants[node.outputs[0]] = np.array(sides, np.int64)
        elif node.kind == "Constant":
            draft.constants[node.outputs[0]] = np.asarray(next(iter(node.attrs.values())))
        elif node.kind == "If" and node.inputs[0] in draft.constants:
            _read_branch(draft, node, opset)
        elif node.kind in COMPUTABLE and all(name in draft.constants for name in node.inputs if name):
            compute(draft, node, proto, opset)
        else:
            _read(draft, node, opset)


def _read_branch(draft: Draft, node: Node, opset: int) -> None:
    """The branch that an If takes whatever the input is; exporters write one around a squeeze."""
    branch = node.attrs["then_branch" if draft.constants[node.inputs[0]].item() else "else_branch"]
    draft.constants |= {tensor.name: numpy_helper.to_array(tensor) for tensor in branch.initializer}
    _read_all(draft, branch.node, opset)
    for name, made in zip(node.outputs, branch.output, strict=True):
        _read_all(draft, [helper.make_node("Identity", [made.name], [name])], opset)


def _read(draft: Draft, node: Node, opset: int) -> None:
    """A node by its rule; where that does not hold, as it is, if it can be kept."""
    simple = all(name not in draft.views or onnx_frozen.is_readable(draft, name) for name in node.inputs)
    if node.kind in RULES and simple:
        count = len(draft.ops)
        try:
            return RULES[node.kind](draft, node)
        except ModelError as error:
            draft.forget(count, node.outputs)
            # A shape rule that is broken is a broken file, unless ONNX repeats the smaller side as the graph does not.
            understood = isinstance(error, UnsupportedOp) or node.kind in _BROADCAST
            if not (understood and _kept(draft, node, opset)):
                raise error
            return None
    if node.kind not in onnx_frozen.OPERATORS:
        node.refuse(advice(node.kind))
    return onnx_frozen.keep(draft, node, opset)


def _kept(draft: Draft, node: Node, opset: int) -> bool:
    """Keeps a node whose rule does not hold; False if that cannot be done either, and the rule's own words say more."""
    count = len(draft.ops)
    try:
        if node.kind not in onnx_frozen.OPERATORS:
            return False
        onnx_frozen.keep(draft, node, opset)
    except UnsupportedOp:
        draft.forget(count, node.outputs)
        return False
    return True


def _known_operators(model: onnx.ModelProto) -> None:
    """Refuses the first node without any rule, before anything else is said about the model."""
    local = {(function.domain, function.name) for function in model.functions}
    for proto in model.graph.node:
        if proto.domain not in ("", "ai.onnx"):
            if (proto.domain, proto.op_type) not in local:
                _node(proto).refuse(f"operators of the domain {proto.domain!r} have no rule; export with standard ones")
        elif proto.op_type not in RULES and proto.op_type not in COMPUTABLE | onnx_frozen.OPERATORS | {
            "Constant",
            "If",
        }:
            _node(proto).refuse(advice(proto.op_type))


def _node(proto: onnx.NodeProto) -> Node:
    def plain(attribute: onnx.AttributeProto) -> Any:
        value = helper.get_attribute_value(attribute)
        return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value

    return Node(
        proto.op_type,
        proto.name or (proto.output[0] if proto.output else "unnamed"),
        tuple(proto.input),
        tuple(proto.output),
        {attribute.name: plain(attribute) for attribute in proto.attribute},
    )


def _start(body: onnx.GraphProto, input_shape: Shape | None) -> Draft:
    """A draft that knows the input, the outputs' names and the initializers."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in body.initializer}
    inputs = [value for value in body.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(f"the model must have exactly one input, got {names}; export one input and fix the others")
    (image,) = inputs
    number = image.type.tensor_type.elem_type
    if number != onnx.TensorProto.FLOAT:
        found = onnx.TensorProto.DataType.Name(number).lower()
        raise ModelError(f"input {image.name!r} must be float32, got {found}; export the model in float32")
    dims = image.type.tensor_type.shape.dim
    if len(dims) < 2:
        raise ModelError(f"input {image.name!r} must have a batch axis and at least one more, got {len(dims)} axes")
    batch, *sides = (dim.dim_value if dim.dim_value > 0 else None for dim in dims)
    wanted = input_shape or tuple(side or 0 for side in sides)
    fits = len(wanted) == len(sides) and all(side in (None, want) for side, want in zip(sides, wanted, strict=False))
    if not fits or min(wanted) < 1:
        declared = " x ".join(str(dim.dim_value or dim.dim_param or "?") for dim in dims)
        got = f"asked for {input_shape}" if input_shape else "the sides are open; give --input-shape 3x96x96"
        raise ModelError(f"input {image.name!r} must have fixed sides behind the batch axis, got {declared}: {got}")
    outputs = tuple(value.name for value in body.output)
    if len(wanted) == 2 and any(node.op_type in _WINDOWS for node in body.node):
        # A series, channels x length, is a map of height 1 that is looked at without its height.
        draft = Draft(image.name, (wanted[0], 1, wanted[1]), outputs, batch, constants)
        draft.views[image.name] = View(image.name, SERIES)
        return draft
    return Draft(image.name, wanted, outputs, batch, constants)


def _names_of_nodes(draft: Draft) -> dict[str, str]:
    """Short names of tensors that PyTorch's exporter named after their nodes, where these names are free."""
    short = {op.name: re.sub(r"_output_0(?=\.|$)", "", op.name).lstrip("/") for op in draft.ops}
    counts = Counter([*short.values(), draft.input, *draft.outputs])
    return {name: new for name, new in short.items() if new and counts[new] == 1 and (new == name or new not in short)}


def _names_of_turned(draft: Draft) -> dict[str, str]:
    """Operators that a file computes with the channels last, and what their outputs are called once turned back."""
    turned = {op.name for op in draft.ops if op.name in draft.views and not draft.is_plain(draft.views[op.name])}
    return {v.tensor: name for name, v in draft.views.items() if v.tensor in turned and draft.is_plain(v)}


def _finish(draft: Draft, as_written: bool) -> tuple[Graph, dict[str, np.ndarray]]:
    """Folds the draft, names the outputs as the file does, and rounds the weights to float32."""
    for name in draft.outputs:
        if name not in draft.views or not onnx_frozen.is_readable(draft, name):
            raise ModelError(f"output {name!r} must be computed from the input, the batch axis first")
        draft.show(name, onnx_frozen.materialised(draft, Node("Output", name, (name,), (), {}), name))

    def ends() -> tuple[str, ...]:
        return tuple(dict.fromkeys(draft.views[name].tensor for name in draft.outputs))

    if not as_written:
        onnx_fold.prune(draft, ends())
        onnx_fold.fold_pads(draft)
        onnx_fold.prune(draft, ends())
        onnx_fold.drop_identities(draft)
        onnx_fold.fold_back(draft, ends())
        onnx_fold.drop_identities(draft)
        onnx_fold.fold_ahead(draft, ends())
    onnx_frozen.settle(draft)
    names = {op.name: op.name for op in draft.ops}
    names |= _names_of_turned(draft) if as_written else _names_of_nodes(draft)
    for name in draft.outputs:
        tensor = draft.views[name].tensor
        if tensor in names and name not in names and tensor not in draft.outputs:
            names[tensor] = name
    onnx_fold.rename(draft, {old: new for old, new in names.items() if old != new})
    outputs = tuple(dict.fromkeys(names.get(tensor, tensor) for tensor in ends()))
    graph = Graph(draft.input, draft.input_shape, tuple(draft.ops), outputs)
    weights = {name: np.ascontiguousarray(draft.weights[name], np.float32) for name in graph.weight_shapes}
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise ModelError(
                f"weights must be finite, got NaN or infinity in {name!r}; train or export the model again"
            )
    return graph, weights
