"""From a `Graph` to a `Program`: which kernels run, in NHWC, with activations fused and padding placed.

What changes on the way down:

- ReLU and ReLU6 fold into the conv, linear, affine, add or mul that makes their input, if nobody else reads it;
- an affine is a 1x1 depthwise, a global average pool is an average pool over the whole map, flatten is a reshape;
- rows and columns of padding that no window reaches are dropped (nothing reads them, the output is the same);
- TFLite kernels know SAME and VALID padding. Anything else becomes a "pad" call before a conv, and before a max pool
  whose input is never negative (there a zero changes no maximum). C kernels take any pads as they are;
- tensors that must share one scale form a group (pools, pad, reshape, concat, and a ReLU6 of its own: TFLM clamps it
  without rescaling, `tensorflow/lite/micro/kernels/activations.cc`).

Weights stay in graph order; `Call` says how an exporter stores them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from search_spaces.graph import Graph, Op, Shape
from search_spaces.ops import KINDS, is_depthwise
from targets import support
from targets.program import Activation, Call, CallKind, Fused, Program, Runtime

Pads = tuple[int, int, int, int]
Pair = tuple[int, int]

NO_PADS = (0, 0, 0, 0)
FUSES = frozenset({"conv", "linear", "affine", "add", "mul"})
NONE: Fused = "none"
PADDED = ":padded"
CLAMPS: dict[str, Fused] = {"relu": "relu", "relu6": "relu6"}
PROBABILITY = (1 / 256, -128)
"""Scale and zero point of int8 softmax and logistic outputs, fixed by TFLite's int8 quantization specification."""

REMEMBERED = 1 << 16
"""A search lowers thousands of networks that have most operators in common, so what follows from one operator and the
shape it reads is remembered, for this many of them."""


def lower(graph: Graph, runtime: Runtime = "tflm") -> Program:
    """The kernel calls `runtime` executes for `graph`, in the graph's order.

    Raises:
        TargetError: the runtime is unknown, or an operator breaks one of its rules (`targets.support`).
    """
    support.check_runtime(runtime)
    low = _Lowering(graph, runtime)
    shapes = low.shapes
    for op in graph.ops:
        if op.name in low.folded:
            shapes[op.name] = shapes[op.inputs[0]]
        elif op.kind == "conv":  # met most: its shape is remembered with its calls
            _conv(low, op)
        else:
            shapes[op.name] = _shape(op, *[shapes[name] for name in op.inputs])
            _RULES[op.kind](low, op)
    for name in graph.outputs:
        support.check_output(name, low.flattened.get(name))
    return low.program()


@lru_cache(maxsize=4096)
def window_padding(size: Pair, out: Pair, kernel: Pair, stride: Pair, dilation: Pair, pads: Pads) -> tuple[Pads, bool]:
    """The pads a sliding window needs, and whether TFLite's SAME gives just these; sizes are `(height, width)`.

    Needed are the top and left ones, and below and right as many as the last window reaches. SAME makes
    ceil(size / stride) outputs and puts an odd pad below and right.
    """
    reach = [(out[k] - 1) * stride[k] + (kernel[k] - 1) * dilation[k] + 1 - size[k] for k in (0, 1)]
    needed = (pads[0], pads[1], max(0, reach[0] - pads[0]), max(0, reach[1] - pads[1]))
    total = [max(0, r) for r in reach]
    low = [t // 2 for t in total]
    same = any(needed) and needed == (*low, total[0] - low[0], total[1] - low[1])
    return needed, same and all(out[k] == -(-size[k] // stride[k]) for k in (0, 1))


class _Lowering:
    """The program while it is being written."""

    def __init__(self, graph: Graph, runtime: Runtime) -> None:
        self.graph, self.runtime = graph, runtime
        self.shapes: dict[str, Shape] = {graph.input: graph.input_shape}
        self.activations: dict[str, Activation] = {}
        self.calls: list[Call] = []
        self.groups: list[int] = []  # union-find over scale groups: each one's parent, itself at a root
        self.joined = False
        self.never_negative: set[str] = set()
        self.flattened: dict[str, tuple[int, int, int]] = {}  # position-first features: graph shape they came from
        self.clamps = self._foldable_clamps()
        self.folded = {clamp.name for clamp in self.clamps.values()}
        self.activate(graph.input, channels_last(graph.input_shape))

    def _foldable_clamps(self) -> dict[str, Op]:
        """The ReLU that folds into each operator that has one."""
        ops, outputs = self.graph.ops, self.graph.outputs
        reads = Counter([name for op in ops for name in op.inputs])
        makers = {op.name for op in ops if op.kind in FUSES and op.name not in outputs}
        found = {op.inputs[0]: op for op in ops if op.kind in CLAMPS}
        return {name: op for name, op in found.items() if name in makers and reads[name] == 1}

    def activate(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        like: str | None = None,
        holds: str | None = None,
        fixed: tuple[float, int] | None = None,
    ) -> str:
        """A new activation in the scale group of `like` or one of its own, with the values of `holds` or `name`."""
        if like is None:
            group = len(self.groups)
            self.groups.append(group)
        else:
            group, fixed = self.activations[like].scale_group, self.activations[like].fixed
        self.activations[name] = _activation(name, holds or name, shape, group, fixed)
        return name

    def unused(self, name: str) -> str:
        """`name`, or one like it, that no tensor of the graph has."""
        taken = self.graph.by_name
        while name in self.activations or name in taken:
            name += "'"
        return name

    def join(self, names: tuple[str, ...]) -> None:
        """Makes the scale groups of these activations one."""
        roots = {self._root(self.activations[name].scale_group) for name in names}
        for root in roots:
            self.groups[root] = min(roots)
        self.joined |= len(roots) > 1

    def _root(self, group: int) -> int:
        while self.groups[group] != group:
            group = self.groups[group]
        return group

    def result(self, op: Op) -> tuple[str, Fused]:
        """The activation an operator that can absorb a ReLU writes, and that ReLU."""
        clamp, shape = self.clamps.get(op.name), channels_last(self.shapes[op.name])
        if clamp is None:
            return self.activate(op.name, shape), "none"
        self.never_negative.add(clamp.name)
        return self.activate(clamp.name, shape), CLAMPS[clamp.kind]

    def keep(self, source: str, output: str, *, order: bool = False, sign: bool = False) -> None:
        """Notes what an output has from its input: the order of flattened features; that it is never negative."""
        if order and source in self.flattened:
            self.flattened[output] = self.flattened[source]
        if sign and source in self.never_negative:
            self.never_negative.add(output)

    def window(self, calls: tuple[Call, ...]) -> None:
        """Appends a window's call, with the "pad" call and the padded copy before it if there is one."""
        if len(calls) == 2:
            (source,), (top, left, bottom, right) = calls[0].inputs, calls[0].pads
            height, width, channels = self.activations[source].shape
            padded = self.unused(calls[0].output)
            self.activate(padded, (height + top + bottom, width + left + right, channels), like=source, holds=source)
            if padded != calls[0].output:
                calls = replace(calls[0], output=padded), replace(calls[1], inputs=(padded,))
        self.calls += calls

    def program(self) -> Program:
        activations = tuple(self.activations.values())
        if self.joined:  # number the groups that are left, in order of first appearance
            numbers: dict[int, int] = {}
            groups = [numbers.setdefault(self._root(a.scale_group), len(numbers)) for a in activations]
            activations = tuple(replace(a, scale_group=g) for a, g in zip(activations, groups, strict=True))
        return Program(self.runtime, self.graph.input, self.graph.outputs, activations, tuple(self.calls))


_activation = lru_cache(maxsize=REMEMBERED)(Activation)


@lru_cache(maxsize=REMEMBERED)
def _shape(op: Op, *shapes: Shape) -> Shape:
    return KINDS[op.kind].shape(op, list(shapes))


def channels_last(shape: Shape) -> tuple[int, ...]:
    """A graph's shape as a device has it: `(channels, height, width)` to `(height, width, channels)`."""
    return (*shape[1:], shape[0])


def _conv(low: _Lowering, op: Op) -> None:
    clamp, source = low.clamps.get(op.name), low.shapes[op.inputs[0]]
    if clamp is None:
        output, fused = op.name, NONE
    else:
        output, fused = clamp.name, CLAMPS[clamp.kind]
        low.never_negative.add(output)
    low.shapes[op.name], shape, calls = _conv_calls(op, source, low.runtime, output, fused)
    low.window(calls)
    low.activate(output, shape)


@lru_cache(maxsize=REMEMBERED)
def _conv_calls(
    op: Op, shape: Shape, runtime: Runtime, output: str, fused: Fused
) -> tuple[Shape, Shape, tuple[Call, ...]]:
    """Of a convolution that reads `shape`: its output's in both orders, and its call, after a "pad" call if need be."""
    channels, out, kernel, groups = shape[0], op["out_channels"], op["kernel"], op["groups"]
    kind: CallKind = "dw" if is_depthwise(op, channels) else "conv"
    weights = (1, *kernel, out) if kind == "dw" else (out, *kernel, channels // groups)
    multiplier = out // channels if kind == "dw" else 1
    pads, same = _padding(op, shape, op["dilation"])
    split = runtime != "c" and any(pads) and not same
    padded = op.name + PADDED
    source, own = ((padded,), NO_PADS) if split else (op.inputs, pads)
    call = Call(
        kind, op.name, source, output, fused, kernel, op["stride"], op["dilation"], own, same, weights, multiplier
    )  # fmt: skip
    support.check(call, runtime)
    calls = (Call("pad", None, op.inputs, padded, pads=pads), call) if split else (call,)
    made = _shape(op, shape)
    return made, channels_last(made), calls


def _padding(op: Op, shape: Shape, dilation: Pair) -> tuple[Pads, bool]:
    """`window_padding` of an operator that reads a map of `shape`."""
    (_, height, width), (_, rows, columns) = shape, _shape(op, shape)
    return window_padding((height, width), (rows, columns), op["kernel"], op["stride"], dilation, op["pads"])


def _pool(low: _Lowering, op: Op) -> None:
    kind: CallKind = "max_pool" if op.kind == "max_pool" else "avg_pool"
    source = op.inputs[0]
    pads, same = _padding(op, low.shapes[source], (1, 1))
    zeros_are_harmless = kind == "max_pool" and source in low.never_negative
    split = low.runtime != "c" and any(pads) and not same and zeros_are_harmless
    padded = op.name + PADDED
    read, own = ((padded,), NO_PADS) if split else (op.inputs, pads)
    call = Call(kind, None, read, op.name, "none", op["kernel"], op["stride"], (1, 1), own, same)
    support.check(call, low.runtime)
    low.window((Call("pad", None, op.inputs, padded, pads=pads), call) if split else (call,))
    low.activate(op.name, channels_last(low.shapes[op.name]), like=source)
    low.keep(source, op.name, sign=True)


def _global_pool(low: _Lowering, op: Op) -> None:
    source = op.inputs[0]
    height, width, channels = low.activations[source].shape
    low.calls.append(Call("avg_pool", None, op.inputs, op.name, kernel=(height, width)))
    low.activate(op.name, (1, 1, channels), like=source)
    low.keep(source, op.name, sign=True)


def _linear(low: _Lowering, op: Op) -> None:
    source = op.inputs[0]
    output, fused = low.result(op)
    shape = (op["out_channels"], low.shapes[source][0])
    order = low.flattened.get(source)
    call = Call("fc", op.name, op.inputs, output, fused, weight_shape=shape, flatten_from=order)
    support.check(call, low.runtime)
    low.calls.append(call)


def _affine(low: _Lowering, op: Op) -> None:
    """A 1x1 depthwise; features are made a 1 x 1 map for it and flattened again after it."""
    source, shape = op.inputs[0], low.shapes[op.name]
    weights = (1, 1, 1, shape[0])
    output, fused = low.result(op)
    if len(shape) == 3:
        low.calls.append(Call("dw", op.name, op.inputs, output, fused, weight_shape=weights))
        return
    as_map, order = (1, 1, shape[0]), low.flattened.get(source)
    viewed = low.activate(low.unused(op.name + ":map"), as_map, like=source, holds=source)
    scaled = low.activate(low.unused(output + ":map"), as_map, like=output, holds=output)
    low.calls += (
        Call("reshape", None, op.inputs, viewed),
        Call("dw", op.name, (viewed,), scaled, fused, weight_shape=weights, flatten_from=order),
        Call("reshape", None, (scaled,), output),
    )
    low.keep(source, output, order=True)


def _clamp(low: _Lowering, op: Op) -> None:
    source = op.inputs[0]
    shape = channels_last(low.shapes[op.name])
    low.activate(op.name, shape, like=source if op.kind == "relu6" else None)
    low.calls.append(Call("relu", None, op.inputs, op.name, CLAMPS[op.kind]))
    low.never_negative.add(op.name)
    low.keep(source, op.name, order=True)


def _probability(low: _Lowering, op: Op) -> None:
    low.activate(op.name, channels_last(low.shapes[op.name]), fixed=PROBABILITY)
    low.calls.append(Call("softmax" if op.kind == "softmax" else "logistic", None, op.inputs, op.name))
    low.never_negative.add(op.name)
    low.keep(op.inputs[0], op.name, order=True)


def _combine(low: _Lowering, op: Op) -> None:
    support.check_orders(op, [low.flattened.get(name) for name in op.inputs])
    output, fused = low.result(op)
    low.calls.append(Call("add" if op.kind == "add" else "mul", None, op.inputs, output, fused))
    low.keep(op.inputs[0], output, order=True)


def _concat(low: _Lowering, op: Op) -> None:
    support.check_unordered(op, [low.flattened.get(name) for name in op.inputs])
    support.check_one_scale(op, [low.activations[name].fixed for name in op.inputs])
    low.join(op.inputs)
    low.activate(op.name, channels_last(low.shapes[op.name]), like=op.inputs[0])
    low.calls.append(Call("concat", None, op.inputs, op.name))
    if low.never_negative.issuperset(op.inputs):
        low.never_negative.add(op.name)


def _flatten(low: _Lowering, op: Op) -> None:
    source, shape = op.inputs[0], low.shapes[op.inputs[0]]
    low.activate(op.name, low.shapes[op.name], like=source)
    low.calls.append(Call("reshape", None, op.inputs, op.name))
    if len(shape) == 3 and shape[0] > 1 and shape[1] * shape[2] > 1:
        low.flattened[op.name] = (shape[0], shape[1], shape[2])
    low.keep(source, op.name, order=True, sign=True)


# Of every kind but conv.
_RULES: dict[str, Callable[[_Lowering, Op], None]] = {
    "linear": _linear,
    "affine": _affine,
    "relu": _clamp,
    "relu6": _clamp,
    "sigmoid": _probability,
    "softmax": _probability,
    "add": _combine,
    "mul": _combine,
    "concat": _concat,
    "max_pool": _pool,
    "avg_pool": _pool,
    "global_avg_pool": _global_pool,
    "flatten": _flatten,
}
