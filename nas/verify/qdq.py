"""The QDQ ONNX file in onnxruntime, which scored the network on final_val, asked for its int8 answers."""

from __future__ import annotations

import numpy as np

from nas.runtime import Session
from nas.verify.runner import LIMIT, ONNX, Exported


class OnnxRuntime:
    """onnxruntime; rounds as floats do, not by shifts, so single steps may differ."""

    name = ONNX
    needs = "pip install onnxruntime"

    def missing(self) -> bool:
        return False

    def answers(self, model: Exported, images: np.ndarray) -> np.ndarray:
        outputs = Session(model.onnx).logits(np.ascontiguousarray(model.input.values(images)))
        steps = np.rint(outputs / np.float32(model.output.scale)) + model.output.zero_point
        steps = np.clip(steps, -LIMIT - 1, LIMIT).astype(np.int8)
        shape = model.output.shape
        channels_first = steps.reshape(-1, shape[-1], *shape[:-1])
        return np.moveaxis(channels_first, 1, -1).reshape(len(steps), -1)
