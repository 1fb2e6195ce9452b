"""The tape does what the student does in training mode, written with torch's own operators, gradients included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from nas.students.candidate import Student
from nas.training.passes import Autograd, Pass, choose, dense_share
from nas.training.steps import fused, record
from nas.training.tape import Tape
from search_spaces.declare import Declaration
from search_spaces.space import derive
from tests import toys
from tests.toys import Sketch, Toy

NETWORKS = {**toys.toys(), "every_kind": toys.every_kind(), "modern": toys.modern()}
COUNT = 16
Make = Callable[[Student, int, dict[str, torch.Tensor]], Pass]


def nans(student: Student) -> dict[str, torch.Tensor]:
    """Places for gradients; NaN, so that one that is not written shows."""
    return {name: torch.full_like(p, torch.nan) for name, p in student.parameters_by_name().items()}


def check(toy: Toy, *, norm: bool, make: Make = record, seed: int = 0) -> None:
    """Two steps on random images give the student's logits, gradients and running statistics.

    A value within rounding of a relu's corner may fall on either side of it, so one of three draws has to agree.
    """
    for draw in range(3):
        try:
            compare(toy, norm=norm, make=make, seed=10 * seed + draw)
        except AssertionError:
            if draw == 2:
                raise
        else:
            return


def compare(toy: Toy, *, norm: bool, make: Make, seed: int) -> None:
    graph, weights = toy
    rng = torch.Generator().manual_seed(seed)
    theirs = Student(graph, weights)
    if norm:
        theirs.add_norm(toys.images(graph, COUNT, seed))
        for key, parameter in theirs.parameters_by_name().items():
            if key.endswith(("gamma", "beta")):  # other norms than were put in, so that each has something to do
                parameter.data *= 1 + 0.3 * torch.rand(parameter.shape, generator=rng)
    mine = Student.restore(graph, theirs.state())
    gradients = nans(mine)
    tried = make(mine, COUNT, gradients)
    for step in range(2):  # twice: nothing of the first step may be left in the buffers
        x = toys.images(graph, COUNT, seed + step + 1)
        expected = theirs.train()(torch.from_numpy(x))
        towards = torch.randn(expected.shape, generator=rng)
        parameters = theirs.parameters_by_name()
        wanted = torch.autograd.grad(expected, list(parameters.values()), towards)
        tried.images[:] = x.reshape(COUNT, -1).T
        np.testing.assert_allclose(tried.forward().T, expected.detach(), atol=1e-5, rtol=1e-4)
        tried.logits_gradient[:] = towards.T
        tried.backward()
        largest = max(float(g.abs().max()) for g in wanted)
        for name, gradient in zip(parameters, wanted, strict=True):
            torch.testing.assert_close(gradients[name], gradient, atol=1e-4 * largest, rtol=1e-3, msg=name)
        state = mine.state()
        for name, value in theirs.state().items():
            if name.endswith((".mean", ".var")):
                np.testing.assert_allclose(state[name], value, atol=1e-5, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_tape_is_the_student(name: str, norm: bool) -> None:
    check(NETWORKS[name], norm=norm)


@pytest.mark.parametrize("name", NETWORKS)
def test_autograd_pass_is_the_student(name: str) -> None:
    check(NETWORKS[name], norm=True, make=Autograd)


def test_dense_convolutions_go_to_autograd_and_separable_ones_to_the_tape() -> None:
    # 4 x 4 x 12 x 9 x 8 (c3) + 4 x 4 x 12 x 9 x 12 (c4) + 8 x 8 x 8 x 9 x 8 (c2) of these and 8 x 8 x 8 x 9 (c1) + 48
    dense = 13824 + 20736 + 36864
    assert dense_share(toys.chain()[0]) == pytest.approx(dense / (dense + 4608 + 48))
    for name, kind in (("residual", Autograd), ("depthwise", Tape)):
        student = Student(*NETWORKS[name])
        assert isinstance(choose(student, COUNT, nans(student)), kind)


@pytest.mark.parametrize("name", NETWORKS)
def test_tape_of_random_candidates_is_the_student(name: str) -> None:
    space = derive(NETWORKS[name][0], Declaration(width_step=1, width_min=1, kernel_growth=True))
    rng = np.random.default_rng(0)
    for seed in range(4):
        graph = space.apply(space.sample(rng=rng))
        check((graph, toys.random_weights(graph, seed)), norm=True, seed=seed)


CONVOLUTIONS = {  # kernel, stride, pads, groups, outputs, on a map of 4 channels of 7x7
    "pointwise": (1, 1, (0, 0, 0, 0), 1, 6),
    "pointwise strided": (1, 2, (0, 0, 0, 0), 1, 6),
    "dense": (3, 1, (1, 1, 1, 1), 1, 6),
    "dense strided, uneven pads": (3, 2, (0, 1, 2, 1), 1, 6),
    "dense without pads": (5, 1, (0, 0, 0, 0), 1, 6),
    "depthwise": (3, 1, (1, 1, 1, 1), 4, 4),
    "depthwise strided, uneven pads": (3, 2, (0, 0, 1, 1), 4, 4),
    "depthwise 5x5": (5, 2, (2, 2, 2, 2), 4, 4),
    "depthwise 1x1": (1, 1, (0, 0, 0, 0), 4, 4),
    "depthwise with a multiplier": (3, 1, (1, 1, 1, 1), 4, 8),
    "grouped": (3, 1, (1, 1, 1, 1), 2, 6),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_convolution(name: str, first: bool) -> None:
    """As the layer that reads the image, whose gradient nobody wants, and behind another."""
    kernel, stride, pads, groups, out = CONVOLUTIONS[name]
    net = Sketch(4 if first else 2, 7, 7)
    if not first:
        net.conv("before", 4)
        net.add("before_relu", "relu6")
    net.conv("tried", out, kernel, stride, groups=groups, pads=pads)
    net.add("tried_relu", "relu")
    net.conv("behind", 3, 1)
    net.classifier(3)
    graph = net.done()
    check((graph, toys.random_weights(graph, 1)), norm=True)


def test_a_large_dense_convolution_goes_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.training.products.COLUMNS", 9 * 8 * 16 * COUNT * 3)  # three of sixteen rows at a time
    check(toys.residual(), norm=True)


def test_a_tensor_read_many_times_gets_all_its_gradients() -> None:
    net = Sketch(2, 5, 5)
    stem = net.conv("stem", 4)
    first = net.conv("first", 4, of=stem)
    twice = net.add("twice", "add", stem, stem)
    joined = net.add("joined", "concat", first, twice, stem)
    net.conv("dense", 4, of=joined)
    net.add("sum", "add", "dense", first)
    net.add("sum_relu", "relu")
    net.add("more", "mul", "sum_relu", stem)
    net.classifier(3)
    graph = net.done()
    check((graph, toys.random_weights(graph, 0)), norm=True)
    check((graph, toys.random_weights(graph, 0)), norm=False)


@pytest.mark.parametrize("make", [record, Autograd])
def test_layers_that_lead_nowhere_get_gradients_of_zero(make: Make) -> None:
    net = Sketch(1, 4, 4)
    stem = net.conv("stem", 3)
    net.conv("idle", 2)
    net.conv("used", 3, of=stem)
    net.classifier(2)
    graph = net.done()
    student = Student(graph, toys.random_weights(graph, 0))
    gradients = nans(student)
    tape = make(student, COUNT, gradients)
    tape.images[:] = 1
    tape.forward()
    tape.logits_gradient[:] = 1
    tape.backward()
    assert not gradients["idle.weight"].any()
    assert gradients["stem.weight"].any()


def test_a_layer_takes_along_the_activation_that_alone_reads_it() -> None:
    pairs = [(op.name, act.name if act else None) for op, act in fused(toys.residual()[0], "logits")]
    assert pairs[:6] == [
        ("stem", "stem_relu"),
        ("a1", "a1_relu"),
        ("a2", None),
        ("a_add", None),
        ("a_relu", None),
        ("b1", "b1_relu"),
    ]
