"""Everything big that workers share: training views with the original's answers, the search split, its weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.baseline import Baseline
from nas.inputs import Inputs
from nas.runtime import Session
from nas.views import augment


def gather(
    inputs: Inputs,
    session: Session,
    base: Baseline,
    *,
    views: int,
    seed: int,
    told: Callable[[str], None] = lambda text: None,
) -> dict[str, np.ndarray]:
    """The arrays of `nas.evaluate.RealProblem`.

    Args:
        session: the original.
        base: its answers on the validation splits.
        views: how many augmented views of the training images are made and answered.
        seed: of the augmentation.
        told: hears what is being done.
    """
    data = inputs.data
    images, logits = [], []
    for k in range(views):
        told(f"the original's answers on augmented view {k + 1} of {views}")
        x = augment(data.x_train, seed=seed, view=k)
        images.append(x)
        logits.append(session.logits(x))
    found = {
        "view_images": np.stack(images),
        "view_logits": np.stack(logits),
        "y_train": data.y_train,
        "x_search": data.x_search,
        "y_search": data.y_search,
        "search_logits": base.logits["search_val"],
    }
    return found | {f"weight:{name}": array for name, array in inputs.weights.items()}
