"""Views are pure functions of (seed, view, index), stay within what a preset says, and fit the data or are refused."""

from __future__ import annotations

import numpy as np
import pytest

from nas.data.augment import PRESETS, augment, preset_for
from search_spaces.errors import DataError

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(1, 256, (60, 2, 16, 18), dtype=np.uint8)
SAMPLES = {
    "none": PICTURES,
    "image-small": PICTURES,
    "image": RNG.integers(0, 256, (20, 3, 64, 66), dtype=np.uint8),
    "audio": RNG.standard_normal((20, 1, 40, 16)).astype(np.float32),
    "series": RNG.standard_normal((20, 3, 1, 50)).astype(np.float32),
}

of_each = pytest.mark.parametrize("preset", PRESETS)


@of_each
def test_view_0_is_the_data_and_views_differ(preset: str) -> None:
    x = SAMPLES[preset]
    before = x.copy()
    assert augment(x, seed=1, view=0, preset=preset) is x
    first, second = (augment(x, seed=1, view=view, preset=preset) for view in (1, 2))
    assert (first.dtype, first.shape) == (x.dtype, x.shape)
    assert np.array_equal(first, second) == (preset == "none")
    assert np.array_equal(first, augment(x, seed=1, view=1, preset=preset))
    assert np.array_equal(first, augment(x, seed=2, view=1, preset=preset)) == (preset == "none")
    assert np.array_equal(x, before)


@of_each
def test_a_sample_is_treated_alike_whatever_stands_beside_it(preset: str) -> None:
    x = SAMPLES[preset]
    index = np.array([17, 2, 5])
    whole = augment(x, seed=3, view=2, preset=preset)
    assert np.array_equal(augment(x[:7], seed=3, view=2, preset=preset), whole[:7])
    assert np.array_equal(augment(x[index], seed=3, view=2, preset=preset, index=index), whole[index])
    assert augment(x[:0], seed=3, view=2, preset=preset).shape == x[:0].shape


@pytest.mark.parametrize(("side", "reach"), [(16, 2), (15, 1)])
def test_each_small_picture_is_one_mirror_and_shift_away(side: int, reach: int) -> None:
    pictures = PICTURES[:, :, :side, :side]
    seen = set()
    for before, after in zip(pictures, augment(pictures, seed=0, view=1, preset="image-small"), strict=True):
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


def test_a_picture_of_one_shade_changes_in_brightness_only() -> None:
    """0.1 of 255 up or down; contrast is measured from the mean, and cutting out finds the same shade."""
    shades = augment(np.full((200, 3, 64, 64), 128, np.uint8), seed=0, view=1, preset="image")
    assert (shades == shades[:, :1, :1, :1]).all()
    each = shades[:, 0, 0, 0].astype(int)
    assert 128 - 26 <= each.min() < 110 < 146 < each.max() <= 128 + 26


def test_a_ramp_shows_how_much_of_a_picture_is_cut_out() -> None:
    """Columns 0 to 127: the step between two is the share that was cut out, times the contrast, mirrored or not."""
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8) + 60, (300, 1, 128, 128))
    rows = augment(ramp, seed=0, view=1, preset="image")[:, 0, 64].astype(float)
    steps = (rows[:, 96] - rows[:, 32]) / 64
    assert 0.7 * 0.8 - 0.05 < np.abs(steps).min() < np.abs(steps).max() < 1.2 + 0.05
    assert 0.4 < (steps < 0).mean() < 0.6


def test_a_spectrogram_is_moved_and_masked_by_its_mean() -> None:
    """40 times move by at most 4; masks hold at most 5 times and 2 of 16 frequencies."""
    times = np.broadcast_to(np.arange(40, dtype=np.float32)[:, None], (200, 1, 40, 16))
    found = augment(times, seed=0, view=1, preset="audio")[:, 0]
    masked = found == 19.5
    assert masked.all(2).sum(1).max() == 5
    assert masked.all(1).sum(1).max() == 2
    shift = np.where(masked, np.nan, found - np.arange(40)[:, None])[:, 8:32]
    assert set(shift[~np.isnan(shift)].tolist()) == set(range(-4, 5))


def test_a_series_keeps_its_shape_within_what_is_said() -> None:
    """A ramp of 101 values: amplitude 0.9 to 1.1, speed 0.9 to 1.1, five values to either side, a little noise."""
    ramp = np.broadcast_to(np.linspace(-1, 1, 101, dtype=np.float32), (200, 2, 1, 101))
    found = augment(ramp, seed=0, view=1, preset="series")[:, 0, 0]
    slope = (found[:, 60:80].mean(1) - found[:, 20:40].mean(1)) / 0.8
    assert 0.9 * 0.9 - 0.05 < slope.min() < 0.9 < 1.1 < slope.max() < 1.1 * 1.1 + 0.05
    assert 0.08 < np.abs(found[:, 40:61].mean(1)).max() < 0.11 + 0.05
    noise = np.diff(found[:, 20:80], 2).std() / 6**0.5
    assert noise == pytest.approx(0.05 * ramp[0].std(), rel=0.1)


@pytest.mark.parametrize(
    ("shape", "dtype", "preset"),
    [
        ((5, 1, 28, 28), np.uint8, "image-small"),
        ((5, 3, 63, 200), np.uint8, "image-small"),
        ((5, 3, 64, 64), np.uint8, "image"),
        ((5, 3, 64, 64), np.float32, "none"),
        ((5, 6, 1, 128), np.float32, "none"),
        ((5, 6, 1, 128), np.uint8, "none"),
        ((5, 10), np.float32, "none"),
    ],
)
def test_the_default_goes_by_the_data(shape: tuple[int, ...], dtype: type, preset: str) -> None:
    x = np.zeros(shape, dtype)
    assert preset_for(x) == preset
    assert preset_for(x, "none") == "none"


@pytest.mark.parametrize(
    ("wanted", "shape", "dtype"),
    [
        ("image-small", (5, 10), np.uint8),
        ("image-small", (5, 6, 1, 128), np.float32),
        ("image", (5, 3, 32, 32), np.uint8),
        ("image", (5, 3, 96, 96), np.float32),
        ("audio", (5, 6, 1, 128), np.float32),
        ("series", (5, 3, 32, 32), np.float32),
        ("series", (5, 6, 1, 128), np.uint8),
    ],
)
def test_a_preset_that_does_not_fit_is_refused(wanted: str, shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(DataError, match=f"augment {wanted} is for .* use --augment none"):
        preset_for(np.zeros(shape, dtype), wanted)
