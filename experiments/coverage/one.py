"""Networks of the coverage table, a JSON line each: `python experiments/coverage/one.py timm:resnet10t ...`."""

import json
import sys
import warnings
from math import prod
from pathlib import Path
from time import process_time

import numpy as np
import onnx
import onnxruntime
import torch
import zoo

from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import calibrate, quantize
from nas.pytorch.modules import onnx_bytes
from nas.students.candidate import Student, normed
from nas.timing import fresh_weights
from search_spaces.declare import Declaration
from search_spaces.errors import EngineError
from search_spaces.from_onnx import parse, read_model
from search_spaces.graph import Graph
from search_spaces.ops import LAYERS
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from targets.lower import lower


def run(content: bytes, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def trains(graph) -> bool:
    """Does a fresh network of that graph take a training step with finite, non-zero gradients?"""
    student = Student(graph, fresh_weights(graph, seed=0), norm=bool(normed(graph))).train()
    loss = student(torch.rand(2, *graph.input_shape)).square().mean()
    loss.backward()
    found = [p.grad for p in student.parameters() if p.grad is not None]
    return bool(found) and all(torch.isfinite(g).all() for g in found) and any(g.any() for g in found)


def tflite(graph, weights, x) -> str:
    """`written`, or why not."""
    try:
        program = lower(graph, "tflm")
        quantized = quantize(program, weights, calibrate(program, graph, weights, x))
        return f"written: {len(tflite_bytes(program, quantized))}"
    except EngineError as error:
        return str(error)[:160]


def kind_of(model: onnx.ModelProto) -> str:
    """`attention` where two computed tensors are multiplied as matrices, `mlp` where no window overlaps, else `cnn`.

    Told from the exported file, so neither a network's name nor what the engine makes of it decides.
    """
    computed, overlaps = {model.graph.input[0].name}, False
    for node in model.graph.node:
        fed = sum(name in computed for name in node.input)
        if fed and node.op_type != "Shape":
            computed.update(node.output)
        if node.op_type in ("MatMul", "Einsum") and fed > 1:
            return "attention"
        settings = {attribute.name: list(attribute.ints) for attribute in node.attribute}
        if node.op_type == "Conv":
            overlaps |= any(k > s for k, s in zip(settings["kernel_shape"], settings["strides"], strict=True))
    return "cnn" if overlaps else "mlp"


def learned(graph: Graph) -> int:
    """Parameters of conv and linear operators."""
    made = {f"{op.name}.{role}" for op in graph.ops if op.kind in LAYERS for role in ("weight", "bias")}
    return sum(prod(shape) for name, shape in graph.weight_shapes.items() if name in made)


def measured(content: bytes, name: str, x: np.ndarray) -> dict[str, object]:
    """The columns from `parsed` on, as far as they come."""
    found: dict[str, object] = {"parsed": False}
    try:
        began = process_time()
        graph, weights = read_model(content, Path(f"{name}.onnx"))
        found |= {"parsed": True, "parse_seconds": round(process_time() - began, 3)}
        found["layers"] = sum(op.kind in LAYERS for op in graph.ops)
        again = to_onnx(graph, weights)
        expected, got = run(content, x), run(again.SerializeToString(), x)
        found["output_equal"] = bool(np.abs(got - expected).max() <= 1e-4 * max(1.0, float(np.abs(expected).max())))
        found["round_trip"] = parse(again)[0] == graph
        began = process_time()
        space = derive(graph, Declaration())
        found["derive_seconds"] = round(process_time() - began, 3)
        found["gene_share"] = 1 - sum(r["parameters"] for r in space.fixed()) / max(learned(graph), 1)
        rng = np.random.default_rng(0)
        sizes = [space.apply(space.sample(rng=rng)).params for _ in range(10)]
        found["median_share"] = float(np.median(sizes) / graph.params)
        half = space.apply(space.uniform(0.5))
        found["half_share"] = half.params / graph.params
        found["cut_trains"] = trains(half)
        found["tflite"] = tflite(graph, weights, x)
    except EngineError as error:
        found["why"] = str(error)[:200]
    return found


def passes(found: dict[str, object]) -> bool:
    """Does a row meet the goal of its kind?"""
    same = all(found.get(column) for column in ("parsed", "output_equal", "round_trip", "cut_trains"))
    return bool(same and (found["kind"] != "cnn" or (found["gene_share"] >= 0.9 and found["median_share"] <= 0.7)))


def row(name: str) -> dict[str, object]:
    model = zoo.create(name)
    side = zoo.smallest_side(model)
    found: dict[str, object] = {"name": name, "kind": "", "side": side}
    found["parameters"] = sum(p.numel() for p in model.parameters())
    try:
        content = onnx_bytes(model, (3, side, side))
    except EngineError as error:
        return found | {"parsed": False, "why": f"not exported: {error}"[:200]}
    found["kind"] = kind_of(onnx.load_model_from_string(content))
    found |= measured(content, name, np.random.default_rng(0).random((2, 3, side, side), np.float32))
    found["passes"] = passes(found)
    if not found["passes"]:
        found.setdefault("why", "a column fails")
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in sys.argv[1:]:
        print(json.dumps(row(name)), flush=True)
