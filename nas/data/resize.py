"""Images at the size that a network takes, where that is not the data's: bilinear, averaging what it shrinks.

That is what Pillow's and torch's antialiased bilinear filters do. Pixels stay whole numbers, as firmware has them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from search_spaces.graph import Shape

CHUNK = 1024  # images at a time


class Sizes:
    """Images at every size that is asked for, each made once.

    Args:
        images: `N x C x H x W` or `N x features`, uint8 or float.
    """

    def __init__(self, images: np.ndarray) -> None:
        self._made = {images.shape[1:]: images}
        self._images = images

    def at(self, shape: Shape) -> np.ndarray:
        """The images for a network with an input of this shape, without the batch axis."""
        if shape not in self._made:
            self._made[shape] = sized(self._images, shape)
        return self._made[shape]


def sized(images: np.ndarray, shape: Shape) -> np.ndarray:
    """`N x C x H x W` images for a network with an input of `shape`, `(C, h, w)`; the same array if they have it."""
    if images.shape[1:] == shape:
        return images
    rows, columns = (_filter(*sides) for sides in zip(images.shape[2:], shape[1:], strict=True))
    found = np.empty((len(images), *shape), images.dtype)
    for first in range(0, len(images), CHUNK):
        made = rows @ images[first : first + CHUNK].astype(np.float32) @ columns.T
        found[first : first + CHUNK] = np.rint(made) if images.dtype == np.uint8 else made
    return found


def sized_planes(planes: np.ndarray, before: Shape, shape: Shape, *, pixels: bool) -> np.ndarray:
    """The same for images as a network is fed, sample by sample along the last axis.

    Args:
        planes: `values x N` of `C x H x W` images, float32.
        before, shape: `(C, H, W)` and `(C, h, w)`.
        pixels: values are pixels / 255, and stay so.

    Returns:
        `values x N` of `C x h x w` images, float32.
    """
    (channels, height, width), count = before, planes.shape[1]
    rows, columns = (_filter(*sides) for sides in zip(before[1:], shape[1:], strict=True))
    low = rows @ planes.reshape(channels, height, width * count)
    made = (columns @ low.reshape(-1, width, count)).reshape(-1, count)
    return np.rint(made * np.float32(255)) / np.float32(255) if pixels else made


@lru_cache
def _filter(size: int, side: int) -> np.ndarray:
    """What each of `side` values takes from each of `size`: `side x size`, float32; rows sum to 1."""
    import torch  # it takes seconds to load, and most runs resize nothing

    lines = torch.eye(size)[None, None]  # as an image: torch 2.13 gets a width of one pixel wrong
    return torch.nn.functional.interpolate(lines, (side, size), mode="bilinear", antialias=True)[0, 0].numpy()
