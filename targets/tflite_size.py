"""The size of a `.tflite` file without drafting it: the sum that `targets.tflite_file` comes to.

A search asks this thousands of times, and a draft takes several times longer. `tflite_file.write` refuses to return a
file of another size, so the two cannot drift apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

from search_spaces.errors import TargetError
from targets import tflite_schema as schema
from targets.flatbuffer import BLOB_TABLE, Anchor, Layout, Node, blob_anchor, fill, head_size, longs_anchor
from targets.program import Call, CallKind, Fused, Program
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
    frame, shapes = Frame(program), [activation.shape for activation in program.activations]
    parts = [
        part_of(call, shape, *known)
        for call, shape, known in zip(program.calls, frame.sources(shapes), frame.known, strict=True)
    ]
    return frame.size(parts, shapes)


class Frame:
    """What the size of a file owes to which calls there are and what they read, whatever their sizes.

    Attributes:
        known: per call, the activation its kernel still has to apply, and whether its input's scale is 1.

    Raises:
        TargetError: `program` was not lowered for "tflm".
    """

    def __init__(self, program: Program) -> None:
        check_runtime(program)
        facts, activations = scheme(program), program.by_name
        unit, rectified = facts.unit, facts.rectified
        index = {name: number for number, name in enumerate(activations)}
        self._sources = [index[call.inputs[0]] for call in program.calls]
        self._reshaped = [index[call.output] for call in program.calls if call.kind == "reshape"]
        groups = [activation.scale_group for activation in program.activations]
        self.known: tuple[tuple[Fused, bool], ...] = tuple(
            [(fused, unit[groups[k]] == groups[k]) for k, fused in zip(self._sources, facts.fused, strict=True)]
        )

        # Activations: each is what one operator writes, or the network's input: a vector of its number.
        self._vectors: set[tuple[int, ...]] = {(number,) for number in range(len(index))}
        self._vectors.add(tuple([index[name] for name in program.outputs]))
        self._quantized = []
        for activation, group in zip(program.activations, groups, strict=True):
            scale: object = 1.0 if unit[group] == group else ("of", group)
            self._quantized.append(activation.fixed or (scale, -128 if rectified[group] else ("of", group)))
        quantizations = set(self._quantized)
        self._zeros: set[tuple[int, object]] = {(1, zero) for _, zero in quantizations}  # 64-bit: length and content
        scales = len({scale for scale, _ in quantizations})

        # Vectors that need no alignment, by their words modulo 4, and their bytes.
        self._stock, self._rest = [0, 0, scales, 0], 8 * scales
        settings: dict[schema.Constant, int] = {}  # shape and values -> number of the tensor
        constants = 0  # weights and biases
        for call in program.calls:
            numbers = [index[name] for name in call.inputs]
            constants += 2 if call.weight_shape else 0
            if call.kind in schema.WITH_SETTINGS:
                shapes = activations[call.inputs[0]].shape, activations[call.output].shape
                given = schema.settings_of(call, *shapes)
                numbers += [settings.setdefault(each, len(index) + constants + len(settings)) for each in given]
            if call.weight_shape:  # weights and biases are tensors of its own, so its vector of numbers is too
                words = 3 + len(numbers)
                self._stock[words & 3] += 1
                self._rest += 4 * words
            else:
                self._vectors.add(tuple(numbers))
        self._vectors |= {shape for shape, _ in settings}
        self._anchors = [blob_anchor(4 * len(values)) for _, values in settings]

        self._layouts = set(_ALWAYS)
        if settings:
            self._layouts |= {schema.PLAIN_CONSTANT, BLOB_TABLE}
        if self._reshaped:
            self._layouts.add(schema.RESHAPE_OPTIONS)
        tensors, buffers = len(index) + constants + len(settings), 1 + constants + len(settings)
        self._tables = schema.MODEL.size + schema.SUBGRAPH.size + schema.PLAIN_CONSTANT.size * len(settings)
        self._tables += schema.QUANTIZATION.size * len(quantizations)
        self._tables += 4 * (_LISTS + 1 + tensors + len(program.calls) + buffers)
        self._heads: dict[tuple[object, frozenset[_Form]], int] = {}

    def sources(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Per call, which of the activations' shapes it reads first."""
        return [shapes[k] for k in self._sources]

    def size(self, parts: Sequence[Part], shapes: Sequence[tuple[int, ...]]) -> int:
        """Bytes of the file, given each call's part and each activation's shape."""
        # Equal activations are one table; equal shapes one vector.
        vectors, zeros = self._vectors.copy(), self._zeros.copy()
        vectors.update([(1, *shape) for shape in shapes])
        tables = self._head([part.form for part in parts]) + sum([part.tables for part in parts])
        tables += schema.ACTIVATION.size * len(set(zip(shapes, self._quantized, strict=True)))
        if self._reshaped:
            tables += schema.RESHAPE_OPTIONS.size * len({shapes[k] for k in self._reshaped})

        # Calls: their own bytes are added up, what they may have in common is gathered first.
        anchors, stock, rest = self._anchors.copy(), self._stock.copy(), self._rest
        for part in parts:
            if part.anchors:
                anchors += part.anchors
                rest += part.rest
                stock[part.words & 3] += part.lists
                vectors.update(part.shapes)
                zeros.add(part.zeros)
        for length, count in Counter(map(len, vectors)).items():
            stock[1 + length & 3] += count
            rest += 4 * (1 + length) * count
        anchors += [longs_anchor(length) for length, _ in zeros]
        anchors.sort()
        return tables + rest + sum([size for _, size in anchors]) + fill(tables, anchors, stock)[0]

    def _head(self, forms: Sequence[_Form]) -> int:
        """Bytes of the header and the tables, those left out that depend on sizes."""
        first = forms[0].code  # its number, 0, is a default and not written
        firsts = sum([form.code == first for form in forms]) if schema.has_options(first) else 0
        key = first, frozenset(forms)
        found = self._heads.get(key)
        if found is None:
            layouts, nodes = self._layouts.copy(), {(schema.EMPTY,)}
            for form in key[1]:
                layouts |= form.layouts
                nodes |= form.nodes
                layouts.add(schema.FIRST_OPERATOR if firsts and form.code == first else form.operator)
            layouts.update([node[0] for node in nodes])
            found = head_size(layouts) + self._tables + 4 * len({form.code for form in forms})
            found += sum([node[0].size for node in nodes])
            self._heads[key] = found
        return found - 4 * firsts


@dataclass(frozen=True, slots=True, eq=False)
class _Form:
    """What calls of different sizes have in common.

    Attributes:
        code: operator and version.
        operator: the layout of its table.
        nodes, layouts: what it may share.
    """

    code: tuple[int, int]
    operator: Layout
    nodes: frozenset[Node]
    layouts: frozenset[Layout]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one call adds; equal calls have the same part. Sizes in bytes.

    Attributes:
        form: what does not depend on its sizes.
        tables: tables of its own.
        anchors: weights and biases; the rest is empty without them.
        rest: vectors of its own: scales.
        lists, words: how many vectors of scales those are, and the words of one.
        shapes, zeros: what it may share.
    """

    form: _Form
    tables: int
    anchors: tuple[Anchor, ...] = ()
    rest: int = 0
    lists: int = 0
    words: int = 0
    shapes: tuple[tuple[int, ...], ...] = ()
    zeros: tuple[int, object] = (0, 0)


def part_of(call: Call, source: tuple[int, ...], fused: Fused, unit_input: bool) -> Part:
    """The part of a call that reads an activation of a shape; what else is given is `Frame.known`."""
    return _part(
        call.kind, fused, call.weight_shape, call.kernel, call.stride, call.dilation, call.same_padding,
        call.channel_multiplier, call.slope, source[-1], unit_input, call.weight_bits,
    )  # fmt: skip


_form = cache(_Form)
"""Equal forms are one object."""


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
    weight_bits: int,
) -> Part:
    code = schema.operator_of(kind, fused, weight_shape, channels, weight_bits)
    nodes = {schema.code(*code)}
    operator = schema.OPERATOR if schema.has_options(code) else schema.BARE_OPERATOR
    if schema.has_options(code) and kind != "reshape":
        nodes.add(schema.options_of(kind, fused, kernel, stride, dilation, same, multiplier, slope))
    if not weight_shape:
        return Part(_form(code, operator, frozenset(nodes), frozenset()), operator.size)
    count = weight_shape[-1] if kind == "dw" else weight_shape[0]
    own = schema.LAST_AXIS_QUANTIZATION if kind == "dw" else schema.QUANTIZATION
    quantization = schema.QUANTIZATION.size  # of the biases; the weights' may be the same
    if kind == "dw" or not unit_input:
        quantization += own.size
    lists = 1 if unit_input else 2
    return Part(
        _form(code, operator, frozenset(nodes), frozenset({own, schema.CONSTANT, BLOB_TABLE})),
        operator.size + 2 * schema.CONSTANT.size + quantization,
        anchors=(blob_anchor(-(-prod(weight_shape) * weight_bits // 8)), blob_anchor(4 * count)),
        rest=4 * (1 + count) * lists,
        lists=lists,
        words=1 + count,
        shapes=(weight_shape, (count,)),
        zeros=(count, 0),
    )
