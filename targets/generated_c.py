"""What generated C links, call by call: our entry, the structure that describes the call to it, and its tables.

These are the sources in `nas/deploy/c`: an entry hands the call to the one kernel of CMSIS-NN that its wrapper would
choose, or computes it itself. Constants are written as they are: int8 weights, and a bias, a multiplier and a shift
(int32 each) for every filter.
"""

from __future__ import annotations

from collections.abc import Iterator

from targets.core import CallCost
from targets.program import Activation, Call, Program

FILTER_BYTES = 12
"""A filter's bias, multiplier and shift."""

CALL_BYTES = 10
"""Loading the structure's address (2 bytes, and 4 of the address) and the branch (4)."""

STRUCT_BYTES = {
    "window": 64, "linear": 32, "pair": 60, "table": 16, "normalize": 20, "box": 32, "plain": 12, "swap": 16,
    "nearest": 24, "bilinear": 24,
}  # fmt: skip
"""Of `nas/deploy/c/nn.h` on a core of 32 bits."""

OWN_STRUCT = {
    "fc": "linear", "lookup": "table", "softmax": "normalize", "copy": "box", "fill": "plain", "transpose": "swap",
}  # fmt: skip
"""Of entries that are neither windows nor pairs."""

LOOKUP_BYTES, SOFTMAX_BYTES = 256, 1024
"""A function of one int8 as its answers; exponentials of 256 differences, int32 each."""

LOOKED_UP = frozenset({"relu", "requantize", "leaky_relu", "logistic", "tanh", "elu", "hard_swish"})
PAIRS = frozenset({"add", "sub", "mul"})
COPIED = frozenset({"slice", "crop"})
RESIZED = {"resize_nearest": ("nearest", 2), "resize_linear": ("bilinear", 6)}
"""The structure, and the bytes a row or column takes in its table."""


def entries(call: Call, code: str, source: Activation) -> tuple[str, ...]:
    """The entries that compute a call, in the names of `data/code_bytes.csv`; nothing for a reshape.

    Args:
        code: the path of CMSIS-NN that the call takes (`targets.kernels.path`).
        source: the activation it reads first.
    """
    if call.kind in LOOKED_UP:
        return ("lookup",)
    if call.kind in COPIED:
        return ("copy",)
    if call.kind in ("concat", "pad", "reshape"):
        return {"concat": ("copy",) * len(call.inputs), "pad": ("fill", "copy"), "reshape": ()}[call.kind]
    if call.kind == "conv" and call.weight_shape[-1] != source.shape[-1]:
        return ("conv_grouped",)
    if call.kind == "conv" and code == "conv_1x1":
        return ("conv_1x1" if call.stride == (1, 1) else "conv_1x1_strided",)
    if call.kind == "dw":
        return (code if code in ("dw", "dw_3x3") else "dw_any",)
    return (call.kind,)


def described_bytes(call: Call, used: tuple[str, ...], made: Activation) -> int:
    """Structures, tables and branches of a call."""
    tables = 0
    if call.kind in LOOKED_UP:
        tables = LOOKUP_BYTES
    elif call.kind == "softmax":
        tables = SOFTMAX_BYTES
    elif call.kind in RESIZED:
        tables = RESIZED[call.kind][1] * sum(made.shape[:2])
    return tables + sum([STRUCT_BYTES[_struct(entry)] + CALL_BYTES for entry in used])


def _struct(entry: str) -> str:
    if entry in RESIZED:
        return RESIZED[entry][0]
    return "pair" if entry in PAIRS else OWN_STRUCT.get(entry, "window")


def parts(program: Program, costs: tuple[CallCost, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Per call: its entries, and the bytes beside them (structures, tables, weights)."""
    for call, cost in zip(program.calls, costs, strict=True):
        used = entries(call, cost.path, program.by_name[call.inputs[0]])
        described = described_bytes(call, used, program.by_name[call.output])
        yield used, described + cost.weights + FILTER_BYTES * cost.filters
