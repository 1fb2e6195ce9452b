"""From a `Graph` to a `Program`: which kernels run, in NHWC, with activations fused and padding placed.

What changes on the way down:

- ReLU, ReLU6 and clips fold into the conv, linear, affine, add, sub or mul that makes their input, if nobody else
  reads it; into a transposed convolution too, where int8's own range does their work (TFLM's kernel applies none);
- a channel shuffle is a reshape, a transpose and a reshape;
- an affine is a 1x1 depthwise, a global average pool is an average pool over the whole map, flatten is a reshape;
- rows and columns of padding that no window reaches are dropped (nothing reads them, the output is the same);
- a transposed convolution whose crop TFLite's SAME does not give makes the whole map, which a "crop" call cuts;
- TFLite kernels know SAME and VALID padding. Anything else becomes a "pad" call before a conv, and before a max pool
  whose input is never negative (there a zero changes no maximum). C kernels take any pads as they are;
- tensors that must share one scale form a group (pools, pad, reshape, concat, and a ReLU6 of its own: TFLM clamps it
  without rescaling, `tensorflow/lite/micro/kernels/activations.cc`).

Weights stay in graph order; `Call` says how an exporter stores them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod

from search_spaces.errors import TargetError
from search_spaces.graph import Graph, Op, Shape
from search_spaces.ops import is_depthwise
from targets import support
from targets.arrangement import JUDGE, arranged, ordered_like
from targets.geometry import geometry
from targets.lowering import CLAMPS, REMEMBERED, Lowering, channels_last, fixed_by, shape_of
from targets.program import Call, CallKind, Fused, Program, Runtime
from targets.scales import scheme
from targets.scratch import scratch_bytes

Pads = tuple[int, int, int, int]
Pair = tuple[int, int]

NO_PADS = (0, 0, 0, 0)
NONE: Fused = "none"
MOST_JOINED = 10
"""Inputs that TFLM's concatenation takes (`kMaxInputNum` of `kernels/concatenation.cc`); more are joined in parts."""
PADDED = ":padded"
PROBABILITY, TANH = (1 / 256, -128), (1 / 128, 0)
"""Scale and zero point of int8 softmax and logistic outputs, and of tanh: TFLite's quantization specification."""


def lower(graph: Graph, runtime: Runtime = "tflm", *, filed: Program | None = None) -> Program:
    """The kernel calls `runtime` executes for `graph`, in the order of the smallest arena known.

    Generated C is made from the `.tflite` file, so its order is the one chosen for "tflm": that of `filed`, what this
    returns for "tflm", if it is at hand.

    Raises:
        TargetError: the runtime is unknown, or an operator breaks one of its rules (`targets.support`).
    """
    support.check_runtime(runtime)
    low = lowered(graph, runtime)
    program = low.program()
    if any([call.kind == "transpose_conv" for call in program.calls]):
        kept = zip(program.calls, scheme(program).fused, strict=True)
        bare = frozenset(str(call.op) for call, fused in kept if call.kind == "transpose_conv" and fused != NONE)
        if bare:
            low = lowered(graph, runtime, bare)
            program = low.program()
    if runtime == "tflm":
        return arranged(program, low.scratch)
    try:
        return ordered_like(program, filed or lower(graph))
    except TargetError:  # no file, so nothing to follow
        return program


def lowered(graph: Graph, runtime: Runtime, bare: frozenset[str] = frozenset()) -> Lowering:
    """The calls and activations in the graph's order; a clamp behind an operator of `bare` is not folded into it."""
    low = Lowering(graph, runtime, bare)
    shapes = low.shapes
    for op in graph.ops:
        if op.name in low.folded:
            shapes[op.name] = shapes[op.inputs[0]]
        elif op.kind == "conv":  # met most: its shape is remembered with its calls
            _conv(low, op)
        else:
            shapes[op.name] = shape_of(op, *[shapes[name] for name in op.inputs])
            _RULES[op.kind](low, op)
    for name in graph.outputs:
        support.check_output(name, low.flattened.get(name))
    return low


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


def _conv(low: Lowering, op: Op) -> None:
    clamp, source = low.clamps.get(op.name), low.shapes[op.inputs[0]]
    if clamp is None:
        output, fused = op.name, NONE
    else:
        output, fused = clamp.name, CLAMPS[clamp.kind]
        low.clamp(clamp)
    low.shapes[op.name], shape, calls, low.scratch[output] = _conv_calls(op, source, low.runtime, output, fused)
    low.window(calls)
    low.activate(output, shape, fixed=fixed_by(clamp) if clamp else None)


@lru_cache(maxsize=REMEMBERED)
def _conv_calls(
    op: Op, shape: Shape, runtime: Runtime, output: str, fused: Fused
) -> tuple[Shape, Shape, tuple[Call, ...], int]:
    """Of a convolution that reads `shape`: its output's in both orders, its call, after a "pad" call if need be, and
    the scratch by which arrangements are judged."""
    channels, out, kernel, groups = shape[0], op["out_channels"], op["kernel"], op["groups"]
    kind: CallKind = "dw" if is_depthwise(op, channels) else "conv"
    weights = (1, *kernel, out) if kind == "dw" else (out, *kernel, channels // groups)
    multiplier = out // channels if kind == "dw" else 1
    pads, same = _padding(op, shape, op["dilation"])
    split = runtime != "c" and any(pads) and not same
    padded = op.name + PADDED
    source, own = ((padded,), NO_PADS) if split else (op.inputs, pads)
    call = Call(
        kind, op.name, source, output, fused, kernel, op["stride"], op["dilation"], own, same, weights, multiplier,
        weight_bits=op.weight_bits,
    )  # fmt: skip
    support.check(call, runtime)
    calls = (Call("pad", None, op.inputs, padded, pads=pads), call) if split else (call,)
    made = shape_of(op, shape)
    read = (shape[1] + pads[0] + pads[2], shape[2] + pads[1] + pads[3], channels) if split else channels_last(shape)
    return made, channels_last(made), calls, scratch_bytes(geometry(call, (read,), channels_last(made)), JUDGE)


def _conv_transpose(low: Lowering, op: Op) -> None:
    """Inputs times filters, added up a stride apart, and cut to size: by the kernel where SAME cuts just so.

    SAME cuts kernel - stride, an odd one below and right. CMSIS-NN before July 2026 misplaces rows if it cuts a number
    of them above that the stride does not divide (its issue 230), so there the whole map is made and cut.
    """
    kernel, stride, pads = op["kernel"], op["stride"], op["pads"]
    cut = (*pads[:2], *(pads[k + 2] - op["output_padding"][k] for k in (0, 1)))
    support.check_transposed(op, low.runtime, cut)
    spare = [kernel[k] - stride[k] for k in (0, 1)]
    low_side = [side // 2 for side in spare]
    same = any(cut) and cut == (*low_side, *(spare[k] - low_side[k] for k in (0, 1))) and cut[0] % stride[0] == 0
    output, fused = low.result(op)
    made, own = (output, cut) if same else (output, NO_PADS)
    if any(cut) and not same:
        rows, columns, channels = low.activations[output].shape
        whole = (rows + cut[0] + cut[2], columns + cut[1] + cut[3], channels)
        made = low.activate(low.unused(output + ":whole"), whole, like=output, holds=output)
    weights = (op["out_channels"], *kernel, low.shapes[op.inputs[0]][0])
    call = Call(
        "transpose_conv", op.name, op.inputs, made, fused, kernel, stride, pads=own, same_padding=same,
        weight_shape=weights,
    )  # fmt: skip
    support.check(call, low.runtime)
    low.calls.append(call)
    if made != output:
        low.calls.append(Call("crop", None, (made,), output, pads=cut))


def _padding(op: Op, shape: Shape, dilation: Pair) -> tuple[Pads, bool]:
    """`window_padding` of an operator that reads a map of `shape`."""
    (_, height, width), (_, rows, columns) = shape, shape_of(op, shape)
    return window_padding((height, width), (rows, columns), op["kernel"], op["stride"], dilation, op["pads"])


def _pool(low: Lowering, op: Op) -> None:
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


def _global_pool(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    height, width, channels = low.activations[source].shape
    low.calls.append(Call("avg_pool", None, op.inputs, op.name, kernel=(height, width)))
    low.activate(op.name, (1, 1, channels), like=source)
    low.keep(source, op.name, sign=True)


def _linear(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    output, fused = low.result(op)
    shape = (op["out_channels"], low.shapes[source][0])
    order = low.flattened.get(source)
    call = Call("fc", op.name, op.inputs, output, fused, weight_shape=shape, flatten_from=order)
    support.check(call, low.runtime)
    low.calls.append(call)


def _affine(low: Lowering, op: Op) -> None:
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


def _clamp(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    shape = channels_last(low.shapes[op.name])
    low.activate(op.name, shape, like=source if op.kind == "relu6" else None, fixed=fixed_by(op))
    if op.kind == "clip":
        low.calls.append(Call("requantize", None, op.inputs, op.name))
    else:
        low.calls.append(Call("relu", None, op.inputs, op.name, CLAMPS[op.kind]))
    low.clamp(op)
    low.keep(source, op.name, order=True)


def _probability(low: Lowering, op: Op) -> None:
    low.activate(op.name, channels_last(low.shapes[op.name]), fixed=PROBABILITY)
    low.calls.append(Call("softmax" if op.kind == "softmax" else "logistic", None, op.inputs, op.name))
    low.never_negative.add(op.name)
    low.keep(op.inputs[0], op.name, order=True)


def _function(low: Lowering, op: Op) -> None:
    """A nonlinear function that keeps a scale of its own."""
    kinds: dict[str, CallKind] = {"leaky_relu": "leaky_relu", "hard_swish": "hard_swish", "tanh": "tanh", "elu": "elu"}
    if op.kind == "elu":
        support.check_elu(op, low.runtime)
    low.activate(op.name, channels_last(low.shapes[op.name]), fixed=TANH if op.kind == "tanh" else None)
    slope = op["slope"] if op.kind == "leaky_relu" else 0.0
    low.calls.append(Call(kinds[op.kind], None, op.inputs, op.name, slope=slope))
    low.keep(op.inputs[0], op.name, order=True)


def _no_kernel(low: Lowering, op: Op) -> None:
    support.refuse(op, low.runtime)


def _pad(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    low.activate(op.name, channels_last(low.shapes[op.name]), like=source)
    low.calls.append(Call("pad", None, op.inputs, op.name, pads=op["pads"]))
    low.keep(source, op.name, sign=True)


def _slice(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    support.check_unordered(op, [low.flattened.get(source)])
    low.activate(op.name, channels_last(low.shapes[op.name]), like=source)
    low.calls.append(Call("slice", None, op.inputs, op.name, start=op["start"]))
    low.keep(source, op.name, sign=True)


def _resize(low: Lowering, op: Op) -> None:
    source = op.inputs[0]
    low.activate(op.name, channels_last(low.shapes[op.name]), like=source)
    kind: CallKind = "resize_nearest" if op["mode"] == "nearest" else "resize_linear"
    low.calls.append(Call(kind, None, op.inputs, op.name))
    low.keep(source, op.name, sign=True)


def _shuffle(low: Lowering, op: Op) -> None:
    """Channels as groups x members, the two axes swapped, and flat again."""
    source, shape = op.inputs[0], channels_last(low.shapes[op.name])
    support.check_unordered(op, [low.flattened.get(source)])
    places, groups, members = prod(shape[:-1]), op["groups"], shape[-1] // op["groups"]
    apart = low.activate(low.unused(op.name + ":apart"), (places, groups, members), like=source, holds=source)
    swapped = low.activate(low.unused(op.name + ":swapped"), (places, members, groups), like=source, holds=op.name)
    low.activate(op.name, shape, like=source)
    low.calls += (
        Call("reshape", None, op.inputs, apart),
        Call("transpose", None, (apart,), swapped),
        Call("reshape", None, (swapped,), op.name),
    )
    low.keep(source, op.name, sign=True)


def _combine(low: Lowering, op: Op) -> None:
    support.check_orders(op, [low.flattened.get(name) for name in op.inputs])
    output, fused = low.result(op)
    kinds: dict[str, CallKind] = {"add": "add", "sub": "sub", "mul": "mul"}
    low.calls.append(Call(kinds[op.kind], None, op.inputs, output, fused))
    low.keep(op.inputs[0], output, order=True)


def _concat(low: Lowering, op: Op) -> None:
    support.check_unordered(op, [low.flattened.get(name) for name in op.inputs])
    support.check_one_scale(op, [low.activations[name].fixed for name in op.inputs])
    low.join(op.inputs)
    names = op.inputs
    while len(names) > MOST_JOINED:
        parts = [low.activations[name].shape for name in names[:MOST_JOINED]]
        joined = (*parts[0][:-1], sum([shape[-1] for shape in parts]))
        part = low.activate(low.unused(op.name + ":part"), joined, like=names[0], holds=op.name)
        low.calls.append(Call("concat", None, names[:MOST_JOINED], part))
        names = (part, *names[MOST_JOINED:])
    low.activate(op.name, channels_last(low.shapes[op.name]), like=names[0])
    low.calls.append(Call("concat", None, names, op.name))
    if low.never_negative.issuperset(op.inputs):
        low.never_negative.add(op.name)


def _flatten(low: Lowering, op: Op) -> None:
    source, shape = op.inputs[0], low.shapes[op.inputs[0]]
    low.activate(op.name, low.shapes[op.name], like=source)
    low.calls.append(Call("reshape", None, op.inputs, op.name))
    if len(shape) == 3 and shape[0] > 1 and shape[1] * shape[2] > 1:
        low.flattened[op.name] = (shape[0], shape[1], shape[2])
    low.keep(source, op.name, order=True, sign=True)


# Of every kind but conv.
_RULES: dict[str, Callable[[Lowering, Op], None]] = {
    "linear": _linear,
    "affine": _affine,
    "relu": _clamp,
    "relu6": _clamp,
    "clip": _clamp,
    "leaky_relu": _function,
    "hard_swish": _function,
    "tanh": _function,
    "conv_transpose": _conv_transpose,
    "gelu": _no_kernel,
    "norm": _no_kernel,
    "elu": _function,
    "softplus": _no_kernel,
    "onnx": _no_kernel,
    "sigmoid": _probability,
    "softmax": _probability,
    "add": _combine,
    "sub": _combine,
    "mul": _combine,
    "concat": _concat,
    "max_pool": _pool,
    "avg_pool": _pool,
    "global_avg_pool": _global_pool,
    "flatten": _flatten,
    "pad": _pad,
    "slice": _slice,
    "shuffle": _shuffle,
    "resize": _resize,
}
