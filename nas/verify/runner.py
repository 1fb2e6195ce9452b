"""What every runtime has in common: an exported model and int8 images go in, int8 answers come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nas.data.feed import feed

LIMIT = 127
CHUNK = 256  # samples held as floats at a time

LITERT, TFLM, C, ONNX = "LiteRT reference", "TFLM interpreter", "compiled C", "onnxruntime"
"""The runtimes as tables have them; `LITERT` is the measure of the others."""


@dataclass(frozen=True)
class Edge:
    """An input or output of a `.tflite` file.

    Attributes:
        shape: channels last, without the batch axis.
        scale, zero_point: a value is (int8 - zero_point) x scale.
    """

    shape: tuple[int, ...]
    scale: float
    zero_point: int

    def quantized(self, x: np.ndarray) -> np.ndarray:
        """Samples `N x C x ...`, as a data set has them, as int8 `N x shape`."""
        found = np.empty((len(x), *self.shape), np.int8)
        for first in range(0, len(x), CHUNK):
            part = np.moveaxis(feed(x[first : first + CHUNK]).astype(np.float64), 1, -1)
            steps = np.clip(np.rint(part / self.scale) + self.zero_point, -LIMIT - 1, LIMIT)
            found[first : first + CHUNK] = steps.reshape(-1, *self.shape)
        return found

    def values(self, answers: np.ndarray) -> np.ndarray:
        """int8 `N x shape`, flat or not, as float32 `N x C x ...`: the file's answers in the original's order."""
        steps = answers.reshape(-1, *self.shape).astype(np.float32) - np.float32(self.zero_point)
        return np.moveaxis(steps * np.float32(self.scale), -1, 1)


@dataclass(frozen=True)
class Exported:
    """One network as its files.

    Attributes:
        tflite, onnx: the files; `onnx` is empty where only the other matters.
        input, output: of the `.tflite` file.
        packed: it has weights of 4 bits.
    """

    tflite: bytes
    onnx: bytes
    input: Edge
    output: Edge
    packed: bool = False


class Runner(Protocol):
    """A runtime.

    Attributes:
        name: as tables have it.
        needs: the line that installs it, or what else to do where it is missing.
    """

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> str: ...

    def missing(self) -> bool:
        """Is something not installed that it needs?"""

    def answers(self, model: Exported, images: np.ndarray) -> np.ndarray:
        """int8 `N x values`, channels last, to int8 images `N x H x W x C`.

        Raises:
            ModelError: the runtime does not run the model.
        """
