"""Everything big that workers share: training views with the original's answers, the search split, its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from nas.baseline import Baseline
from nas.data.augment import augment
from nas.data.views import KEPT_BYTES
from nas.inputs import Inputs
from nas.runtime import BATCH
from nas.training.accelerator import deterministic


class Original(Protocol):
    """Who answers the views: a session of onnxruntime, or a network of torch on a GPU."""

    def logits(self, x: np.ndarray) -> np.ndarray:
        """`N x values` of samples as they lie in a data set."""
        ...


def gather(
    inputs: Inputs,
    original: Original,
    base: Baseline,
    *,
    views: int,
    seed: int,
    told: Callable[[str], None] = lambda text: None,
) -> dict[str, np.ndarray]:
    """The arrays of `nas.evaluate.RealProblem`; of large views only view 0, from which the others are made again.

    Args:
        original: answers the views.
        base: its answers on the validation splits.
        views: how many augmented views of the training images are made and answered.
        seed: of the augmentation.
        told: hears what is being done.
    """
    data = inputs.data
    keep = views * data.x_train.nbytes <= KEPT_BYTES
    images = np.empty((views, *data.x_train.shape), data.x_train.dtype) if keep else data.x_train[None]
    logits = []
    for k in range(views):
        answers = []
        told(f"the original's answers on augmented view {k + 1} of {views}")
        for first in range(0, len(data.x_train), BATCH):
            rows = np.arange(first, min(first + BATCH, len(data.x_train)))
            x = augment(data.x_train[rows], seed=seed, view=k, preset=inputs.augment, index=rows)
            with deterministic():
                answers.append(original.logits(x))
            if keep:
                images[k, rows] = x
        logits.append(np.concatenate(answers))
    found = {
        "view_images": images,
        "view_logits": np.stack(logits),
        "y_train": data.y_train,
        "x_search": data.x_search,
        "y_search": data.y_search,
        "search_logits": base.logits["search_val"],
    }
    return found | {f"weight:{name}": array for name, array in inputs.weights.items()}
