"""TFLM's own interpreter as it runs on a PC: reference kernels, 64-bit pointers, and the planner of every device."""

from __future__ import annotations

import os
import re
import tempfile
from typing import NamedTuple

import numpy as np
from tflite_micro.python.tflite_micro import runtime

LARGEST = 1 << 26


class Arena(NamedTuple):
    """Bytes of the planned part ("head") and of what the interpreter keeps ("tail")."""

    head: int
    tail: int


def arena(file: bytes) -> Arena:
    """What the interpreter says it took to run a `.tflite` file once; it says so on the standard error of C."""
    interpreter = runtime.Interpreter.from_bytes(file, arena_size=LARGEST)
    interpreter.set_input(np.zeros(interpreter.get_input_details(0)["shape"], np.int8), 0)
    interpreter.invoke()
    with tempfile.TemporaryFile() as said:
        before = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(before, 2)
            os.close(before)
        said.seek(0)
        found = dict(re.findall(r"allocation (head|tail) (\d+)", said.read().decode()))
    return Arena(int(found["head"]), int(found["tail"]))
