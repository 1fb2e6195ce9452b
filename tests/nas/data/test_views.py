"""An epoch shows each picture once, and a row number leads to its picture, kept or made again."""

from __future__ import annotations

import numpy as np
import pytest

from nas.data.augment import augment
from nas.data.feed import feed
from nas.data.views import Views
from nas.tasks import load_task

PICTURES = np.random.default_rng(0).integers(1, 256, (60, 2, 16, 18), dtype=np.uint8)


def test_feed() -> None:
    assert feed(np.array([0, 51, 255], np.uint8)).tolist() == [0, pytest.approx(0.2), 1]
    assert feed(np.array([3.5], np.float64)).dtype == np.float32


def small(count: int = 3, size: int = 20) -> Views:
    images = np.stack([augment(PICTURES[:size], seed=0, view=k, preset="image-small") for k in range(count)])
    logits = np.arange(count * size * 4, dtype=np.float32).reshape(count, size, 4)
    return Views(images, logits, np.arange(size) % 4, load_task())


def test_an_epoch_shows_each_picture_once_and_k_epochs_each_view_once() -> None:
    found = small()
    epochs = [found.order(7, epoch) for epoch in range(3)]
    for rows in epochs:
        assert sorted(rows % 20) == list(range(20))
    assert sorted(np.concatenate(epochs)) == list(range(60))
    assert not np.array_equal(epochs[0], found.order(8, 0))


def test_of_the_first_view_alone_every_epoch_shows_the_pictures_as_they_are() -> None:
    found = small().first(1)
    for epoch in range(2):
        assert sorted(found.order(7, epoch)) == list(range(20))
    assert small().first(0).count == small().first(9).count == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_row_number_leads_to_a_picture_its_logits_and_its_label(dtype: type) -> None:
    made = small()
    arrays = made.images.astype(dtype), made.logits, made.targets
    for array in arrays:
        array.flags.writeable = False  # as arrays of a shared store are
    found = Views(*arrays, load_task())
    rows = np.array([0, 25, 59])
    planes = np.empty((2 * 16 * 18, 3), np.float32)
    found.pictures(rows, planes)
    expected = feed(found.images[[0, 1, 2], [0, 5, 19]])
    np.testing.assert_array_equal(planes.T.reshape(expected.shape), expected)
    # The teacher's own logits leave the cross-entropy alone, whose gradient is negative at the label.
    logits = np.ascontiguousarray(found.logits[[0, 1, 2], [0, 5, 19]].T)
    gradient = np.empty_like(logits)
    found.loss_gradient(rows, lambda: planes, logits, 4.0, 0.5, gradient)
    assert [np.flatnonzero(column < 0).tolist() for column in gradient.T] == [[0], [1], [3]]


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="must agree"):
        Views(PICTURES[None], np.zeros((1, 59, 4), np.float32), np.zeros(60), load_task())


@pytest.mark.parametrize("preset", ["image-small", "audio"])
def test_views_that_are_not_kept_are_made_again_the_same(preset: str) -> None:
    kept = np.stack([augment(PICTURES, seed=5, view=k, preset=preset) for k in range(3)])
    logits, labels = np.zeros((3, 60, 4), np.float32), np.zeros(60, int)
    rows = np.random.default_rng(1).permutation(180)[:50]
    planes = np.empty((2, 2 * 16 * 18, 50), np.float32)
    Views(kept, logits, labels, load_task()).pictures(rows, planes[0])
    Views(kept[:1], logits, labels, load_task(), preset=preset, seed=5).pictures(rows, planes[1])
    np.testing.assert_array_equal(planes[0], planes[1])
