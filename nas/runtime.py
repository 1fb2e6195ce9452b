"""onnxruntime behind one door: the original's logits, and the int8 accuracy of files that were written.

Integer answers differ by single steps between optimisation levels, so one level is *the* level: EXTENDED. x86
processors without VNNI saturate products of unsigned and signed bytes; the precision mode makes them exact instead.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from nas.views import feed
from search_spaces.errors import ModelError

BATCH = 256


class Session:
    """A loaded ONNX model with one input and one output.

    Args:
        model: the file's path or its bytes.
        threads: of one inference.

    Raises:
        ModelError: onnxruntime cannot load the model.
    """

    def __init__(self, model: bytes | str | Path, *, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
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
            reason = str(error).splitlines()[0]
            raise ModelError(f"{name} must be a model that onnxruntime can load: {reason}") from error
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def logits(self, x: np.ndarray, batch: int = BATCH) -> np.ndarray:
        """The first output for every sample, float32.

        Args:
            x: `N x C x H x W` (or `N x F`): uint8 pixels, or floats as they are (`nas.views.feed`).
            batch: samples an inference.
        """
        found = []
        for first in range(0, len(x), batch):
            part = feed(x[first : first + batch])
            found.append(self._session.run([self._output], {self._input: part})[0])
        return np.concatenate(found)
