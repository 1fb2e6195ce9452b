"""Images at other sizes: by hand, against Pillow, and the same one by one as all at once."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nas.data.feed import feed
from nas.data.resize import Sizes, sized, sized_planes
from nas.data.views import Views
from nas.tasks import CLASSIFICATION

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 2, 12, 12), dtype=np.uint8)


def test_half_the_side_weighs_four_rows_by_a_triangle() -> None:
    """Of rows 0, 8, 16, 24 the triangle of width 2 takes 1/8, 3/8, 3/8, 1/8; at the edge 3/7, 3/7, 1/7."""
    image = np.repeat(np.array([0, 8, 16, 24], np.float32)[:, None], 4, 1)[None, None]
    found = sized(image, (1, 2, 2))
    assert found[0, 0, :, 0] == pytest.approx([(3 * 0 + 3 * 8 + 16) / 7, (8 + 3 * 16 + 3 * 24) / 7])


@pytest.mark.parametrize("side", [6, 7, 9, 11])
def test_it_is_pillows_bilinear_filter(side: int) -> None:
    found = sized(PIXELS, (2, side, side))
    assert (found.dtype, found.shape) == (np.dtype(np.uint8), (5, 2, side, side))
    one = np.asarray(Image.fromarray(PIXELS[3, 1]).resize((side, side), Image.Resampling.BILINEAR))
    assert np.abs(found[3, 1].astype(int) - one).max() <= 1  # Pillow rounds after each axis


def test_extremes_stay_within_a_byte_and_a_plain_image_stays_plain() -> None:
    for value in (0, 77, 255):
        assert (sized(np.full((1, 1, 28, 28), value, np.uint8), (1, 20, 20)) == value).all()


def test_images_of_the_right_size_and_features_are_not_touched() -> None:
    assert sized(PIXELS, (2, 12, 12)) is PIXELS
    features = np.zeros((4, 7), np.float32)
    assert sized(features, (7,)) is features


def test_a_size_is_made_once() -> None:
    images = Sizes(PIXELS)
    assert images.at((2, 12, 12)) is PIXELS
    assert images.at((2, 8, 8)) is images.at((2, 8, 8))
    assert images.at((2, 8, 8)).shape == (5, 2, 8, 8)


@pytest.mark.parametrize("images", [PIXELS, RNG.standard_normal((5, 2, 12, 12)).astype(np.float32)])
def test_planes_hold_what_images_hold(images: np.ndarray) -> None:
    expected = feed(sized(images, (2, 7, 7)))
    planes = np.ascontiguousarray(feed(images).reshape(5, -1).T)
    found = sized_planes(planes, (2, 12, 12), (2, 7, 7), pixels=images.dtype == np.uint8)
    np.testing.assert_allclose(found.T.reshape(expected.shape), expected, atol=1e-5)


def test_views_give_pictures_of_another_size_and_keep_the_rest() -> None:
    images = np.stack([PIXELS, PIXELS[::-1]])
    logits = RNG.standard_normal((2, 5, 3)).astype(np.float32)
    views = Views(images, logits, np.arange(5) % 3, CLASSIFICATION)
    small = views.at((2, 8, 8))
    rows = np.array([0, 7, 9])
    planes = np.empty((2 * 8 * 8, 3), np.float32)
    small.pictures(rows, planes)
    expected = feed(sized(images.reshape(10, 2, 12, 12)[rows], (2, 8, 8)))
    np.testing.assert_allclose(planes.T.reshape(expected.shape), expected, atol=1e-6)
    assert small.logits is logits
    np.testing.assert_array_equal(small.order(3, 1), views.order(3, 1))
    whole = np.empty((2 * 12 * 12, 3), np.float32)
    views.pictures(rows, whole)
    np.testing.assert_array_equal(whole.T.reshape(3, 2, 12, 12), feed(images.reshape(10, 2, 12, 12)[rows]))
