"""Views are pure functions of (seed, view, index), and an epoch shows each picture once."""

from __future__ import annotations

import numpy as np
import pytest

from nas import views
from nas.tasks import load_task
from nas.views import Views, augment

PICTURES = np.random.default_rng(0).integers(1, 256, (60, 2, 16, 18), dtype=np.uint8)


def test_view_0_is_the_data_and_views_differ() -> None:
    assert augment(PICTURES, seed=1, view=0) is PICTURES
    first, second = augment(PICTURES, seed=1, view=1), augment(PICTURES, seed=1, view=2)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, second)
    assert np.array_equal(first, augment(PICTURES, seed=1, view=1))
    assert not np.array_equal(first, augment(PICTURES, seed=2, view=1))


def test_a_picture_is_treated_alike_whatever_comes_after_it() -> None:
    assert np.array_equal(augment(PICTURES[:7], seed=3, view=2), augment(PICTURES, seed=3, view=2)[:7])


@pytest.mark.parametrize(("side", "reach"), [(16, 2), (15, 1)])
def test_each_picture_is_one_mirror_and_shift_away(side: int, reach: int) -> None:
    pictures = PICTURES[:, :, :side, :side]
    seen = set()
    for before, after in zip(pictures, augment(pictures, seed=0, view=1), strict=True):
        found = [
            (flip, dy, dx)
            for flip in (False, True)
            for dy in range(-reach, reach + 1)
            for dx in range(-reach, reach + 1)
            if np.array_equal(after, moved(before, flip, dy, dx))
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert {flip for flip, _, _ in seen} == {False, True}
    assert {dy for _, dy, _ in seen} == set(range(-reach, reach + 1))


def moved(picture: np.ndarray, flip: bool, dy: int, dx: int) -> np.ndarray:
    picture = picture[:, :, ::-1] if flip else picture
    padded = np.pad(picture, ((0, 0), (2, 2), (2, 2)))
    _, height, width = picture.shape
    return padded[:, 2 - dy : 2 - dy + height, 2 - dx : 2 - dx + width]


def test_make_gives_one_view_where_nothing_is_augmented() -> None:
    assert views.preset_for(PICTURES) == "image-small"
    assert views.preset_for(PICTURES.astype(np.float32)) == "none"
    assert views.make(PICTURES, 3, seed=0, preset="image-small").shape == (3, *PICTURES.shape)
    assert views.make(PICTURES, 3, seed=0, preset="none").shape == (1, *PICTURES.shape)


def test_feed() -> None:
    assert views.feed(np.array([0, 51, 255], np.uint8)).tolist() == [0, pytest.approx(0.2), 1]
    assert views.feed(np.array([3.5], np.float64)).dtype == np.float32


def small(count: int = 3, size: int = 20) -> Views:
    images = views.make(PICTURES[:size], count, seed=0, preset="image-small")
    logits = np.arange(count * size * 4, dtype=np.float32).reshape(count, size, 4)
    return Views(images, logits, np.arange(size) % 4, load_task())


def test_an_epoch_shows_each_picture_once_and_k_epochs_each_view_once() -> None:
    found = small()
    epochs = [found.order(7, epoch) for epoch in range(3)]
    for rows in epochs:
        assert sorted(rows % 20) == list(range(20))
    assert sorted(np.concatenate(epochs)) == list(range(60))
    assert not np.array_equal(epochs[0], found.order(8, 0))


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
    expected = views.feed(found.images[[0, 1, 2], [0, 5, 19]])
    np.testing.assert_array_equal(planes.T.reshape(expected.shape), expected)
    # The teacher's own logits leave the cross-entropy alone, whose gradient is negative at the label.
    logits = np.ascontiguousarray(found.logits[[0, 1, 2], [0, 5, 19]].T)
    gradient = np.empty_like(logits)
    found.loss_gradient(rows, logits, 4.0, 0.5, gradient)
    assert [np.flatnonzero(column < 0).tolist() for column in gradient.T] == [[0], [1], [3]]


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="must agree"):
        Views(PICTURES[None], np.zeros((1, 59, 4), np.float32), np.zeros(60), load_task())
