"""Augmented views of the training images, made once, with the original's logits for each: the patient teacher.

A student and its teacher see the same picture (arXiv:2106.05237), so the teacher answers once per view and its answers
are kept. A view is a pure function of `(seed, view, index)`; view 0 is the data as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from nas.tasks import Task

Preset = Literal["none", "image-small"]
SHIFT_SIDE = 16  # images at least this high and wide move by two pixels, smaller ones by one


def feed(x: np.ndarray) -> np.ndarray:
    """What a network is given: uint8 images as float32 x/255, anything else as float32 as it is."""
    return x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x.astype(np.float32, copy=False)


def preset_for(images: np.ndarray) -> Preset:
    """`image-small` for uint8 pictures `N x C x H x W`; other data has no augmentation that is known to be safe."""
    return "image-small" if images.dtype == np.uint8 and images.ndim == 4 else "none"


def make(images: np.ndarray, count: int, *, seed: int, preset: Preset) -> np.ndarray:
    """`count` views, `K x N x ...`; preset `none` has one view only, whatever the count."""
    if preset == "none":
        return images[None]
    return np.stack([augment(images, seed=seed, view=view) for view in range(count)])


def augment(images: np.ndarray, *, seed: int, view: int) -> np.ndarray:
    """One view: each picture mirrored half the time and shifted by up to two pixels, zeros moving in.

    Args:
        images: `N x C x H x W`, any dtype.
        view: 0 returns the images themselves.

    Picture i gets the same treatment whatever N is.
    """
    if view == 0:
        return images
    _, _, height, width = images.shape
    reach = 2 if min(height, width) >= SHIFT_SIDE else 1
    draws = np.random.default_rng([seed, view]).random((len(images), 3))
    mirrored = draws[:, 0] < 0.5
    shifts = np.floor(draws[:, 1:] * (2 * reach + 1)).astype(np.int64) - reach
    found = np.zeros_like(images)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            for flip in (False, True):
                rows = np.flatnonzero((shifts == (dy, dx)).all(1) & (mirrored == flip))
                source = images[rows, :, :, ::-1] if flip else images[rows]
                found[rows, :, slice(*_ends(dy, height)), slice(*_ends(dx, width))] = source[
                    :, :, slice(*_ends(-dy, height)), slice(*_ends(-dx, width))
                ]
    return found


def _ends(shift: int, size: int) -> tuple[int, int]:
    """Where a picture moved by `shift` still covers an axis of `size`."""
    return max(shift, 0), size + min(shift, 0)


class Views:
    """Training pictures, the original's logits for each view of them, and their targets.

    Args:
        images: `K x N x ...`, uint8 (fed as x/255) or float32 (fed as it is).
        logits: `K x N x values`, float32, of the original on `feed(images)`.
        targets: of the `N` pictures, as the task has them.
        task: what is learned by.
    """

    def __init__(self, images: np.ndarray, logits: np.ndarray, targets: np.ndarray, task: Task) -> None:
        if images.shape[:2] != logits.shape[:2] or len(targets) != images.shape[1]:
            shapes = f"images {images.shape}, logits {logits.shape}, targets {targets.shape}"
            raise ValueError(f"images, logits and targets must agree in views and pictures, got {shapes}")
        self.images, self.logits, self.targets, self.task = images, logits, targets, task
        self.count, self.size = images.shape[:2]
        self._divisor = 255.0 if images.dtype == np.uint8 else 1.0
        as_fed = images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)
        self._images = np.ascontiguousarray(as_fed).reshape(self.count * self.size, -1)
        teacher = np.ascontiguousarray(logits, np.float32).reshape(-1, logits.shape[-1])
        self._loss = task.loss(teacher, targets, self._images)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Row numbers of one epoch: every picture once, in one view each; after K epochs all its views were seen."""
        start = np.asarray(np.random.default_rng([seed, 0]).integers(0, self.count, self.size))
        pictures = np.random.default_rng([seed, 1, epoch]).permutation(self.size)
        return (start[pictures] + epoch) % self.count * self.size + pictures

    def pictures(self, rows: np.ndarray, planes: np.ndarray) -> None:
        """Writes the pictures of some row numbers, as a network is fed, into `planes`, `values x len(rows)` float32."""
        from nas import kernels  # it takes a second to load, and only training needs it

        kernels.gather(self._images, rows, self._divisor, planes)

    def loss_gradient(
        self, rows: np.ndarray, logits: np.ndarray, temperature: float, alpha: float, into: np.ndarray
    ) -> None:
        """Writes the gradient of the task's mean loss to a student's logits of some rows; both `values x len(rows)`."""
        self._loss.gradient(logits, rows, temperature, alpha, into)
