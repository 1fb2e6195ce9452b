"""TFLite's own interpreter with its reference kernels: what a `.tflite` file means."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Details = tuple[np.ndarray, float, int]


def model(file: bytes) -> schema.ModelT:
    """The file's content as objects."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))


def int8_outputs(file: bytes, images: np.ndarray, *, reference: bool = True) -> Details:
    """The first output for images N x C x H x W (or N x F), int8 with the channel axis second, its scale, zero point.

    uint8 images are read as pixel / 255. `reference=False` is for operators that have no reference kernel (ELU).
    """
    kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=file, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    (source,), target = interpreter.get_input_details(), interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    values = images.astype(np.float64) / (255 if images.dtype == np.uint8 else 1)
    quantized = np.clip(np.rint(values / np.float64(scale)) + zero_point, -128, 127).astype(np.int8)
    found = []
    for image in np.moveaxis(quantized, 1, -1):
        interpreter.set_tensor(source["index"], np.ascontiguousarray(image)[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"]).copy())
    return np.moveaxis(np.concatenate(found), -1, 1), *target["quantization"]
