"""One layer as the best two: exact where the rank allows it, and best on what the layer reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.students.candidate import Student
from nas.students.factorize import factorize, read
from nas.students.refit import Reference, refit
from search_spaces.declare import Declaration
from search_spaces.graph import Graph, Op
from search_spaces.space import derive
from tests import toys
from tests.toys import Sketch

RNG = np.random.default_rng(0)


def made_of(weight: np.ndarray, bias: np.ndarray, x: torch.Tensor, rank: int) -> np.ndarray:
    """What the two layers make of x."""
    found = factorize(weight, bias, x, rank)
    assert (found.first.shape, found.second.shape) == ((rank, weight.shape[1]), (len(weight), rank))
    np.testing.assert_allclose(np.linalg.norm(found.first, axis=1), np.linalg.norm(found.second, axis=0), rtol=1e-4)
    return found.second @ (found.first @ x.numpy()) + found.bias[:, None]


def test_a_layer_of_that_rank_is_kept_exactly() -> None:
    weight = (RNG.standard_normal((6, 2)) @ RNG.standard_normal((2, 5))).astype(np.float32)
    bias, x = RNG.standard_normal(6).astype(np.float32), torch.from_numpy(RNG.standard_normal((5, 40)))
    np.testing.assert_allclose(made_of(weight, bias, x, 2), weight @ x.numpy() + bias[:, None], atol=1e-5)


def test_what_the_inputs_do_is_kept_and_not_what_is_large() -> None:
    """diag(10, 1) at rank 1 keeps the 10, unless input 0 stands still: then its mean goes into the bias."""
    weight, bias = np.diag([10.0, 1.0]).astype(np.float32), np.zeros(2, np.float32)
    noise = torch.from_numpy(RNG.standard_normal(100))
    still = torch.full((100,), 3.0, dtype=torch.float64)
    found = made_of(weight, bias, torch.stack([still, noise]), 1)
    np.testing.assert_allclose(found, [[30.0] * 100, noise], atol=1e-5)
    lively = torch.stack([noise, torch.from_numpy(RNG.standard_normal(100))])
    np.testing.assert_allclose(made_of(weight, bias, lively, 1)[0], 10 * noise, atol=0.5)


def test_it_beats_the_singular_values_of_the_weights_alone() -> None:
    weight, bias = RNG.standard_normal((8, 8)), np.zeros(8)
    x = torch.from_numpy(np.diag(2.0 ** -np.arange(8)) @ RNG.standard_normal((8, 500)))
    u, s, vt = np.linalg.svd(weight)
    plain = (u[:, :3] * s[:3]) @ vt[:3] @ x.numpy()
    wanted = weight @ x.numpy()
    assert ((made_of(weight, bias, x, 3) - wanted) ** 2).sum() < 0.5 * ((plain - wanted) ** 2).sum()


def test_a_layer_of_zeros_becomes_zeros() -> None:
    found = factorize(np.zeros((4, 3)), np.ones(4), torch.zeros(3, 9), 2)
    assert all(np.isfinite(part).all() for part in found)
    assert not (found.second @ found.first).any()
    assert found.bias.tolist() == [1, 1, 1, 1]


def test_a_stride_skips_what_the_layer_does_not_read() -> None:
    op = Op.make("c", "conv", "x", kernel=(1, 1), stride=(2, 2), pads=(0, 0, 0, 0), groups=1, dilation=(1, 1))
    x = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    assert torch.equal(read(op, x, 10**9), x[:, :, ::2, ::2].transpose(0, 1).reshape(3, 8))
    assert read(op, x, 4).shape == (3, 4)


def pointwise() -> Graph:
    """A 1x1 convolution of 48 x 64 and a linear layer of 64 x 64 behind a stem, on 16x16 images."""
    net = Sketch(1, 16, 16)
    net.conv("stem", 48, stride=2)
    net.add("stem_relu", "relu")
    net.conv("wide", 64, 1, stride=2)
    net.add("wide_relu", "relu")
    net.add("gap", "global_avg_pool")
    net.add("flat", "flatten")
    net.add("hidden", "linear", out_channels=64)
    net.add("hidden_relu", "relu")
    net.add("logits", "linear", out_channels=4)
    return net.done()


def error(graph: Graph, weights: dict[str, np.ndarray], images: np.ndarray, wanted: np.ndarray) -> float:
    return float(((Student(graph, weights).logits(images) - wanted) ** 2).mean() / wanted.var())


@pytest.mark.parametrize("side", [16, 12])
def test_a_refit_gets_nearer_with_the_rank_at_every_size(side: int) -> None:
    graph = pointwise()
    weights = toys.random_weights(graph, 0)
    space = derive(graph, Declaration(depth=False, kernel=False, resolution=True, rank=True))
    reference = Reference(graph, weights, toys.images(graph, 128))
    small = reference.at((1, side, side))
    assert small.images.shape[2:] == (side, side)
    assert torch.equal(small.tensor("hidden"), reference.tensor("hidden"))  # the full images' answer
    assert small.tensor("wide").shape == (64, side // 4, side // 4, 128)
    errors = []
    for wide, hidden in ((8, 4), (24, 16), (48, 64)):
        genome = space.genome({"resolution:image": side, "rank:wide": wide, "rank:hidden": hidden})
        made = space.apply(genome)
        found = refit(space, genome, weights, reference, {})
        assert {key: value.shape for key, value in found.items()} == made.weight_shapes
        wanted = reference.tensor("logits").t().numpy()
        errors.append(error(made, found, small.images, wanted))
    assert errors[0] > errors[1] > errors[2]


def test_the_parts_reproduce_the_whole() -> None:
    """At a rank that keeps nearly all that the layer says, its output is nearly the unfactored one's."""
    graph = pointwise()
    weights = toys.random_weights(graph, 0)
    space = derive(graph, Declaration(True, 1, 1, depth=False, kernel=False, rank=True))
    reference = Reference(graph, weights, toys.images(graph, 128))
    genome = space.genome({"rank:wide": 24})
    found = refit(space, genome, weights, reference, {})
    assert not found["wide.rank.bias"].any()
    made = Student(space.apply(genome), found).tensors(reference.images, ["wide"])["wide"]
    wanted = reference.tensor("wide").movedim(-1, 0)
    assert ((made - wanted) ** 2).mean() < 0.02 * wanted.var()
