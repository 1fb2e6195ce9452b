"""What TFLM keeps at the other end of the arena ("tail"): its own objects, and data for every tensor and every call.

Sizes on a core with 32-bit pointers, from the sources of tflite-micro (`micro_allocator.cc`, `micro_interpreter.cc`,
`lite/c/common.h`, `lite/core/c/builtin_op_data.h` and the `OpData...` of `kernels/cmsis_nn/*.cc`), kernels without
compression; those of kinds whose sources were not read are the 64-bit ones that tflite-micro prints on a PC, which are
larger. Against boards see `experiments/cost_model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from targets.core import CallCost
from targets.program import CallKind, Program

BASE_BYTES = 460
"""Allocators, planner, the input's and one output's descriptions, and what alignment may take: the least that no
single-layer arena measured on a board exceeds. They count TFLM's recording allocator; a plain one takes less."""
END_BYTES = 80
"""The description of a further input or output."""
TENSOR_BYTES = 12
"""`TfLiteEvalTensor`, of every tensor in the file."""
NODE_BYTES = 32
"""`NodeAndRegistration`."""
HANDLE_BYTES = 4
"""`ScratchBufferHandle`."""
TENSOR_INFO_BYTES, BUFFER_PLAN_BYTES, REQUEST_BYTES, REQUESTS = 24, 40, 12, 12
"""While the arena is planned: `AllocationInfo` of every tensor and scratch, what `GreedyMemoryPlanner` notes of every
buffer, and `ScratchBufferRequest`, of which room for the next call's is kept."""

_OPTIONS_AND_DATA: dict[CallKind, tuple[int, int, int]] = {
    "conv": (28, 64, 2),
    "dw": (28, 64, 2),
    "fc": (32, 80, 2),
    "transpose_conv": (20, 128, 3),
    "add": (8, 64, 0),
    "sub": (8, 64, 0),
    "mul": (4, 48, 0),
    "max_pool": (40, 48, 0),
    "avg_pool": (40, 48, 0),
    "concat": (8, 80, 0),
    "pad": (0, 64, 1),
    "reshape": (36, 0, 0),
    "softmax": (4, 64, 0),
    "logistic": (0, 16, 0),
    "tanh": (0, 16, 0),
    "relu": (0, 32, 0),
    "leaky_relu": (4, 32, 0),
    "hard_swish": (0, 32, 0),
    "elu": (0, 256, 0),
    "requantize": (0, 32, 0),
    "slice": (0, 0, 2),
    "crop": (0, 0, 2),
    "transpose": (0, 0, 1),
    "resize_nearest": (4, 0, 1),
    "resize_linear": (4, 0, 1),
}
"""Of each kind: options parsed from the file, the kernel's data rounded up to 16, and how many constants it reads."""


def persistent_bytes(program: Program, costs: Sequence[CallCost]) -> int:
    """Bytes of the tail; `costs` are `targets.core.call_costs` of the program."""
    ends = len(program.outputs) + 1
    own = [
        call_bytes(call.kind, cost.filters, cost.scratch_bytes) for call, cost in zip(program.calls, costs, strict=True)
    ]
    return objects_bytes(ends, len(program.activations)) + sum(own)


def objects_bytes(ends: int, activations: int) -> int:
    """Bytes of the interpreter's own objects for a network with so many inputs and outputs together."""
    return BASE_BYTES + END_BYTES * (ends - 2) + TENSOR_BYTES * activations


@lru_cache(maxsize=1 << 16)
def call_bytes(kind: CallKind, filters: int, scratch_bytes: int) -> int:
    """Bytes of a call: its node, options, data and constants, and of every filter a multiplier and a shift, int32 each.

    Helium's linear layers keep the sums of their weights there, which for all others would be scratch.
    """
    options, data, constants = _OPTIONS_AND_DATA[kind]
    total = NODE_BYTES + options + data + TENSOR_BYTES * constants + 2 * _words(filters)
    if scratch_bytes:
        total += _words(filters) if kind == "fc" else HANDLE_BYTES
    return total


def planning_bytes(program: Program, buffers: int) -> int:
    """Bytes that planning takes where the planned part will be, of so many tensors and scratch in it.

    With tflite-micro on a PC the least arena that works is the tail and this, or the tail and the planned part,
    whichever is more; networks of linear layers are those that plan longer than they run.
    """
    constants = sum([_OPTIONS_AND_DATA[call.kind][2] for call in program.calls])
    scratch = buffers - len(program.activations)
    infos = TENSOR_INFO_BYTES * (buffers + constants)
    return infos + BUFFER_PLAN_BYTES * buffers + REQUEST_BYTES * (REQUESTS + scratch)


def _words(count: int) -> int:
    """Bytes of `count` int32, rounded up to 16."""
    return -(-count // 4) * 16
