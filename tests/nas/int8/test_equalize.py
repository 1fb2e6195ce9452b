"""Channels rescaled by hand, and networks that compute the same before and after."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.int8.equalize import Ranges, by_channel, divided, equalize, factors, response
from nas.int8.quantize import calibrate
from nas.students.candidate import Student
from search_spaces.graph import Graph
from targets.lower import lower
from tests.toys import Sketch, Toy, chain, concat, images, random_weights, residual


def test_factors_by_hand() -> None:
    peak = np.array([8.0, 2.0, 0.5, 0.0])
    assert factors(peak, 1.0).tolist() == [1, 4, 16, 1]
    assert factors(peak, 0.5).tolist() == [1, 2, 4, 1]
    assert factors(np.array([1.0, 1e-9]), 1.0).tolist() == [1, 64]
    assert factors(np.zeros(2), 1.0).tolist() == [1, 1]


def test_weights_of_every_kind_by_input_channel() -> None:
    conv = np.arange(12.0).reshape(2, 3, 1, 2)
    assert divided(conv, np.array([1, 2, 4.0]))[1].ravel().tolist() == [6, 7, 4, 4.5, 2.5, 2.75]
    depthwise = np.ones((4, 1, 1, 1))  # two filters per channel
    assert divided(depthwise, np.array([1, 2.0])).ravel().tolist() == [1, 1, 0.5, 0.5]
    behind_flatten = np.ones((1, 4))  # two positions per channel
    assert divided(behind_flatten, np.array([1, 2.0])).ravel().tolist() == [1, 1, 0.5, 0.5]
    assert divided(np.ones(2), np.array([1, 2.0])).tolist() == [1, 0.5]
    grouped = np.ones((2, 2, 1, 1))  # channels 0 and 1 feed filter 0, channels 2 and 3 filter 1
    assert divided(grouped, np.array([1, 2, 4, 8.0])).ravel().tolist() == [1, 0.5, 0.25, 0.125]
    assert by_channel(grouped, 4).shape == (2, 1, 2, 1)


def test_response_is_the_answer_to_a_constant_image() -> None:
    rng = np.random.default_rng(0)
    mean = rng.random(6)
    for groups in (1, 2, 6):
        weight = rng.standard_normal((12, 6 // groups, 3, 3))
        image = np.broadcast_to(mean.reshape(1, 6, 1, 1), (1, 6, 3, 3)).copy()
        wanted = torch.conv2d(torch.from_numpy(image), torch.from_numpy(weight), groups=groups).ravel()
        np.testing.assert_allclose(response(weight, mean), wanted.numpy())


def separable() -> Toy:
    """Depthwise blocks with plain ReLUs, which a float network computes the same under any channel scaling."""
    net = Sketch(1, 8, 8)
    net.conv("stem", 8)
    net.add("stem_relu", "relu")
    net.conv("dw", 16, groups=8)
    net.add("dw_relu", "relu")
    net.pool("pool", "max_pool", 2, 2)
    net.conv("pw", 12, 1)
    net.add("pw_relu", "relu")
    net.conv("grouped", 12, groups=3)
    net.add("affine", "affine")
    net.add("grouped_relu", "relu")
    net.add("flat", "flatten")
    net.add("logits", "linear", out_channels=4)
    graph = net.done()
    return graph, random_weights(graph, 7)


def ranges_of(graph: Graph, weights: dict[str, np.ndarray]) -> Ranges:
    return calibrate(lower(graph), graph, weights, images(graph, 32))


@pytest.mark.parametrize("toy", [chain, residual, concat, separable])
def test_an_equalized_network_computes_the_same(toy) -> None:
    graph, weights = toy()
    changed, ranges = equalize(lower(graph), weights, ranges_of(graph, weights))
    moved = {name: value.astype(np.float32) for name, value in changed.items()}
    assert any(not np.allclose(moved[name], weights[name]) for name in weights)
    x = torch.from_numpy(images(graph, 8, seed=1))
    with torch.no_grad():
        np.testing.assert_allclose(Student(graph, moved)(x), Student(graph, weights)(x), rtol=1e-4, atol=1e-5)
    found = ranges_of(graph, moved)
    for tensor in found.high:
        np.testing.assert_allclose(ranges.high[tensor], found.high[tensor], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ranges.low[tensor], found.low[tensor], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ranges.mean[tensor], found.mean[tensor], rtol=1e-4, atol=1e-5)


def test_before_a_depthwise_convolution_all_channels_reach_the_same_peak() -> None:
    graph, weights = separable()
    before = ranges_of(graph, weights)
    _, after = equalize(lower(graph), weights, before)
    assert np.ptp(before.high["stem_relu"]) > 0.1
    np.testing.assert_allclose(after.high["stem_relu"], before.high["stem_relu"].max())


def test_what_an_add_reads_is_left_alone() -> None:
    graph, weights = residual()
    before = ranges_of(graph, weights)
    _, after = equalize(lower(graph), weights, before)
    for tensor in ("stem_relu", "a2", "a_relu", "b_project", "image", "logits"):
        np.testing.assert_array_equal(after.high[tensor], before.high[tensor])
    assert not np.array_equal(after.high["a1_relu"], before.high["a1_relu"])
