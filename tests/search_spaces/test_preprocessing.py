"""The normalization that an original expects as its first operator; shapes and statistics as a user writes them."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.errors import InputError
from search_spaces.preprocessing import normalized, parse_normalize, parse_shape
from search_spaces.to_onnx import to_onnx
from tests.toys import images, residual, run_onnx


def test_the_network_for_pixels_computes_what_the_original_does_on_normalized_ones() -> None:
    graph, weights = residual()
    mean, std = parse_normalize("imagenet")
    x = images(graph, 2)
    by_hand = (x - np.float32(mean)[:, None, None]) / np.float32(std)[:, None, None]
    before = run_onnx(to_onnx(graph, weights), by_hand)[0]
    after = run_onnx(to_onnx(*normalized(graph, weights, (mean, std))), x)[0]
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_one_number_serves_all_channels() -> None:
    graph, weights = normalized(*residual(), parse_normalize("0.5/0.25"))
    assert (graph.ops[0].kind, graph.ops[1].inputs) == ("affine", (graph.ops[0].name,))
    assert weights["image.normalized.weight"].tolist() == [4, 4, 4]
    assert weights["image.normalized.bias"].tolist() == [-2, -2, -2]


@pytest.mark.parametrize("text", ["", "0.5", "a/b", "0.5/0", "0.5,0.5/1", "nan/1", "1/2/3"])
def test_statistics_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError, match="normalize must be imagenet or MEAN/STD"):
        parse_normalize(text)


def test_statistics_of_other_channels() -> None:
    with pytest.raises(InputError, match="one for each of 3 channels, got 2"):
        normalized(*residual(), parse_normalize("0,0/1,1"))


def test_shapes() -> None:
    assert parse_shape("3x96x96") == (3, 96, 96)
    assert parse_shape("64") == (64,)
    for text in ("3x0x4", "3 x 4", "x3", "3x3x3x3", "-1x2"):
        with pytest.raises(InputError, match="such as 3x96x96"):
            parse_shape(text)
