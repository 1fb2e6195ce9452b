"""Quantization-aware training by hand, beside onnxruntime, and what it must leave alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from nas.data.views import Views
from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.qat import Refiner
from nas.int8.quantize import Grid, Quantized, calibrate, on_grid
from nas.students.candidate import Student
from nas.students.rounding import Rounding
from nas.tasks import load_task
from nas.training import kernels
from nas.training.distill import Recipe
from nas.training.passes import Autograd
from nas.training.steps import record
from search_spaces.graph import Graph
from targets.lower import lower
from targets.program import Program
from tests import toys
from tests.toys import Sketch, Toy

NETWORKS = {**toys.toys(), "every_kind": toys.every_kind(), "modern": toys.modern(), "decoder": toys.decoder()}
MEANS = {"global_avg_pool", "avg_pool", "resize"}
GRID = Rounding.of(0.5, -2)


def on_int8(toy: Toy) -> tuple[Graph, Program, Grid]:
    graph, weights = toy
    program = lower(graph, "tflm")
    return graph, program, on_grid(program, weights, calibrate(program, graph, weights, toys.images(graph, 64)))


def views(toy: Toy) -> Views:
    """64 images with the toy's own float answers: SYNTHETIC."""
    graph, weights = toy
    images = toys.images(graph, 64)
    logits = Student(graph, weights).logits(images)
    return Views(images[None], logits[None], logits.argmax(1), load_task("classification", ""))


def refiner(toy: Toy, *, seed: int = 0) -> Refiner:
    return Refiner(*on_int8(toy), views(toy), Recipe(batch=16), seed=seed)


def test_a_grid_by_hand() -> None:
    # int8 -128 stands for 0.5 x (-128 + 2), 127 for 0.5 x (127 + 2).
    assert Rounding(0.5, -63.0, 64.5) == GRID
    x = torch.tensor([0.74, 0.75, 1.25, -0.2, 70.0, -63.0], requires_grad=True)
    y = GRID(x)
    assert y.tolist() == [0.5, 1.0, 1.0, 0.0, 64.5, -63.0]  # 1.5 and 2.5 steps go to the even 2
    y.backward(torch.full((6,), 3.0))
    assert x.grad is not None
    assert x.grad.tolist() == [3, 3, 3, 3, 0, 0]  # nothing passes at the ends


def test_kernels_round_as_torch_does() -> None:
    x = np.arange(-300, 300, 0.125, np.float32)
    y = np.empty_like(x)
    kernels.round_forward(x, GRID.low, GRID.high, GRID.scale, y)
    np.testing.assert_array_equal(y, GRID(torch.from_numpy(x)))
    z = np.tile(x, (2, 1))
    kernels.bias_round_forward(z, np.float32([0.5, -1]), 0.0, GRID.high, GRID.scale, z)
    for row, bias in zip(z, (0.5, -1), strict=True):
        np.testing.assert_array_equal(row, GRID(torch.from_numpy(x + np.float32(bias)).relu()))


def test_a_step_of_adam_by_hand() -> None:
    # The first step is the rate against the gradient's sign, whatever its size; 127 is the limit, and 2.6 is nearest 3.
    numbers = [np.array(values, np.float32) for values in ([2.7, 127, 4], [2, -1, 0], [0] * 3, [0] * 3, [0.5] * 3)]
    exact, gradient, first, second, steps = numbers
    values, coarse, limits = np.zeros(3, np.float32), np.array([1, 1, 10], np.float32), np.full(3, 127, np.float32)
    kernels.adam_on_grid(exact, gradient, first, second, steps, coarse, limits, values, 0.1, 1)
    np.testing.assert_allclose(exact, [2.6, 127, 4], rtol=1e-6)
    assert values.tolist() == [1.5, 63.5, 20]  # integers 3, 127 and 4 x 10, in steps of 0.5


def integers(program: Program, quantized: Quantized, x: np.ndarray) -> dict[str, np.ndarray]:
    """What onnxruntime holds in int8 for the tensors of a program."""
    model = qdq_onnx(program, quantized)
    written = {output for node in model.graph.node for output in node.output}
    names = [a.name for a in program.activations if a.name == a.tensor and f"{a.name}:int8" in written]
    del model.graph.output[:]
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(f"{name}:int8", onnx.TensorProto.INT8, None))
    return {name: found.astype(int) for name, found in zip(names, toys.run_onnx(model, x), strict=True)}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_simulation_is_what_onnxruntime_computes(name: str) -> None:
    """A mean of a few integers often lies between two, and the two sums fall to different sides; nothing else may."""
    graph, program, grid = on_int8(NETWORKS[name])
    trained = Refiner(graph, program, grid, views(NETWORKS[name]), Recipe(batch=16), seed=0)
    scales, zero_points = grid.quantized.scales * grid.unit, grid.quantized.zero_points
    images = toys.images(graph, 32, seed=5)
    for steps in (0, 3):
        theirs = integers(program, trained.refine(steps), images)
        trained.student.eval()
        mine = trained.student.tensors(images, theirs)
        exact = True
        for tensor, expected in theirs.items():
            group = program.by_name[tensor].scale_group
            steps = mine[tensor].numpy() / scales[group] + zero_points[group]
            off = np.abs(np.rint(steps).reshape(expected.shape) - expected)
            exact = exact and graph.by_name.get(tensor, graph.ops[0]).kind not in MEANS
            assert (off > 0).mean() < 0.01 if exact else off.mean() < 2, tensor


@pytest.mark.parametrize("name", NETWORKS)
def test_only_integers_change(name: str) -> None:
    toy = NETWORKS[name]
    trained = refiner(toy)
    before, after = trained.quantized(), trained.refine(5)
    assert before.scales is after.scales
    assert before.weight_scales is after.weight_scales
    assert any(not np.array_equal(before.weights[op], after.weights[op]) for op in before.weights)
    assert all(np.abs(weight.astype(int)).max() <= 127 for weight in after.weights.values())


def test_weights_of_four_bits_stay_within_them() -> None:
    graph, weights = toy = toys.depthwise()
    program = lower(graph, "tflm")
    grid = on_grid(program, weights, calibrate(program, graph, weights, toys.images(graph, 64)), limit=7)
    found = Refiner(graph, program, grid, views(toy), Recipe(batch=16), seed=0).refine(20)
    assert {np.abs(weight.astype(int)).max() for weight in found.weights.values()} == {7}


def test_same_seed_same_integers_and_another_seed_others() -> None:
    first, second, other = (refiner(toys.depthwise(), seed=seed).refine(4) for seed in (0, 0, 1))
    for op, weight in first.weights.items():
        np.testing.assert_array_equal(weight, second.weights[op])
        np.testing.assert_array_equal(first.biases[op], second.biases[op])
    assert any(not np.array_equal(weight, other.weights[op]) for op, weight in first.weights.items())


def test_refining_brings_answers_back_that_rounding_lost() -> None:
    graph, weights = toy = toys.depthwise()
    _, program, grid = on_int8(toy)
    images = toys.images(graph, 64)
    wanted = Student(graph, weights).logits(images)
    rng = np.random.default_rng(0)  # up to eight steps more or less: much more than rounding does
    spoiled = {op: weight + rng.uniform(-8, 8, weight.shape) for op, weight in grid.weights.items()}
    trained = Refiner(graph, program, replace(grid, weights=spoiled), views(toy), Recipe(batch=16, alpha=1.0), seed=0)

    def error() -> float:
        off = trained.student.logits(images) - wanted
        return float(off.var(1).mean())  # the loss does not mind what all classes have in common

    before = error()
    trained.refine(60)
    assert error() < 0.5 * before


def test_both_passes_train_the_same() -> None:
    """Gradients of the tape are those of torch's autograd, rounding included; no means, see above."""
    net = Sketch(2, 6, 6)
    stem = net.conv("stem", 6)
    net.conv("dw", 6, groups=6)
    net.add("dw_relu", "relu6")
    net.conv("pw", 6, 1)
    net.add("sum", "add", stem, "pw")
    net.add("sum_relu", "relu")
    net.add("scaled", "affine")
    net.pool("small", "max_pool", 2, 2)
    net.add("flat", "flatten")
    net.add("logits", "linear", out_channels=4)
    graph = net.done()
    student = refiner((graph, toys.random_weights(graph, 0))).student
    found = []
    for make in (record, Autograd):
        into = {key: torch.zeros_like(p) for key, p in student.parameters_by_name().items()}
        one = make(student, 16, into)
        one.images[:] = toys.images(graph, 16).reshape(16, -1).T
        logits = one.forward().copy()
        one.logits_gradient[:] = np.random.default_rng(0).standard_normal(logits.shape)
        one.backward()
        found.append((logits, into))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-5)
    for key, gradient in found[0][1].items():
        torch.testing.assert_close(gradient, found[1][1][key], atol=1e-4 * float(gradient.abs().max()), rtol=1e-3)


def test_a_student_with_norms_is_not_rounded() -> None:
    graph, weights = toys.chain()
    with pytest.raises(ValueError, match="norm"):
        Student(graph, weights, norm=True).round({"r1": GRID})
