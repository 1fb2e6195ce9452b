"""Which channels are kept: worked cases for both criteria."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.students.importance import Reader, choose, importance
from nas.students.inherit import inherit
from nas.students.reference import Reference
from nas.students.refit import refit
from search_spaces.channels import trace
from search_spaces.space import derive
from tests import toys
from tests.nas.students.test_refit import FREE, error


def test_readers_count_the_weights_that_read_a_channel() -> None:
    graph, weights = toys.chain()
    weights["c2.weight"][:] = 0
    weights["c2.weight"][0, :, 1, 1] = [1, -8, 3, 3, 0, 7, -2, 6]
    channels = trace(graph)
    order = importance(graph, weights, channels)
    assert order[channels.of["c1"][0]].tolist() == [1, 5, 7, 2, 3, 6, 0, 4]


def test_readers_of_tied_channels_count_each_on_its_own_scale() -> None:
    """The residual's first atom is read by a1, b1 and b_project: shares of each layer's mean are summed."""
    graph, weights = toys.residual()
    for name in ("a1", "b1", "b_project"):
        weights[f"{name}.weight"][:] = 0
    weights["a1.weight"][0, :, 0, 0] = [1, 1, 1, 1, 1, 1, 1, 1]
    weights["b1.weight"][0, :, 0, 0] = np.sqrt([8, 7, 6, 5, 4, 3, 2, 1])  # mean 4.5
    weights["b_project.weight"][0, 7, 0, 0] = 1000  # mean 1e6 / 8: the last channel scores 8 more
    channels = trace(graph)
    assert importance(graph, weights, channels)[channels.of["stem"][0]].tolist() == [7, 0, 1, 2, 3, 4, 5, 6]


def test_a_depthwise_layer_is_looked_through() -> None:
    """The stem's channels are read by pw1, behind dw1."""
    graph, weights = toys.depthwise()
    weights["pw1.weight"][:] = np.arange(1, 9).reshape(1, 8, 1, 1)
    channels = trace(graph)
    assert importance(graph, weights, channels)[channels.of["stem"][0]].tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


def reader(values: list[list[float]], weight: list[list[float]]) -> Reader:
    """Of channels' values, one row each, and weights `channels x outputs`."""
    x, w = torch.tensor(values), torch.tensor(weight, dtype=torch.float32)
    x = x - x.mean(1, keepdim=True)
    covariance = x @ x.t() / x.shape[1]
    made = covariance @ w
    return Reader(covariance, made @ made.t(), float((made * w).sum()))


def test_a_copy_is_worth_nothing_once_its_like_is_chosen() -> None:
    """Channels a, a copy of a, and an independent b that is read half as strongly: a (or its copy), b, the other."""
    a, b = [1.0, -1, 1, -1], [1.0, 1, -1, -1]
    assert choose([reader([a, a, b], [[1], [1], [1]])], 2).tolist() == [0, 2, 1]


def test_a_sum_explains_more_than_its_parts() -> None:
    """Both outputs together: channel 2 is the sum of the others, whose variances are equal; it explains most alone."""
    a, b = [1.0, -1, 1, -1], [1.0, 1, -1, -1]
    both = [x + y for x, y in zip(a, b, strict=True)]
    layer = reader([a, b, both], [[1], [1], [1]])  # output 2 a + 2 b
    assert layer.gain().tolist() == [pytest.approx(0.5), pytest.approx(0.5), pytest.approx(1)]
    assert choose([layer], 3)[0] == 2
    assert layer.gain().max() < 1e-6


def test_gains_are_what_least_squares_explains() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 40)).astype(np.float32)
    x[4] = 0.7 * x[0] + 0.1 * x[4]
    w = rng.standard_normal((5, 3)).astype(np.float32)
    layer = reader(x.tolist(), w.tolist())
    centred = x - x.mean(1, keepdims=True)
    y = centred.T @ w
    for chosen in ([], [1], [1, 4]):
        if chosen:
            layer.explain(chosen[-1])
        for extra in set(range(5)) - set(chosen):
            left = [_unexplained(centred, y, kept) for kept in (chosen, [*chosen, extra])]
            assert layer.gain()[extra] == pytest.approx((left[0] - left[1]) / (y**2).sum(), abs=1e-4)


def _unexplained(x: np.ndarray, y: np.ndarray, kept: list[int]) -> float:
    if not kept:
        return float((y**2).sum())
    basis = x[kept].T
    return float(((y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]) ** 2).sum())


def test_dead_channels_come_last_however_large_their_filters() -> None:
    graph, weights = toys.chain()
    weights["c1.weight"] = np.abs(weights["c1.weight"])
    weights["c1.weight"][3] = -100  # never positive on pixels in [0, 1): dead behind its relu
    weights["c1.bias"][:] = 0
    channels = trace(graph)
    order = importance(graph, weights, channels, Reference(graph, weights, toys.images(graph, 32)))
    assert order[channels.of["c1"][0]][-1] == 3


@pytest.mark.parametrize("name", [*toys.toys(), "every_kind", "modern"])
@pytest.mark.parametrize("with_images", [True, False])
def test_orders_are_permutations(name: str, with_images: bool) -> None:
    graph, weights = {**toys.toys(), "every_kind": toys.every_kind(), "modern": toys.modern()}[name]
    channels = trace(graph)
    reference = Reference(graph, weights, toys.images(graph, 16)) if with_images else None
    order = importance(graph, weights, channels, reference)
    assert order.keys() == {atom.id for atom in channels.atoms}
    for atom in channels.atoms:
        assert sorted(order[atom.id].tolist()) == list(range(atom.size))


@pytest.mark.parametrize("name", toys.toys())
def test_chosen_channels_serve_better_than_the_last_ones(name: str) -> None:
    graph, weights = toys.toys()[name]
    space = derive(graph, FREE)
    reference = Reference(graph, weights, toys.images(graph, 128))
    best = importance(graph, weights, space.channels, reference)
    worst = {atom: order[::-1] for atom, order in best.items()}
    genome, fresh = space.uniform(0.4), toys.images(graph, 128, 1)
    good, bad = (
        error(space.apply(genome), refit(space, genome, weights, reference, order), (graph, weights), fresh)
        for order in (best, worst)
    )
    assert good < bad
    assert inherit(space, genome, weights, best).keys() == weights.keys()
