"""LiteRT, TFLite's interpreter: what a `.tflite` file means, and the file's content as objects.

The reference kernels are the plainest and the measure of all others; they have no ELU. The built-in ones answer five
times faster and round otherwise here and there (`experiments/deploy`). XNNPACK, which LiteRT would use by itself,
rounds as floats do, unlike every kernel on a microcontroller, and is left out.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from nas.functions import first_line
from nas.verify.runner import LITERT, Edge, Exported
from search_spaces.errors import ModelError

IDENTIFIER = b"TFL3"
DEPTHWISE, LISTED = schema.BuiltinOperator.DEPTHWISE_CONV_2D, 6
BUILTINS = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}


@dataclass(frozen=True)
class LiteRT:
    """LiteRT on this machine.

    Attributes:
        reference: use the reference kernels, else the built-in ones.
        threads: images answered at a time.
    """

    reference: bool = True
    threads: int = 1

    name = LITERT
    needs = "pip install ai-edge-litert"

    def missing(self) -> bool:
        return False

    def answers(self, model: Exported, images: np.ndarray) -> np.ndarray:
        parts = np.array_split(images, min(self.threads, len(images)))
        with ThreadPoolExecutor(self.threads) as pool:
            return np.concatenate(list(pool.map(lambda part: self._answers(model.tflite, part), parts)))

    def _answers(self, file: bytes, images: np.ndarray) -> np.ndarray:
        interpreter = _interpreter(file, reference=self.reference)
        source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
        found = []
        for image in images:
            interpreter.set_tensor(source, image[None])
            interpreter.invoke()
            found.append(interpreter.get_tensor(target).reshape(-1))
        return np.stack(found)


def exported(tflite: bytes, onnx: bytes = b"") -> Exported:
    """A network from its files.

    Raises:
        ModelError: the `.tflite` file is none.
    """
    interpreter = _interpreter(tflite, reference=False)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    lite = schema.Model.GetRootAs(tflite, 0).Subgraphs(0)
    types = {lite.Tensors(k).Type() for k in range(lite.TensorsLength())}
    return Exported(tflite, onnx, _edge(source), _edge(target), schema.TensorType.INT4 in types)


def operators(model: Exported) -> list[str]:
    """The operators in order of execution, each with its kind, its place and the shape it makes."""
    content = _content(model.tflite)
    (lite,) = content.subgraphs
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in content.operatorCodes]
    shapes = [" x ".join(map(str, lite.tensors[operator.outputs[0]].shape)) for operator in lite.operators]
    kinds = [BUILTINS[codes[operator.opcodeIndex]] for operator in lite.operators]
    return [f"{kind} ({k + 1} of {len(kinds)}, makes {shapes[k]})" for k, kind in enumerate(kinds)]


def head(model: Exported, count: int) -> Exported:
    """The network of the first `count` operators: its output is that of the last of them."""
    content = _content(model.tflite)
    (lite,) = content.subgraphs
    lite.operators = lite.operators[:count]
    lite.outputs = np.asarray(lite.operators[-1].outputs)
    return exported(_bytes(content))


def _content(file: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))


def _interpreter(file: bytes, *, reference: bool) -> Interpreter:
    """Ready to run; with built-in kernels where an operator has no reference kernel.

    Raises:
        ModelError: LiteRT cannot load the file.
    """
    kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        if reference:
            file = _known_to_reference(file)
        found = Interpreter(model_content=file, experimental_op_resolver_type=kernels, num_threads=1)
        found.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        if reference:
            return _interpreter(file, reference=False)
        raise ModelError(f"the .tflite file must be one that LiteRT can load: {first_line(error)}") from None
    return found


def _known_to_reference(file: bytes) -> bytes:
    """The file with depthwise convolutions of a version that the reference kernels are listed under.

    They compute with filters of 4 bits, and are not listed under the version that says so, 7.
    """
    model = schema.Model.GetRootAs(file, 0)
    codes = [model.OperatorCodes(k) for k in range(model.OperatorCodesLength())]
    if all(code.BuiltinCode() != DEPTHWISE or code.Version() <= LISTED for code in codes):
        return file
    content = _content(file)
    for code in content.operatorCodes:
        if code.builtinCode == DEPTHWISE:
            code.version = min(code.version, LISTED)
    return _bytes(content)


def _bytes(content: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder()
    builder.Finish(content.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _edge(details: dict) -> Edge:
    scale, zero_point = details["quantization"]
    return Edge(tuple(int(side) for side in details["shape"][1:]), float(scale), int(zero_point))
