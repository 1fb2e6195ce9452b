"""What TFLM keeps at the other end of the arena ("tail"): its own objects, and data for every tensor and every call.

Sizes on a core with 32-bit pointers, from the sources of tflite-micro (`micro_allocator.cc`, `micro_interpreter.cc`,
`lite/c/common.h`, `lite/core/c/builtin_op_data.h` and the `OpData...` of `kernels/cmsis_nn/*.cc`), kernels without
compression; those of kinds whose sources were not read are the 64-bit ones that tflite-micro prints on a PC, which are
larger. Against boards see `experiments/cost_model`.
"""

from __future__ import annotations

from collections.abc import Sequence

from targets.core import CallCost
from targets.program import CallKind, Program

BASE_BYTES = 460
"""Allocators, planner, the input's and one output's descriptions, and what alignment may take: the least that no
single-layer arena measured on a board exceeds. They count TFLM's recording allocator; a plain one takes less."""
OUTPUT_BYTES = 64
"""The description of a further output."""
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
"""Of each kind: the options parsed from the file, the kernel's data rounded up to 16, and how many constants it reads."""

CALL_BYTES: dict[CallKind, int] = {
    kind: NODE_BYTES + options + data + TENSOR_BYTES * constants
    for kind, (options, data, constants) in _OPTIONS_AND_DATA.items()
}


def persistent_bytes(program: Program, costs: Sequence[CallCost]) -> int:
    """Bytes of the tail; `costs` are `targets.core.call_costs` of the program.

    Every filter has a multiplier and a shift, int32 each. Helium's linear layers keep the sums of their weights there,
    which for all others would be scratch.
    """
    total = BASE_BYTES + OUTPUT_BYTES * (len(program.outputs) - 1) + TENSOR_BYTES * len(program.activations)
    for call, cost in zip(program.calls, costs, strict=True):
        total += CALL_BYTES[call.kind] + 2 * _words(cost.filters)
        if cost.scratch_bytes:
            total += _words(cost.filters) if call.kind == "fc" else HANDLE_BYTES
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
