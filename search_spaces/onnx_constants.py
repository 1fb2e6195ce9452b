"""Constants of an ONNX file: what depends on constants alone is computed, with ONNX's own reference implementation.

A constant that a file repeats for every sample of a batch is held once, with a note of the axis. So that no row is
missed that differs, it is computed for one sample and for two.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from search_spaces.graph import Shape
from search_spaces.onnx_draft import LARGEST, Draft, Node, counts_batch

# Computed where all their inputs are constants, most of them in shape arithmetic. Named one by one, since an operator
# without inputs may be random.
COMPUTABLE = frozenset({
    *("Abs", "Add", "And", "BatchNormalization", "Cast", "Ceil", "Concat", "ConstantOfShape", "Conv"),
    *("DequantizeLinear", "Div", "Einsum"),
    *("Equal", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual"),
    *("Identity", "Less", "LessOrEqual", "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pad", "Pow"),
    *("Range", "ReduceMax", "ReduceMin", "ReduceProd", "Reshape", "Resize", "ScatterND", "Shape", "Size", "Slice"),
    *("Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tile", "Transpose", "Unsqueeze", "Where"),
    *("Clip", "Cos", "CumSum", "Erf", "Exp", "Gemm", "LayerNormalization", "Log", "OneHot", "Reciprocal", "ReduceMean"),
    *("ReduceSum", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softmax", "Tanh", "Trilu"),
})  # fmt: skip

_REPEATING = frozenset({"ConstantOfShape", "Expand", "Range", "Tile"})

_BROADCASTING = frozenset({
    *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul"),
    *("Or", "Pow", "Sub", "Sum", "Where"),
})  # fmt: skip


def compute(draft: Draft, node: Node, proto: onnx.NodeProto, opset: int) -> None:
    """Adds the node's outputs to the constants.

    Raises:
        UnsupportedOp: a result is too large.
    """
    given = {name: draft.constants[name] for name in node.inputs if name}
    counted = node.kind in _REPEATING and any(np.any(counts_batch(values)) for values in given.values())
    evaluator = ReferenceEvaluator(proto, opsets={"": opset})

    def results(feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        _check_size(node, [feeds[name] for name in node.inputs if name])
        return [np.asarray(result) for result in evaluator.run(None, feeds)]

    if not counted and given.keys().isdisjoint({*draft.repeated, *draft.differing}):
        draft.constants.update(zip(node.outputs, results(given), strict=True))
        return
    one, two = (results({name: draft.for_samples(name, n) for name in given}) for n in (1, 2))
    for name, first, second in zip(node.outputs, one, two, strict=True):
        draft.constants[name] = first
        if _same(first, second):
            continue
        axis = _batch_axis(first, second)
        if axis is None:
            draft.differing[name] = second
        else:
            draft.repeated[name] = axis


def _batch_axis(one: np.ndarray, two: np.ndarray) -> int | None:
    """Along which axis a result for two samples repeats that for one; None if along none."""
    grown = [axis for axis, (a, b) in enumerate(zip(one.shape, two.shape, strict=False)) if b == 2 * a]
    for axis in grown:
        if _same(np.concatenate([one, one], axis), two):
            return axis
    return None


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal but for the rounding of sums in another order."""
    if one.shape != other.shape or one.dtype.kind != "f":
        return np.array_equal(one, other)
    return np.allclose(one, other, rtol=1e-5, atol=1e-6 * float(np.abs(one).max(initial=0)))


def _check_size(node: Node, given: list[np.ndarray]) -> None:
    """Refuses a constant that would fill the memory, before it is made."""
    count = _most(node, given)
    if count > LARGEST:
        node.refuse(f"it makes a constant of up to {count:.0f} numbers, at most {LARGEST} are supported")


def _most(node: Node, given: list[np.ndarray]) -> float:
    """Numbers that a node's result has at most; 0 where it has no more than its inputs."""
    sizes = [float(values.size) for values in given]
    if node.kind == "ConstantOfShape":
        return _product(given[0])
    if node.kind == "Range":
        return abs(float(given[1]) - float(given[0])) / max(abs(float(given[2])), 1e-9)
    if node.kind == "Expand":
        return _broadcast([given[0].shape, tuple(given[1].tolist())])
    if node.kind == "Tile":
        return _product(given[1]) * sizes[0]
    if node.kind == "OneHot":
        return float(given[1].flat[0]) * sizes[0]
    if node.kind == "Pad" and len(given) > 1:
        return _product(1 + np.maximum(given[1].reshape(2, -1), 0).sum(0, dtype=np.float64)) * sizes[0]
    if node.kind == "Resize" and len(given) > 1:
        whole = given[-1].dtype.kind == "i" and given[-1].size == given[0].ndim
        return _product(given[-1]) * (1 if whole else sizes[0])
    if node.kind == "Gather":
        return sizes[0] / max(given[0].shape[node.attrs.get("axis", 0)], 1) * sizes[1]
    if node.kind in ("MatMul", "Gemm"):
        common = max(given[0].shape[0 if node.attrs.get("transA") else -1], 1)
        return sizes[0] / common * sizes[1] / common
    if node.kind in _BROADCASTING:
        return _broadcast([values.shape for values in given])
    return 0.0


def _broadcast(shapes: list[Shape]) -> float:
    """Numbers in what arrays of these shapes become together."""
    rank = max(map(len, shapes))
    return _product(np.max([(1,) * (rank - len(shape)) + shape for shape in shapes], 0))


def _product(sides: np.ndarray) -> float:
    """Their product, which does not overflow."""
    return float(np.prod(sides.astype(np.float64)))
