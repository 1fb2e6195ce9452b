"""Augmentation presets: what may be done to a training sample without changing what it shows.

A view is a pure function of `(seed, view, index)`: sample i gets the same treatment whatever stands beside it, so views
can be made once or again. View 0 is the data as it is.

`none`: nothing, one view. `image-small`, for pictures: mirrored half the time, moved by up to two pixels, zeros moving
in. `image`, for uint8 pictures of at least 64 pixels: mirrored half the time, 0.7 to 1 of each side cut out and scaled
back, contrast times 0.8 to 1.2, brightness up or down by up to 0.1. `audio`, for spectrograms and MFCCs N x C x time x
frequency: moved by up to a tenth of the time, up to an eighth of the times and of the frequencies masked by the mean
(SpecAugment, arXiv:1904.08779). `series`, for float series N x C x 1 x length: faster or slower by up to a tenth, moved
by up to a twentieth, amplitude times 0.9 to 1.1, noise of 0.05 of each channel's standard deviation (arXiv:1706.00527).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from search_spaces.errors import DataError

Preset = Literal["none", "image-small", "image", "audio", "series"]
PRESETS: tuple[Preset, ...] = get_args(Preset)

SMALL_SIDE = 16  # pictures at least this high and wide move by two pixels, smaller ones by one
LARGE_SIDE = 64  # from here on pictures are cut out and scaled: below, that blurs what little there is

LEAST_CROP, CONTRAST, BRIGHTNESS = 0.7, 0.2, 0.1
AUDIO_SHIFT, AUDIO_MASK = 0.1, 0.125
SPEED, SERIES_SHIFT, AMPLITUDE, JITTER = 0.1, 0.05, 0.1, 0.05


def preset_for(x: np.ndarray, wanted: str = "") -> Preset:
    """The preset to use.

    Args:
        x: the training samples.
        wanted: one of `PRESETS`, or "" for the default: `image-small` or, from 64 pixels up, `image` for uint8
            pictures, and `none` for all else, where no augmentation is known to be safe.

    Raises:
        DataError: the preset does not fit the data.
    """
    picture = x.ndim == 4 and x.dtype == np.uint8 and min(x.shape[2:]) > 1
    large = picture and min(x.shape[2:]) >= LARGE_SIDE
    if not wanted:
        return "image" if large else "image-small" if picture else "none"
    fits: dict[Preset, tuple[bool, str]] = {
        "none": (True, ""),
        "image-small": (x.ndim == 4 and min(x.shape[2:]) > 1, "pictures N x C x H x W"),
        "image": (large, f"uint8 pictures N x C x H x W of at least {LARGE_SIDE} x {LARGE_SIDE}"),
        "audio": (x.ndim == 4 and min(x.shape[2:]) > 1, "spectrograms N x C x time x frequency"),
        "series": (x.ndim == 4 and x.shape[2] == 1 and x.dtype.kind == "f", "float series N x C x length"),
    }
    found = next(preset for preset in PRESETS if preset == wanted)
    good, law = fits[found]
    if not good:
        got = " x ".join(map(str, x.shape))
        raise DataError(f"augment {wanted} is for {law}, x_train is {got} of {x.dtype}; use --augment none")
    return found


def augment(x: np.ndarray, *, seed: int, view: int, preset: Preset, index: np.ndarray | None = None) -> np.ndarray:
    """One view of some samples, of their dtype.

    Args:
        x: `N x ...`, as the preset wants them.
        view: 0 returns the samples themselves.
        index: which samples of the data these are; 0 to N - 1 if not said.
    """
    if view == 0 or preset == "none":
        return x
    which = np.arange(len(x)) if index is None else index
    if not len(which):
        return x
    treat, count = TREATMENTS[preset]
    ahead = 1 << int(which.max()).bit_length()  # more than needed, so that few lengths are ever drawn
    found = treat(x, _draws(seed, view, ahead, count)[which])
    if preset == "series":
        noise = [np.random.default_rng([seed, view, int(i) + 1]).standard_normal(x.shape[1:]) for i in which]
        found += (JITTER * x.std(3, keepdims=True) * np.stack(noise)).astype(x.dtype)
    return found


@lru_cache(maxsize=16)
def _draws(seed: int, view: int, rows: int, count: int) -> np.ndarray:
    """`rows x count` numbers in [0, 1), row i the same whatever `rows` is."""
    return np.random.default_rng([seed, view]).random((rows, count))


def _image_small(x: np.ndarray, draws: np.ndarray) -> np.ndarray:
    _, _, height, width = x.shape
    reach = 2 if min(height, width) >= SMALL_SIDE else 1
    mirrored = draws[:, 0] < 0.5
    shifts = np.floor(draws[:, 1:] * (2 * reach + 1)).astype(np.int64) - reach
    found = np.zeros_like(x)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            for flip in (False, True):
                rows = np.flatnonzero((shifts == (dy, dx)).all(1) & (mirrored == flip))
                source = x[rows, :, :, ::-1] if flip else x[rows]
                found[rows, :, slice(*_ends(dy, height)), slice(*_ends(dx, width))] = source[
                    :, :, slice(*_ends(-dy, height)), slice(*_ends(-dx, width))
                ]
    return found


def _ends(shift: int, size: int) -> tuple[int, int]:
    """Where a picture moved by `shift` still covers an axis of `size`."""
    return max(shift, 0), size + min(shift, 0)


def _image(x: np.ndarray, draws: np.ndarray) -> np.ndarray:
    _, _, height, width = x.shape
    mirrored, share, top, left, contrast, brightness = draws.T
    share = LEAST_CROP + (1 - LEAST_CROP) * share
    down = _places(height, share, top * (1 - share) * height)
    across = _places(width, share, left * (1 - share) * width)
    across[mirrored < 0.5] = across[mirrored < 0.5, ::-1]
    factor = (1 + CONTRAST * (2 * contrast - 1)).astype(np.float32)
    offset = (255 * BRIGHTNESS * (2 * brightness - 1)).astype(np.float32)
    found = np.empty_like(x)
    for i, picture in enumerate(x):  # one by one: a picture stays in the cache, a batch does not
        pixels = _sampled(_sampled(picture.astype(np.float32), down[i], 1), across[i], 2)
        mean = pixels.mean()
        pixels -= mean
        pixels *= factor[i]
        pixels += mean + offset[i] + np.float32(0.5)  # a cast rounds down
        found[i] = np.clip(pixels, 0, 255, out=pixels)
    return found


def _places(size: int, share: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Where `size` pixels that cover `share` of an axis from `start` on have their centres, `N x size`."""
    return np.clip((np.arange(size) + 0.5) * share[:, None] + start[:, None] - 0.5, 0, size - 1)


def _sampled(x: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """float32 values at places of an axis, 0 to its length - 1, on the line between two neighbours."""
    before = np.minimum(places.astype(np.int64), max(x.shape[axis] - 2, 0))
    after = np.minimum(before + 1, x.shape[axis] - 1)
    weight = (places - before).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(x.ndim)])
    low, found = x.take(before, axis), x.take(after, axis)
    found -= low
    found *= weight
    found += low
    return found


def _audio(x: np.ndarray, draws: np.ndarray) -> np.ndarray:
    _, _, times, frequencies = x.shape
    shift, time_length, time_start, frequency_length, frequency_start = draws.T
    reach = int(AUDIO_SHIFT * times)
    moved = np.arange(times) - (np.floor(shift * (2 * reach + 1)).astype(np.int64) - reach)[:, None]
    found = np.take_along_axis(x, np.clip(moved, 0, times - 1)[:, None, :, None], 2)
    late, high = _mask(times, time_length, time_start), _mask(frequencies, frequency_length, frequency_start)
    mean = x.mean((1, 2, 3), keepdims=True, dtype=np.float64)
    filling = (np.rint(mean) if x.dtype.kind in "iu" else mean).astype(x.dtype)
    return np.where((late[:, :, None] | high[:, None])[:, None], filling, found)


def _mask(size: int, length: np.ndarray, start: np.ndarray) -> np.ndarray:
    """`N x size`: up to an eighth of an axis, anywhere on it."""
    lengths = np.floor(length * (AUDIO_MASK * size + 1))
    starts = np.floor(start * (size - lengths + 1))
    places = np.arange(size)
    return (places >= starts[:, None]) & (places < (starts + lengths)[:, None])


def _series(x: np.ndarray, draws: np.ndarray) -> np.ndarray:
    length = x.shape[3]
    speed, shift, amplitude = (2 * draws - 1).T
    middle = (length - 1) / 2
    places = middle + (np.arange(length) - middle) * (1 + SPEED * speed)[:, None]
    places = np.clip(places + (SERIES_SHIFT * length * shift)[:, None], 0, length - 1)
    scale = (1 + AMPLITUDE * amplitude).astype(np.float32)
    found = np.empty_like(x)
    for i, sample in enumerate(x):
        found[i] = scale[i] * _sampled(sample.astype(np.float32, copy=False), places[i], 2)
    return found


TREATMENTS: dict[str, tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], int]] = {
    "image-small": (_image_small, 3),
    "image": (_image, 6),
    "audio": (_audio, 5),
    "series": (_series, 3),
}
"""What each preset does with samples and the numbers drawn for them, and how many numbers a sample takes."""
