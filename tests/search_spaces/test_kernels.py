"""Kernel crops: offsets and pads by hand, and the values themselves on every small geometry."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from search_spaces.graph import Op
from search_spaces.kernels import kernel_crop, kernel_options
from search_spaces.ops import window_size
from tests.search_spaces.forward import convolve


def conv(kernel: int, stride: int, pads: tuple[int, int, int, int], dilation: int = 1) -> Op:
    sides = {"kernel": (kernel, kernel), "stride": (stride, stride), "dilation": (dilation, dilation)}
    return Op.make("c", "conv", "x", out_channels=1, groups=1, pads=pads, **sides)


@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "size", "side", "crop"),
    [
        (3, 1, (1, 1, 1, 1), 8, 1, (1, 1, (0, 0, 0, 0))),  # the middle tap
        (5, 1, (2, 2, 2, 2), 8, 3, (1, 1, (1, 1, 1, 1))),
        (3, 2, (1, 1, 1, 1), 28, 1, (1, 1, (0, 0, 0, 0))),
        (3, 2, (0, 0, 1, 1), 28, 1, (0, 0, (0, 0, 0, 0))),  # SAME of TensorFlow: the middle tap would need a pad of -1
        (5, 2, (1, 1, 2, 2), 28, 3, (1, 1, (0, 0, 1, 1))),  # SAME of 5 becomes SAME of 3
        (3, 1, (0, 1, 2, 1), 8, 1, (0, 1, (0, 0, 0, 0))),  # rows and columns on their own
        (3, 1, (1, 1, 1, 1), 8, 5, (-1, -1, (2, 2, 2, 2))),  # growth
    ],
)
def test_crops_by_hand(
    kernel: int, stride: int, pads: tuple[int, int, int, int], size: int, side: int, crop: tuple[object, ...]
) -> None:
    assert kernel_crop(conv(kernel, stride, pads), side, (1, size, size)) == crop


def test_without_padding_no_smaller_kernel_keeps_the_shape() -> None:
    assert kernel_crop(conv(3, 1, (0, 0, 0, 0)), 1, (1, 8, 8)) is None
    assert kernel_options(conv(3, 1, (0, 0, 0, 0)), (1, 8, 8)) == {}


def test_options_are_odd_sides_up_to_the_original_and_one_more_with_growth() -> None:
    op = conv(5, 1, (2, 2, 2, 2))
    assert list(kernel_options(op, (1, 8, 8))) == [1, 3, 5]
    assert list(kernel_options(op, (1, 8, 8), growth=True)) == [1, 3, 5, 7]
    assert list(kernel_options(op, (1, 6, 8), growth=True)) == [1, 3, 5]  # a map of 6 rows has no room for 7 taps


def test_even_oblong_dilated_and_pointwise_kernels_do_not_change() -> None:
    same = (1, 1, 1, 1)
    assert kernel_options(conv(2, 1, same), (1, 8, 8)) == {}
    assert kernel_options(conv(1, 1, (0, 0, 0, 0)), (1, 8, 8), growth=True) == {}
    assert kernel_options(conv(3, 1, (2, 2, 2, 2), dilation=2), (1, 8, 8)) == {}
    assert kernel_options(conv(3, 1, same).replace(kernel=(3, 5)), (1, 8, 8)) == {}


def test_on_every_small_geometry_a_crop_is_the_original_with_the_other_taps_at_zero() -> None:
    rng = np.random.default_rng(0)
    tried = 0
    for kernel, stride, low, high, size in product((3, 5), (1, 2, 3), (0, 1, 2), (0, 1, 2), range(1, 8)):
        op = conv(kernel, stride, (low, high, high, low))
        if window_size(size, kernel, stride, low, high) < 1:
            continue
        image, taps = rng.standard_normal((1, size, size)), rng.standard_normal((1, 1, kernel, kernel))
        for side, (y, x, pads) in kernel_options(op, (1, size, size), growth=True).items():
            assert min(pads) >= 0
            changed = op.replace(kernel=(side, side), pads=pads)
            if side >= kernel:  # grown: the original inside zeros
                grown = np.zeros((1, 1, side, side))
                grown[:, :, -y : -y + kernel, -x : -x + kernel] = taps
                expected, cropped = convolve(op, image, taps), grown
            else:
                mask = np.zeros_like(taps)
                mask[:, :, y : y + side, x : x + side] = 1
                expected, cropped = convolve(op, image, taps * mask), taps[:, :, y : y + side, x : x + side]
            np.testing.assert_allclose(convolve(changed, image, cropped), expected, atol=1e-12)
            tried += 1
    assert tried > 300
