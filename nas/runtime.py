"""onnxruntime behind one door: the original's logits, and the int8 accuracy of files that were written.

Integer answers differ by single steps between optimisation levels, so one level is *the* level: EXTENDED. A float model
may use all of them: its blocked layouts answer four times faster (MobileNetV1 x1.0, 0.7 against 2.9 ms of one core an
image) and the values agree to rounding. x86 processors without VNNI saturate products of unsigned and signed bytes; the
precision mode makes them exact instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from nas.data.feed import feed
from nas.functions import first_line
from search_spaces.errors import ModelError
from search_spaces.graph import Graph

BATCH = 256


@dataclass(frozen=True)
class Ending:
    """The activation at a model's end that `Session.logits` undoes.

    Attributes:
        kind: `softmax` (its logarithms are the values before it up to a constant per sample) or `sigmoid`.
        floor: the least probability that means anything.
    """

    kind: str
    floor: float

    def undone(self, output: np.ndarray) -> np.ndarray:
        """Logits of probabilities."""
        floor = np.float32(self.floor)
        likely = np.maximum(output, floor)
        if self.kind == "softmax":
            return np.log(likely)
        return np.log(likely) - np.log(np.maximum(1 - output, floor))


class Session:
    """A loaded ONNX model with one input and one output.

    Args:
        model: the file's path or its bytes.
        threads: of one inference.
        integer: the model is int8 and its answers must be exact; False lets a float model use every optimisation.
        ending: what `logits` undoes; None = the output is what is asked for.

    Raises:
        ModelError: onnxruntime cannot load the model.
    """

    def __init__(
        self, model: bytes | str | Path, *, threads: int = 1, integer: bool = True, ending: Ending | None = None
    ) -> None:
        self._ending = ending
        options = ort.SessionOptions()
        levels = ort.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if integer else levels.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.x64quantprecision", "1")
        # Idle threads sleep: several workers share the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes share no public base
            name = "the model" if isinstance(model, bytes) else str(model)
            reason = first_line(error)
            raise ModelError(f"{name} must be a model that onnxruntime can load: {reason}") from error
        # The input's, the batch first; None where the model leaves one open.
        image = self._session.get_inputs()[0]
        self._input = image.name
        self.sides = tuple(side if isinstance(side, int) else None for side in image.shape)
        self._output = self._session.get_outputs()[0].name

    def logits(self, x: np.ndarray, batch: int = BATCH) -> np.ndarray:
        """The first output for every sample, `N x values`, float32.

        Args:
            x: `N x C x H x W` (or `N x F`): uint8 pixels, or floats as they are (`nas.data.feed.feed`).
            batch: samples an inference.

        Raises:
            ModelError: the model does not take such samples.
        """
        found = []
        for first in range(0, len(x), batch):
            part = feed(x[first : first + batch])
            try:
                found.append(self._session.run([self._output], {self._input: part})[0].reshape(len(part), -1))
            except Exception as error:  # see above
                shape = " x ".join(map(str, part.shape))
                reason = first_line(error)
                raise ModelError(f"the model must run on float32 of {shape} in onnxruntime: {reason}") from error
        output = np.concatenate(found)
        return output if self._ending is None else self._ending.undone(output)


def ending_of(graph: Graph, kind: str, *, int8: bool) -> Ending | None:
    """The ending of a graph, if it is of that kind; its floor is half a step of int8, next to none of float."""
    last = graph.by_name.get(graph.outputs[0])
    if not kind or last is None or last.kind != kind:
        return None
    return Ending(kind, 1 / 512 if int8 else 1e-30)
