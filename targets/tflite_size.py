"""The size of a `.tflite` file without drafting it: the sum that `targets.tflite_file` comes to.

A search asks this thousands of times, and a draft takes several times longer. `tflite_file.write` refuses to return a
file of another size, so the two cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod

from search_spaces.errors import TargetError
from targets import tflite_schema as schema
from targets.flatbuffer import BLOB_TABLE, Anchor, Layout, Node, blob_anchor, fill, head_size, longs_anchor
from targets.program import CallKind, Fused, Program
from targets.scales import scheme

_ALWAYS = frozenset({schema.MODEL, schema.SUBGRAPH, schema.QUANTIZATION, schema.ACTIVATION, schema.EMPTY})
_LISTS = 5  # vectors of tables: operator codes, subgraphs, tensors, operators, buffers


def check_runtime(program: Program) -> None:
    """Raises TargetError unless `program` was lowered for the runtime that reads `.tflite` files."""
    if program.runtime != "tflm":
        law = "a .tflite file knows TFLite's padding only"
        raise TargetError(f"{law}: lower the graph for runtime 'tflm', got {program.runtime!r}")


def file_size(program: Program) -> int:
    """Bytes of the `.tflite` file of `program`, whatever its weights.

    Raises:
        TargetError: `program` was not lowered for "tflm".
    """
    check_runtime(program)
    facts, activations = scheme(program), program.by_name
    unit, rectified = facts.unit, facts.rectified
    index = {name: number for number, name in enumerate(activations)}

    # Activations: equal ones are one table; equal shapes, scales and zero points one vector.
    # Each activation is what one operator writes, or the network's input: a vector of its number.
    vectors: set[tuple[int, ...]] = {(number,) for number in range(len(index))}
    vectors.add(tuple([index[name] for name in program.outputs]))
    described: set[tuple[object, tuple[object, object]]] = set()
    for activation in program.activations:
        group, shape = activation.scale_group, activation.shape
        scale: object = 1.0 if unit[group] == group else ("of", group)
        described.add((shape, activation.fixed or (scale, -128 if rectified[group] else ("of", group))))
        vectors.add((1, *shape))
    quantizations = {quantization for _, quantization in described}
    zeros: set[tuple[int, object]] = {(1, zero) for _, zero in quantizations}  # 64-bit vectors: length and content
    scales = len({scale for scale, _ in quantizations})

    # Calls: their own bytes are added up, what they may have in common is gathered first.
    parts: list[_Part] = []
    anchors: list[Anchor] = []
    stock = [0, 0, scales, 0]  # vectors that need no alignment, by their words modulo 4
    rest = 8 * scales  # their bytes
    settings: dict[schema.Constant, int] = {}  # shape and values -> number of the tensor
    nodes: set[Node] = {(schema.EMPTY,)}
    for call, fused in zip(program.calls, facts.fused, strict=True):
        source = activations[call.inputs[0]]
        group = source.scale_group
        part = _part(
            call.kind, fused, call.weight_shape, call.kernel, call.stride, call.dilation, call.same_padding,
            call.channel_multiplier, call.slope, source.shape[-1], unit[group] == group,
        )  # fmt: skip
        parts.append(part)
        numbers = [index[name] for name in call.inputs]
        if part.anchors:
            anchors += part.anchors
            rest += part.rest
            stock[part.words & 3] += part.lists
        for given in (
            ()
            if call.kind not in schema.WITH_SETTINGS
            else schema.settings_of(call, source.shape, activations[call.output].shape)
        ):
            number = settings.setdefault(given, len(index) + len(anchors) + len(settings))
            numbers += (number,)
        if part.anchors:  # weights and biases are tensors of its own, so its vector of numbers is too
            words = 3 + len(numbers)
            stock[words & 3] += 1
            rest += 4 * words
        else:
            vectors.add(tuple(numbers))
            if call.kind == "reshape":
                nodes.add((schema.RESHAPE_OPTIONS, activations[call.output].shape))
    tensors, buffers = len(index) + len(anchors) + len(settings), 1 + len(anchors) + len(settings)

    codes = dict.fromkeys([part.code for part in parts])
    first = next(iter(codes))  # its number, 0, is a default and not written
    firsts = sum([part.code == first for part in parts]) if schema.has_options(first) else 0
    layouts = set(_ALWAYS)
    for part in set(parts):
        layouts |= part.layouts
        nodes |= part.nodes
        vectors |= part.shapes
        zeros |= part.zeros
        layouts.add(schema.FIRST_OPERATOR if firsts and part.code == first else part.operator)
    if settings:
        layouts |= {schema.PLAIN_CONSTANT, BLOB_TABLE}
        vectors |= {shape for shape, _ in settings}
        anchors += [blob_anchor(4 * len(values)) for _, values in settings]
    layouts.update([node[0] for node in nodes])
    tables = sum([part.tables for part in parts]) - 4 * firsts + sum([node[0].size for node in nodes])
    tables += schema.MODEL.size + schema.SUBGRAPH.size + schema.PLAIN_CONSTANT.size * len(settings)
    tables += schema.ACTIVATION.size * len(described) + schema.QUANTIZATION.size * len(quantizations)
    tables += 4 * (_LISTS + 1 + len(codes) + tensors + len(parts) + buffers)
    for vector in vectors:
        words = 1 + len(vector)
        stock[words & 3] += 1
        rest += 4 * words
    anchors += [longs_anchor(length) for length, _ in zeros]
    anchors.sort()
    start = head_size(layouts) + tables
    return start + rest + sum([size for _, size in anchors]) + fill(start, anchors, stock)[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one call adds; equal calls have the same part. Sizes in bytes.

    Attributes:
        code: operator and version.
        operator: the layout of its table.
        tables: tables of its own.
        anchors: weights and biases; the rest is empty without them.
        rest: vectors of its own: scales.
        lists, words: how many vectors of scales those are, and the words of one.
        nodes, layouts, shapes, zeros: what it may share.
    """

    code: tuple[int, int]
    operator: Layout
    tables: int
    nodes: frozenset[Node]
    anchors: tuple[Anchor, ...] = ()
    rest: int = 0
    lists: int = 0
    words: int = 0
    layouts: frozenset[Layout] = frozenset()
    shapes: frozenset[tuple[int, ...]] = frozenset()
    zeros: frozenset[tuple[int, object]] = frozenset()


@cache
def _part(
    kind: CallKind,
    fused: Fused,
    weight_shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    same: bool,
    multiplier: int,
    slope: float,
    channels: int,
    unit_input: bool,
) -> _Part:
    code = schema.operator_of(kind, fused, weight_shape, channels)
    nodes = {schema.code(*code)}
    operator = schema.OPERATOR if schema.has_options(code) else schema.BARE_OPERATOR
    if schema.has_options(code) and kind != "reshape":
        nodes.add(schema.options_of(kind, fused, kernel, stride, dilation, same, multiplier, slope))
    if not weight_shape:
        return _Part(code, operator, operator.size, frozenset(nodes))
    count = weight_shape[-1] if kind == "dw" else weight_shape[0]
    own = schema.LAST_AXIS_QUANTIZATION if kind == "dw" else schema.QUANTIZATION
    quantization = schema.QUANTIZATION.size  # of the biases; the weights' may be the same
    if kind == "dw" or not unit_input:
        quantization += own.size
    lists = 1 if unit_input else 2
    return _Part(
        code,
        operator,
        operator.size + 2 * schema.CONSTANT.size + quantization,
        frozenset(nodes),
        anchors=(blob_anchor(prod(weight_shape)), blob_anchor(4 * count)),
        rest=4 * (1 + count) * lists,
        lists=lists,
        words=1 + count,
        layouts=frozenset({own, schema.CONSTANT, BLOB_TABLE}),
        shapes=frozenset({weight_shape, (count,)}),
        zeros=frozenset({(count, 0)}),
    )
