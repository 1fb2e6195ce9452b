"""Flash: the model's bytes, the runtime's code, and the code of the kernels in use."""

from __future__ import annotations

from collections.abc import Sequence

from targets.core import CallCost, Core
from targets.program import Program, Runtime

RUNTIME_CODE_BYTES: dict[Runtime, int] = {"tflm": 36_900, "c": 1_000}
"""Code beside the kernels; the application, the C library and the start-up code are not in it.

TFLM at -O3 is about 53 KiB with the kernels of small CNNs (EdgeMark's measurements, the empty program taken off), of
which conv, fc, both pools and softmax are 17,384 bytes (`data/cortex_m4.toml`). Generated C has only glue."""

CALL_CODE_BYTES: dict[Runtime, int] = {"tflm": 0, "c": 100}
"""Code per call: TFLM walks the file; generated C calls each kernel with its own argument structures."""

SCALE_BYTES = 8
"""Generated C stores a multiplier and a shift (int32 each) per filter; TFLM computes them into RAM."""


def flash_bytes(program: Program, costs: Sequence[CallCost], core: Core, size_bytes: int) -> int:
    """Flash of model, runtime and kernels: expected within 15 % of a linked firmware, application not counted.

    Args:
        size_bytes: of the `.tflite` file, which TFLM keeps whole; generated C keeps weights, biases and scales.
    """
    kinds = {call.kind for call in program.calls}
    code = RUNTIME_CODE_BYTES[program.runtime] + sum(core.code_bytes[kind] for kind in kinds)
    code += CALL_CODE_BYTES[program.runtime] * len(program.calls)
    if program.runtime == "tflm":
        return code + size_bytes
    return code + sum(cost.weights_bytes + SCALE_BYTES * cost.filters for cost in costs)
