"""int8 at both ends of a file: by hand."""

from __future__ import annotations

import numpy as np

from nas.verify.runner import Edge


def test_samples_are_rounded_clipped_and_turned_channels_last() -> None:
    edge = Edge((1, 2, 2), 0.5, -1)  # one row, two columns, two channels
    x = np.array([[[[0.0, 1.2]], [[-300.0, 300.0]]]], np.float32)
    np.testing.assert_array_equal(edge.quantized(x), [[[[-1, -128], [1, 127]]]])


def test_pixels_of_images_are_themselves_less_128() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    found = Edge((16, 16, 1), float(np.float32(1 / 255)), -128).quantized(pixels)
    np.testing.assert_array_equal(found.ravel(), np.arange(256) - 128)


def test_more_samples_than_are_held_at_a_time() -> None:
    x = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    np.testing.assert_array_equal(Edge((3,), 0.1, 0).quantized(x), np.rint(x.astype(np.float64) / 0.1))


def test_answers_become_values_channels_first() -> None:
    edge = Edge((1, 2, 2), 0.5, -1)
    answers = np.array([[-1, -128, 1, 127]], np.int8)
    np.testing.assert_array_equal(edge.values(answers), [[[[0.0, 1.0]], [[-63.5, 64.0]]]])
