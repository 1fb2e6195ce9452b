"""The student says what its graph says, with and without BatchNorm, and its gradients are torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas.runtime import Session
from nas.students.candidate import PLAIN, Student, normed
from search_spaces.errors import ModelError
from search_spaces.graph import Graph
from search_spaces.to_onnx import to_onnx
from tests import toys

NETWORKS = {**toys.toys(), "every_kind": toys.every_kind(), "modern": toys.modern()}
EACH = pytest.mark.parametrize("name", NETWORKS)


def plainly(student: Student, x: torch.Tensor) -> torch.Tensor:
    """The student's training pass written with torch's own operators, norms from the batch."""
    graph, parameters = student.graph, student.parameters_by_name()
    values = {graph.input: x}
    for op in graph.ops:
        inputs = [values[name] for name in op.inputs]
        weight, bias = parameters.get(f"{op.name}.weight"), parameters.get(f"{op.name}.bias")
        if op.kind == "conv":
            top, left, bottom, right = op["pads"]
            padded = F.pad(inputs[0], (left, right, top, bottom))
            y = F.conv2d(padded, weight, bias, op["stride"], 0, op["dilation"], op["groups"])
        elif op.kind == "linear":
            y = F.linear(inputs[0], weight, bias)
        elif op.kind == "affine":
            y = inputs[0] * weight.view(-1, 1, 1) + bias.view(-1, 1, 1)
        elif op.kind == "softmax":
            continue
        else:
            y = PLAIN[op.kind](op, graph.shapes[op.inputs[0]])(*inputs)
        if f"{op.name}.gamma" in parameters:
            y = F.batch_norm(y, None, None, parameters[f"{op.name}.gamma"], parameters[f"{op.name}.beta"], True)
        values[op.name] = y
    return y


@EACH
def test_logits_are_those_of_the_onnx_file(name: str) -> None:
    graph, weights = NETWORKS[name]
    x = toys.images(graph, 7)
    found = Student(graph, weights).logits(x)
    if graph.ops[-1].kind == "softmax":
        found = np.exp(found) / np.exp(found).sum(1, keepdims=True)
    expected = Session(to_onnx(graph, weights).SerializeToString()).logits(x)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@EACH
def test_add_norm_changes_no_answer_in_either_mode(name: str) -> None:
    graph, weights = NETWORKS[name]
    x = torch.from_numpy(toys.images(graph, 16))
    student = Student(graph, weights).eval()
    before = student(x)
    student.add_norm(x)
    torch.testing.assert_close(student(x), before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(student.train()(x), before, atol=1e-5, rtol=1e-5)


@EACH
def test_training_pass_and_gradients_are_those_of_torchs_operators(name: str) -> None:
    graph, weights = NETWORKS[name]
    x = torch.from_numpy(toys.images(graph, 16))
    student = Student(graph, weights)
    student.add_norm(x)
    student.train()
    # Other norms than those that were put in, so that each has something to do.
    rng = torch.Generator().manual_seed(0)
    parameters = student.parameters_by_name()
    with torch.no_grad():
        for key, parameter in parameters.items():
            if key.endswith(("gamma", "beta")):
                parameter.mul_(1 + 0.3 * torch.rand(parameter.shape, generator=rng))
    expected, found = plainly(student, x), student(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    towards = torch.randn(expected.shape, generator=rng)
    for key, mine, theirs in zip(
        parameters,
        torch.autograd.grad(found, list(parameters.values()), towards),
        torch.autograd.grad(expected, list(parameters.values()), towards),
        strict=True,
    ):
        assert (mine - theirs).norm() <= 1e-3 * theirs.norm() + 1e-5, key


@EACH
def test_folded_weights_answer_as_the_normed_student(name: str) -> None:
    graph, weights = NETWORKS[name]
    x = torch.from_numpy(toys.images(graph, 16))
    student = Student(graph, weights)
    student.add_norm(x)
    student.train()
    for _ in range(3):
        student(x * 1.5)  # moves the running statistics
    folded = student.folded()
    assert {key: value.shape for key, value in folded.items()} == graph.weight_shapes
    torch.testing.assert_close(Student(graph, folded)(x), student.eval()(x), atol=1e-4, rtol=1e-4)


def test_running_statistics_are_torchs() -> None:
    graph, weights = toys.chain()
    x = torch.from_numpy(toys.images(graph, 16))
    student = Student(graph, weights)
    student.add_norm(x)
    start = student.state()
    first = student.tensors(x, ["c1"])["c1"]  # before the norm changes; equal to the norm's input but for the bias
    student.train()
    student(x)
    z = first - torch.from_numpy(weights["c1.bias"]).view(-1, 1, 1)
    mean, var = torch.from_numpy(start["c1.mean"]), torch.from_numpy(start["c1.var"])
    F.batch_norm(z, mean, var, training=True, momentum=0.1)
    state = student.state()
    np.testing.assert_allclose(state["c1.mean"], mean.numpy(), atol=1e-5)
    np.testing.assert_allclose(state["c1.var"], var.numpy(), rtol=1e-4)


def test_norm_goes_behind_every_layer_but_the_last() -> None:
    assert normed(toys.chain()[0]) == ["c1", "c2", "c3", "c4"]
    assert normed(toys.residual()[0]) == ["stem", "a1", "a2", "b1", "b2", "b_project"]


def test_restored_student_is_the_same() -> None:
    graph, weights = toys.residual()
    x = torch.from_numpy(toys.images(graph, 8))
    student = Student(graph, weights)
    student.add_norm(x)
    student.train()
    student(x)
    again = Student.restore(graph, student.state())
    assert np.array_equal(again.logits(x.numpy()), student.logits(x.numpy()))
    assert sorted(again.parameters_by_name()) == sorted(student.parameters_by_name())


def test_norm_true_computes_what_the_weights_say() -> None:
    graph, weights = toys.depthwise()
    x = toys.images(graph, 5)
    np.testing.assert_allclose(
        Student(graph, weights, norm=True).logits(x), Student(graph, weights).logits(x), atol=1e-5
    )


def test_uint8_images_are_fed_as_fractions() -> None:
    graph, weights = toys.chain()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    student = Student(graph, weights)
    assert np.array_equal(student.logits(pixels), student.logits(pixels.astype(np.float32) / 255))


def test_building_leaves_the_callers_weights_alone() -> None:
    graph, weights = toys.chain()
    before = {key: value.copy() for key, value in weights.items()}
    student = Student(graph, weights)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1)
    assert all(np.array_equal(before[key], weights[key]) for key in before)


def test_wrong_weights_are_refused() -> None:
    graph, weights = toys.chain()
    with pytest.raises(ModelError, match=r"c1.weight.*\(8, 1, 3, 3\)"):
        Student(graph, {**weights, "c1.weight": np.zeros((8, 1, 5, 5), np.float32)})
    two = Graph(graph.input, graph.input_shape, graph.ops, ("c1", "logits"))
    with pytest.raises(ModelError, match="one output"):
        Student(two, weights)


@pytest.mark.parametrize("kind", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("pads", [(0, 0, 1, 1), (1, 1, 1, 1), (0, 2, 1, 0)])
def test_padded_pools_are_onnxs(kind: str, pads: tuple[int, int, int, int]) -> None:
    net = toys.Sketch(2, 6, 6)
    net.add("pool", kind, kernel=(3, 3), stride=(2, 2), pads=pads)
    net.classifier(3)
    graph = net.done()
    weights = toys.random_weights(graph, 0)
    x = toys.images(graph, 4) - 0.5
    expected = Session(to_onnx(graph, weights).SerializeToString()).logits(x)
    np.testing.assert_allclose(Student(graph, weights).logits(x), expected, atol=1e-5)
