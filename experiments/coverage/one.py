"""One network of the coverage table, as a JSON line: `python experiments/coverage/one.py timm:resnet10t`."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import zoo

from nas.candidate import Student, normed
from nas.export.tflite import tflite_bytes
from nas.from_torch import onnx_bytes
from nas.quantize import calibrate, quantize
from nas.timing import fresh_weights
from search_spaces.declare import Declaration
from search_spaces.errors import EngineError
from search_spaces.from_onnx import parse, read_model
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from targets.lower import lower

ATTENTION = ("Attention", "attn")


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


def peer(model, x) -> bool | None:
    """Does the network run after Torch-Pruning removed half of all channels? None if it is not installed."""
    try:
        import torch_pruning as tp
    except ImportError:
        return None
    try:
        heads = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m.out_features == 1000]
        importance = tp.importance.MagnitudeImportance(p=1)
        tp.pruner.MagnitudePruner(
            model, x, importance=importance, pruning_ratio=0.5, global_pruning=True, ignored_layers=heads
        ).step()
        with torch.no_grad():
            model(x)
        return True
    except Exception:
        return False


def row(name: str) -> dict[str, object]:
    model = zoo.create(name)
    side = zoo.smallest_side(model)
    attention = any(word in type(part).__name__ for part in model.modules() for word in ATTENTION)
    found: dict[str, object] = {"name": name, "kind": "attention" if attention else "cnn", "side": side}
    found["parameters"] = sum(p.numel() for p in model.parameters())
    try:
        content = onnx_bytes(model, (3, side, side))
    except EngineError as error:
        return found | {"parsed": False, "why": f"not exported: {error}"[:200]}
    x = np.random.default_rng(0).random((2, 3, side, side), np.float32)
    expected = run(content, x)
    try:
        graph, weights = read_model(content, Path(f"{name}.onnx"))
        found["parsed"] = True
        again = to_onnx(graph, weights)
        got = run(again.SerializeToString(), x)
        found["output_equal"] = bool(np.abs(got - expected).max() <= 1e-4 * max(1.0, float(np.abs(expected).max())))
        found["round_trip"] = parse(again)[0] == graph
        space = derive(graph, Declaration())
        fixed = sum(r["parameters"] for r in space.fixed())
        shapes = graph.weight_shapes
        total = sum(
            int(np.prod(shapes[f"{op.name}.{role}"]))
            for op in graph.ops
            if op.kind in ("conv", "linear")
            for role in ("weight", "bias")
        )
        found["gene_share"] = 1 - fixed / total
        rng = np.random.default_rng(0)
        found["median_share"] = float(
            np.median([space.apply(space.sample(rng=rng)).params for _ in range(10)]) / graph.params
        )
        half = space.apply(space.uniform(0.5))
        found["half_share"] = half.params / graph.params
        found["cut_trains"] = trains(half)
        found["tflite"] = tflite(graph, weights, x)
        widths = found["gene_share"] >= 0.9 and found["median_share"] <= 0.7
        same = found["output_equal"] and found["round_trip"] and found["cut_trains"]
        found["passes"] = bool(same and (attention or widths))
        if not found["passes"]:
            found["why"] = "a column fails"
    except EngineError as error:
        found |= {"parsed": found.get("parsed", False), "why": str(error)[:200]}
    found["torch_pruning"] = peer(model, torch.from_numpy(x))
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(json.dumps(row(sys.argv[1])))
