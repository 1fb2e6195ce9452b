"""Augmented views of the training samples, with the original's logits for each: the patient teacher.

A student and its teacher see the same picture (arXiv:2106.05237), so the teacher answers once per view and its answers
are kept. The views themselves are kept as long as they are small, and else made again for each batch.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from nas.data.augment import Preset, augment
from nas.data.resize import sized_planes
from search_spaces.graph import Shape

if TYPE_CHECKING:
    from nas.tasks import Task

KEPT_BYTES = 512 << 20
"""Views up to this size are kept: eight of the quickstart's 50,000 pictures are 299 MiB."""


class Views:
    """Training pictures, the original's logits for each view of them, and their targets.

    Args:
        images: `K x N x ...`, uint8 (fed as x/255) or float32 (fed as it is), or only view 0 of them, `1 x N x ...`:
            the others are then made again whenever they are asked for.
        logits: `K x N x values`, float32, of the original on `feed(images)`.
        targets: of the `N` pictures, as the task has them.
        task: what is learned by.
        preset, seed: how views beyond those in `images` are made.

    Attributes:
        shape: what a network takes; `at` changes it.
        divisor: of the values of pictures, when they are fed.
    """

    def __init__(
        self,
        images: np.ndarray,
        logits: np.ndarray,
        targets: np.ndarray,
        task: Task,
        *,
        preset: Preset = "none",
        seed: int = 0,
    ) -> None:
        again = len(images) == 1 and preset != "none"
        if (len(images) != len(logits) and not again) or not images.shape[1] == logits.shape[1] == len(targets):
            shapes = f"images {images.shape}, logits {logits.shape}, targets {targets.shape}"
            raise ValueError(f"images, logits and targets must agree in views and pictures, got {shapes}")
        self.images, self.logits, self.targets, self.task = images, logits, targets, task
        self.count, self.size = logits.shape[:2]
        self._kept = len(images) == len(logits)
        self.shape: Shape = images.shape[2:]
        self._preset, self._seed = preset, seed
        self.divisor = 255.0 if images.dtype == np.uint8 else 1.0
        as_fed = images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)
        self._images = np.ascontiguousarray(as_fed).reshape(len(images) * self.size, -1)
        self._loss = task.loss(np.ascontiguousarray(logits, np.float32).reshape(-1, logits.shape[-1]), targets)

    @property
    def table(self) -> np.ndarray | None:
        """Where a row number finds its picture, `(K N) x values`, not yet divided; None if pictures are made anew."""
        return self._images if self._kept and self.shape == self.images.shape[2:] else None

    def at(self, shape: Shape) -> Views:
        """The same views for a network that takes images of this shape; the logits stay those of the full size.

        Pictures are resized when they are asked for: a job sees some of them, and copies of all may not fit in memory.
        """
        found = copy(self)
        found.shape = shape
        return found

    def first(self, count: int) -> Views:
        """Only the first so many of the views; 0 = all."""
        found = copy(self)
        found.count = min(count or self.count, self.count)
        return found

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Row numbers of one epoch: every picture once, in one view each; after K epochs all its views were seen."""
        start = np.asarray(np.random.default_rng([seed, 0]).integers(0, self.count, self.size))
        pictures = np.random.default_rng([seed, 1, epoch]).permutation(self.size)
        return (start[pictures] + epoch) % self.count * self.size + pictures

    def pictures(self, rows: np.ndarray, planes: np.ndarray) -> None:
        """Writes the pictures of some row numbers, as a network is fed, into `planes`, `values x len(rows)` float32."""
        full = self.images.shape[2:]
        if self.shape == full:
            self._gather(rows, planes)
            return
        whole = np.empty((self._images.shape[1], len(rows)), np.float32)
        self._gather(rows, whole)
        planes[:] = sized_planes(whole, full, self.shape, pixels=self.images.dtype == np.uint8)

    def _gather(self, rows: np.ndarray, planes: np.ndarray) -> None:
        """The pictures at their full size."""
        from nas.training import kernels  # it takes a second to load, and only training needs it

        if self._kept:
            kernels.gather(self._images, rows, self.divisor, planes)
            return
        made = self._made(rows).reshape(len(rows), -1)
        kernels.gather(made, np.arange(len(rows)), self.divisor, planes)

    def _made(self, rows: np.ndarray) -> np.ndarray:
        """The pictures of some row numbers, made from view 0."""
        views, index = np.divmod(rows, self.size)
        found = np.empty((len(rows), *self.images.shape[2:]), self.images.dtype)
        for view in np.unique(views):
            here, which = views == view, index[views == view]
            found[here] = augment(
                self.images[0, which], seed=self._seed, view=int(view), preset=self._preset, index=which
            )
        return found

    def loss_gradient(
        self,
        rows: np.ndarray,
        images: Callable[[], np.ndarray],
        logits: np.ndarray,
        temperature: float,
        alpha: float,
        into: np.ndarray,
    ) -> None:
        """Writes the gradient of the task's mean loss to a student's logits of some rows; both `values x len(rows)`.

        Args:
            images: gives the `pictures` of these rows, if the loss is about them.
        """
        self._loss.gradient(logits, rows, images, temperature, alpha, into)
