"""How samples of a data set are given to a network."""

from __future__ import annotations

import numpy as np


def feed(x: np.ndarray) -> np.ndarray:
    """What a network is given: uint8 images as float32 x/255, anything else as float32 as it is."""
    return x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x.astype(np.float32, copy=False)
