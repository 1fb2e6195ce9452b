"""Least squares against closed forms, and what it must repair."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.students.candidate import Student
from nas.students.importance import importance
from nas.students.inherit import inherit
from nas.students.reference import Reference
from nas.students.refit import refit, solve
from search_spaces.declare import Declaration
from search_spaces.graph import Graph
from search_spaces.space import derive
from tests import toys

FREE = Declaration(width_step=1, width_min=1, kernel_growth=True)


def error(graph: Graph, weights: dict[str, np.ndarray], original: toys.Toy, x: np.ndarray) -> float:
    """Squared error of the logits against the original's, relative to their variance."""
    expected = Student(*original).logits(x)
    return float(((Student(graph, weights).logits(x) - expected) ** 2).mean() / expected.var())


def test_solve_is_a_line_through_points() -> None:
    """Points (0, 1), (1, 3), (2, 5): slope 2, intercept 1. A ridge of r pulls the slope to the start's 0.

    Centred, the sum of squares is 2 and that of products 4, so the slope is 4 / (2 + 2 r).
    """
    x, y, start = torch.tensor([[[0.0, 1, 2]]]), torch.tensor([[[1.0, 3, 5]]]), torch.zeros(1, 1, 1)
    w, b = solve(x, y, start, 0.0)
    assert (w.item(), b.item()) == (pytest.approx(2), pytest.approx(1))
    w, b = solve(x, y, start, 1.0)
    assert (w.item(), b.item()) == (pytest.approx(1), pytest.approx(2))


def test_solve_is_numpys_least_squares() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 50)), rng.standard_normal((3, 50))
    expected = np.linalg.lstsq(np.vstack([x, np.ones(50)]).T, y.T, rcond=None)[0].T
    w, b = solve(torch.from_numpy(x)[None], torch.from_numpy(y)[None], torch.zeros(1, 3, 4), 0.0)
    np.testing.assert_allclose(w[0], expected[:, :4], atol=1e-5)
    np.testing.assert_allclose(b[0], expected[:, 4], atol=1e-5)


def test_what_the_inputs_leave_open_stays_as_it_was() -> None:
    """The second input never moves: its weight is the inherited one, and the intercept takes the rest."""
    x = torch.stack([torch.arange(5.0), torch.full((5,), 3.0)])[None]
    w, b = solve(x, 2 * x[:, :1] + 1, torch.tensor([[[0.0, 7.0]]]), 1e-9)
    assert w[0, 0].tolist() == [pytest.approx(2), pytest.approx(7)]
    assert b.item() == pytest.approx(1 - 21, abs=1e-4)


@pytest.mark.parametrize("name", [*toys.toys(), "every_kind", "modern"])
def test_the_original_is_left_as_it_is(name: str) -> None:
    graph, weights = {**toys.toys(), "every_kind": toys.every_kind(), "modern": toys.modern()}[name]
    space = derive(graph, FREE)
    x = toys.images(graph, 64)
    found = refit(space, space.original, weights, Reference(graph, weights, x), {})
    for key, value in weights.items():
        np.testing.assert_allclose(found[key], value, atol=2e-3, err_msg=key)


@pytest.mark.parametrize("name", toys.toys())
def test_damaged_weights_are_repaired(name: str) -> None:
    """The right architecture with zeros for weights: every layer is found again from the original's values."""
    graph, weights = toys.toys()[name]
    space = derive(graph, FREE)
    x = toys.images(graph, 256)
    reference = Reference(graph, weights, x)
    damaged = {key: np.zeros_like(value) for key, value in weights.items()}
    found = refit(space, space.original, damaged, reference, {}, ridge=1e-9)
    assert error(graph, found, (graph, weights), toys.images(graph, 64, 1)) < 1e-4


def test_padding_that_moved_every_window_is_made_up_for() -> None:
    net = toys.Sketch(1, 8, 8)
    net.conv("a", 8, stride=2)
    net.add("relu", "relu")
    net.conv("b", 8, stride=2)
    net.classifier(3)
    graph = net.done()
    weights = toys.random_weights(graph, 0)
    space = derive(graph, Declaration(same_padding=True))
    assert space.repadded() == ("a", "b")
    made, reference = space.apply(space.original), Reference(graph, weights, toys.images(graph, 128))
    fitted = refit(space, space.original, weights, reference, {})
    fresh = toys.images(graph, 128, 1)
    assert error(made, fitted, (graph, weights), fresh) < 0.5 * error(made, weights, (graph, weights), fresh)


@pytest.mark.parametrize("name", toys.toys())
def test_narrow_networks_come_nearer_to_the_original(name: str) -> None:
    graph, weights = toys.toys()[name]
    space = derive(graph, FREE)
    order = importance(graph, weights, space.channels)
    reference = Reference(graph, weights, toys.images(graph, 128))
    fresh = toys.images(graph, 128, 1)
    genome = space.uniform(0.5)
    cut = error(space.apply(genome), inherit(space, genome, weights, order), (graph, weights), fresh)
    fitted = error(space.apply(genome), refit(space, genome, weights, reference, order), (graph, weights), fresh)
    assert fitted < 0.5 * cut


def test_a_removed_segment_is_taken_over() -> None:
    graph, weights = toys.chain()
    space = derive(graph, FREE)
    genome = space.genome({"depth:c2": 0})
    reference = Reference(graph, weights, toys.images(graph, 256))
    found = refit(space, genome, weights, reference, {})
    made = Student(space.apply(genome), found).tensors(reference.images, ["c1"])["c1"]
    wanted = reference.tensor("c2").movedim(-1, 0)
    assert ((made - wanted) ** 2).mean() < 0.5 * wanted.var()


def test_fewer_rows_fit_nearly_as_well() -> None:
    graph, weights = toys.residual()
    space = derive(graph, FREE)
    order = importance(graph, weights, space.channels)
    reference = Reference(graph, weights, toys.images(graph, 128))
    genome = space.uniform(0.5)
    fresh = toys.images(graph, 128, 1)
    every, some = (
        error(
            space.apply(genome),
            refit(space, genome, weights, reference, order, rows=rows),
            (graph, weights),
            fresh,
        )
        for rows in (10**9, 6000)
    )
    assert some < 1.2 * every


@pytest.mark.parametrize("name", [*toys.toys(), "every_kind", "modern"])
def test_random_genomes_fit(name: str) -> None:
    graph, weights = {**toys.toys(), "every_kind": toys.every_kind(), "modern": toys.modern()}[name]
    space = derive(graph, FREE)
    order = importance(graph, weights, space.channels)
    reference = Reference(graph, weights, toys.images(graph, 16))
    rng = np.random.default_rng(0)
    for _ in range(15):
        genome = space.sample(rng=rng)
        found = refit(space, genome, weights, reference, order)
        assert {key: value.shape for key, value in found.items()} == space.apply(genome).weight_shapes
        assert all(np.isfinite(value).all() for value in found.values())
