"""The way through a device, tried on the processor: it answers and learns as the passes of the processor do.

On no machine of these tests is a GPU. That nothing strays from the device is tried on torch's `meta`, which holds
shapes alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nas.data.augment import augment
from nas.data.views import Views
from nas.int8.qat import Refiner
from nas.int8.quantize import calibrate, on_grid
from nas.students.candidate import Student
from nas.students.rounding import Rounding
from nas.tasks import load_task
from nas.training import accelerator, kernels
from nas.training.accelerator import Accelerator
from nas.training.distill import Distiller, Recipe
from nas.training.passes import OnDevice, choose
from search_spaces.errors import InputError
from targets.lower import lower
from tests import toys
from tests.task_suite import VALUES, Case, cases
from tests.toys import Sketch

NETWORKS = {**toys.toys(), "every_kind": toys.every_kind(), "modern": toys.modern(), "decoder": toys.decoder()}
RECIPE = Recipe(lr=0.02, batch=16, warmup_steps=4)
HERE = Accelerator("cpu")


def views_of(name: str, *, count: int = 2) -> Views:
    """Random uint8 pictures in some views, and a teacher that is the network with other weights."""
    graph, _ = NETWORKS[name]
    images = np.random.default_rng(0).integers(0, 256, (count, 48, *graph.input_shape), np.uint8)
    teacher = Student(graph, toys.random_weights(graph, 9))
    logits = np.stack([teacher.logits(x) for x in images])
    return Views(images, logits, logits[0].argmax(1), load_task())


def student_of(name: str) -> Student:
    graph, weights = NETWORKS[name]
    student = Student(graph, weights)
    student.add_norm(toys.images(graph, 32))
    return student


def distiller(views: Views, on: Accelerator | None, name: str = "depthwise") -> Distiller:
    return Distiller(student_of(name), views, RECIPE, seed=0, on=on)


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=2e-3, rtol=1e-2, err_msg=name)


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_and_gradients_are_those_of_the_processor(name: str) -> None:
    views, rows = views_of(name), np.array([3, 95, 48, 47, 0, 60])
    found = []
    for on in (None, HERE):
        student = student_of(name)
        gradients = {key: torch.full_like(p, torch.nan) for key, p in student.parameters_by_name().items()}
        one = choose(student, len(rows), gradients, on)
        assert isinstance(one, OnDevice) == (on is not None)
        one.load(views, rows)
        logits = one.forward().copy()
        one.logits_gradient[:] = np.sin(np.arange(logits.size)).reshape(logits.shape)
        one.backward()
        found.append((one.images, logits, gradients))
    (images, logits, gradients), (pictures, answers, others) = found
    np.testing.assert_allclose(pictures, images, rtol=1e-6)
    np.testing.assert_allclose(answers, logits, atol=1e-5, rtol=1e-4)
    largest = max(float(g.abs().max()) for g in gradients.values())
    for key, gradient in gradients.items():
        torch.testing.assert_close(others[key], gradient, atol=1e-4 * largest, rtol=1e-3, msg=key)


def test_thirty_steps_end_near_those_of_the_processor() -> None:
    views = views_of("depthwise")
    mine, theirs = distiller(views, HERE), distiller(views, None)
    begun = theirs.student.folded()
    mine.run(30)
    theirs.run(30)
    assert_close(mine.state(), theirs.state())
    assert_close(mine.cooled(5), theirs.cooled(5))
    ended = theirs.student.folded()
    assert max(float(np.abs(ended[name] - begun[name]).max()) for name in ended) > 0.02  # far more than they differ by


def test_a_checkpoint_goes_from_a_device_to_the_processor_and_back() -> None:
    views, graph = views_of("depthwise"), NETWORKS["depthwise"][0]
    straight, there = distiller(views, HERE), distiller(views, HERE)
    straight.run(6)
    there.run(4)
    again = Distiller.resume(graph, there.state(), views, RECIPE, seed=0, on=HERE)
    here = Distiller.resume(graph, there.state(), views, RECIPE, seed=0)
    again.run(2)
    here.run(2)
    assert all(np.array_equal(value, again.state()[key]) for key, value in straight.state().items())
    assert_close(here.state(), straight.state())


def test_pictures_that_are_made_anew_are_the_processors() -> None:
    kept = views_of("depthwise")
    pictures, rows = kept.images[0], np.array([1, 50, 90])
    anew = Views(pictures[None], kept.logits, kept.targets, kept.task, preset="image-small", seed=3)
    smaller = kept.at((1, 8, 8))
    assert (anew.table, smaller.table) == (None, None)
    for views in (anew, smaller):
        planes = np.empty((int(np.prod(views.shape)), 3), np.float32)
        views.pictures(rows, planes)
        found = HERE.pictures(views, rows)
        assert found.shape == (3, *views.shape)
        np.testing.assert_array_equal(found.flatten(1).numpy().T, planes)
    expected = augment(pictures[2:3], seed=3, view=1, preset="image-small", index=np.array([2]))
    np.testing.assert_allclose(HERE.pictures(anew, rows)[1], expected[0] / 255, rtol=1e-6)


@pytest.mark.parametrize("case", cases().values(), ids=cases().keys())
def test_every_task_is_learned_there(case: Case) -> None:
    sketch = Sketch(VALUES)
    for name, width in (("hidden", 16), ("logits", VALUES)):
        sketch.add(name, "linear", out_channels=width)
    graph = sketch.done()
    weights, views = toys.random_weights(graph, 1), Views(case.x[None], case.teacher[None], case.targets, case.task)
    mine, theirs = (
        Distiller(Student(graph, weights, ending=case.task.ending), views, RECIPE, seed=0, on=on) for on in (HERE, None)
    )
    assert_close(mine.finish(20), theirs.finish(20))


def test_training_as_int8_moves_the_same_integers() -> None:
    graph, weights = NETWORKS["depthwise"]
    program = lower(graph, "tflm")
    grid = on_grid(program, weights, calibrate(program, graph, weights, toys.images(graph, 64)))
    views = views_of("depthwise")
    mine, theirs = (Refiner(graph, program, grid, views, RECIPE, seed=0, on=on) for on in (HERE, None))
    begun = theirs.quantized().weights
    found, expected = mine.refine(8).weights, theirs.refine(8).weights
    moved = sum(int((begun[op] != expected[op]).sum()) for op in expected)
    off = sum(int((found[op] != expected[op]).sum()) for op in expected)
    assert off < 0.05 * moved


@pytest.mark.parametrize("clip", [0.5, 1e6])
def test_a_step_of_sgd_is_the_kernels(clip: float) -> None:
    rng = np.random.default_rng(0)
    mine = [rng.standard_normal(50).astype(np.float32) for _ in range(3)]
    theirs = [torch.tensor(vector) for vector in mine]
    mine[1] *= np.float32(min(1.0, clip / np.linalg.norm(mine[1])))
    kernels.nesterov(*mine, 0.1, 0.9, 0.01, 20)
    accelerator.nesterov(*theirs, 0.1, 0.9, 0.01, 20, clip)
    for k in (0, 2):
        np.testing.assert_allclose(theirs[k], mine[k], rtol=1e-5, atol=1e-6)


def test_a_gradient_of_zero_moves_what_decays() -> None:
    values, gradient, velocity = torch.tensor([2.0, 2.0]), torch.zeros(2), torch.zeros(2)
    accelerator.nesterov(values, gradient, velocity, 0.5, 0.0, 0.1, 1, 2.0)
    assert values.tolist() == pytest.approx([1.9, 2.0])  # 2 - 0.5 x 0.1 x 2


class OneDevice(TorchDispatchMode):
    """Raises where an operator of torch is given tensors of two devices; numbers in tensors may lie anywhere."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = torch.utils._pytree.tree_leaves((args, kwargs or {}))
        devices = {leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.ndim}
        assert len(devices) <= 1, f"{func} of tensors on {devices}"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_strays_from_the_device(name: str) -> None:
    graph, weights = NETWORKS[name]
    for norm in (True, False):
        student = Student(graph, weights, norm=norm)
        if not norm:
            student.round({op.name: Rounding.of(0.5, 0) for op in graph.ops})
        student.to("meta").train()
        x = torch.empty((4, *graph.input_shape), device="meta")
        with OneDevice():
            logits = student(x)
            parameters = list(student.parameters_by_name().values())
            found = torch.autograd.grad(logits, parameters, torch.empty_like(logits), materialize_grads=True)
        assert {gradient.device.type for gradient in found} == {"meta"}


def test_the_optimisers_stay_on_the_device() -> None:
    vectors = [torch.empty(9, device="meta") for _ in range(8)]
    with OneDevice():
        accelerator.nesterov(*vectors[:3], 0.1, 0.9, 0.01, 4, 2.0)
        accelerator.adam_on_grid(*vectors, 0.1, 1)


def test_the_original_answers_there_as_here() -> None:
    graph, weights = NETWORKS["every_kind"]
    x = np.random.default_rng(0).integers(0, 256, (5, *graph.input_shape), np.uint8)
    found = HERE.original(graph, weights, load_task()).logits(x)
    np.testing.assert_array_equal(found, Student(graph, weights).logits(x))


def test_cuda_is_refused_without_a_gpu_and_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (accelerator.find("cpu"), accelerator.find("auto")) == (None, None)
    with pytest.raises(InputError, match=r"^device cuda needs a GPU .* finds none; .*, or use --device cpu$"):
        accelerator.find("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (accelerator.find("cpu"), accelerator.find("cuda"), accelerator.find("auto")) == (None, "cuda", "cuda")
