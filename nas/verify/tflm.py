"""TFLM's own interpreter on this machine: the reference kernels that a microcontroller runs, byte for byte."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from nas.functions import first_line
from nas.verify.runner import TFLM, Exported
from search_spaces.errors import ModelError

ARENA_BYTES = 64 * 1024 * 1024  # only what is used becomes memory


class Tflm:
    """TensorFlow Lite Micro."""

    name = TFLM
    needs = "pip install '.[tflm]'"

    def missing(self) -> bool:
        return find_spec("tflite_micro") is None

    def answers(self, model: Exported, images: np.ndarray) -> np.ndarray:
        from tflite_micro.python.tflite_micro import runtime

        found = []
        try:
            interpreter = runtime.Interpreter.from_bytes(model.tflite, arena_size=ARENA_BYTES)
            for image in images:
                interpreter.set_input(image[None], 0)
                interpreter.invoke()
                found.append(interpreter.get_output(0).reshape(-1).copy())
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"TFLM's interpreter does not run the file: {first_line(error)}") from None
        return np.stack(found)
