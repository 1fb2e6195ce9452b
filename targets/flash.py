"""Flash: the model's bytes, the runtime's code, and the code of the kernels in use.

TFLM keeps the `.tflite` file whole; generated C keeps weights, biases and scales, and what describes each call
(`targets.generated_c`). Code is a table with its sources, `data/code_bytes.csv`. X-CUBE-AI's is `targets.x_cube_ai`.
"""

from __future__ import annotations

from targets import generated_c
from targets.code import load_code
from targets.core import CallCost, Core
from targets.program import Program


def flash_bytes(program: Program, costs: tuple[CallCost, ...], core: Core, size_bytes: int, level: str = "O3") -> int:
    """Flash of model, runtime and kernels; the application, the C library and the start-up code are not in it.

    Expected within 15 % of a linked firmware for "tflm", within 3 % for "c".

    Args:
        size_bytes: of the `.tflite` file.
        level: what the compiler was told.
    """
    code = load_code(program.runtime, core.name.removeprefix("cortex_"), level)
    if program.runtime == "tflm":
        return code.linked_bytes([call.kind for call in program.calls]) + size_bytes
    linked, described = set[str](), 0
    for used, size in generated_c.parts(program, costs):
        linked.update(used)
        described += size
    return code.linked_bytes(linked) + described
