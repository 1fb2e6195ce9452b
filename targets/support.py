"""What a runtime cannot execute. A rule's first docstring line is its documentation and its error text.

A rule takes a `Call` and its runtime and returns what breaks it, in words with values, or None. The checks below the
table concern several tensors at once; `targets.lower` asks them where they arise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NoReturn

from search_spaces.errors import TargetError
from search_spaces.graph import Op, Shape
from targets.program import RUNTIMES, Call, CallKind, Runtime

Rule = Callable[[Call, Runtime], str | None]


def check_runtime(runtime: str) -> None:
    """Raises TargetError unless `runtime` is one the engine lowers to."""
    if runtime not in RUNTIMES:
        raise TargetError(f"runtime must be one of {', '.join(RUNTIMES)}, got {runtime!r}")


def refuse(op: Op, runtime: Runtime) -> NoReturn:
    """Raises TargetError: no kernel of `runtime` computes an operator of this kind in int8."""
    law = "no int8 kernel of this runtime computes it; retrain with another operator in its place"
    kind = op["operator"] if op.kind == "onnx" else op.kind
    raise TargetError(f"{kind} {op.name!r} cannot run on {runtime}: {law}")


def check(call: Call, runtime: Runtime) -> None:
    """Raises TargetError naming the rule of `runtime` that a call breaks."""
    for rule in RULES.get(call.kind, ()):
        broken = rule(call, runtime)
        if broken:
            law = (rule.__doc__ or "").splitlines()[0]
            raise TargetError(f"{call.op or call.output!r} cannot run on {runtime}: {broken}. {law}")


def pool_padding(call: Call, runtime: Runtime) -> str | None:
    """A pool's padding must be SAME or none (a max pool after a ReLU may have any); change the model's padding."""
    if runtime != "c" and any(call.pads) and not call.same_padding:
        return f"{call.kind} pads (top, left, bottom, right) = {call.pads}"
    return None


def accumulator(call: Call, runtime: Runtime) -> str | None:
    """A sum of int8 products must stay within int32, so a filter has at most 66,311 weights (2^31 / (127 x 255))."""
    weights = prod(call.weight_shape[1:])
    return f"{weights:,} weights a filter" if weights * 127 * 255 >= 2**31 else None


def narrow(call: Call, runtime: Runtime) -> str | None:
    """Generated C counts channels, features and taps in 16 bits, so there are at most 65,535; use fewer."""
    most = max(call.weight_shape)
    return f"{most:,} of them" if runtime == "c" and most > 65_535 else None


def packed(call: Call, runtime: Runtime) -> str | None:
    """Kernels for weights of 4 bits are TFLM's alone; give the layer 8 bits, or take runtime tflm."""
    return f"weights of {call.weight_bits} bits" if runtime != "tflm" and call.weight_bits != 8 else None


RULES: dict[CallKind, tuple[Rule, ...]] = {
    "conv": (accumulator, narrow, packed),
    "dw": (packed,),
    "fc": (accumulator, narrow),
    "transpose_conv": (accumulator, narrow),
    "max_pool": (pool_padding,),
    "avg_pool": (pool_padding,),
}


def check_transposed(op: Op, runtime: Runtime, cut: tuple[int, ...]) -> None:
    """Raises TargetError if no kernel computes a transposed convolution, whose whole map loses `cut` on each side."""
    kernel, stride = op["kernel"], op["stride"]
    if op["groups"] > 1:
        broken, law = f"groups = {op['groups']}", "it must have one group; resize and convolve in groups instead"
    elif op["dilation"] != (1, 1):
        broken, law = f"dilation = {op['dilation']}", "its kernel must be undilated; use a larger one"
    elif kernel[0] < stride[0] or kernel[1] < stride[1]:
        broken, law = f"kernel {kernel}, stride {stride}", "its kernel must be as large as its stride; resize instead"
    elif min(cut) < 0:
        broken, law = f"output_padding {op['output_padding']}, pads {op['pads']}", "it cannot pad more than it cuts"
    else:
        return
    raise TargetError(f"{op.kind} {op.name!r} cannot run on {runtime}: {broken}; {law}")


def check_elu(op: Op, runtime: Runtime) -> None:
    """Raises TargetError if an ELU's alpha is not TFLite's."""
    if op["alpha"] != 1:
        raise TargetError(f"elu {op.name!r} cannot run on {runtime}: alpha = {op['alpha']:g}; its alpha must be 1")


def check_one_scale(op: Op, fixed: Sequence[tuple[float, int] | None]) -> None:
    """Raises TargetError if a concat would join a sigmoid or softmax, whose scale is fixed, with something else."""
    if len(set(fixed)) > 1:
        law = "concat's inputs share one scale and a sigmoid's or softmax's is fixed; join before it instead"
        raise TargetError(f"concat {op.name!r} joins {', '.join(op.inputs)}: {law}")


def check_orders(op: Op, orders: Sequence[Shape | None]) -> None:
    """Raises TargetError if an element-wise operator would join features flattened from different maps."""
    if len(set(orders)) > 1:
        law = "features of unlike maps lie in unlike orders on a device; flatten after the operator instead"
        raise TargetError(f"{op.kind} {op.name!r} joins features flattened from {orders}: {law}")


def check_unordered(op: Op, orders: Sequence[Shape | None]) -> None:
    """Raises TargetError if channels of features flattened from maps of more than one position would be told apart."""
    if any(orders):
        law = f"they lie position first on a device; {op.kind} the maps and flatten after it instead"
        raise TargetError(f"{op.kind} {op.name!r} reads flattened maps {orders}: {law}")


def check_output(tensor: str, order: Shape | None) -> None:
    """Raises TargetError if an output of the network is a flattened map of more than one position."""
    if order:
        law = "on a device its features lie position first; make the map itself the output"
        raise TargetError(f"output {tensor!r} was flattened from {order}: {law}")
