"""One dense layer as two, with the least error in what it says of the values that it reads.

Of all matrices of a rank, U U^T W is nearest to W on inputs of covariance G, where U holds the main eigenvectors of
W G W^T, the covariance of the outputs: directions that no image uses cost nothing (after arXiv:1505.06798, section 3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from search_spaces.graph import Op


class Factors(NamedTuple):
    """Float32 weights of the two layers; the first has no bias.

    Attributes:
        first: `rank x inputs`.
        second: `outputs x rank`.
        bias: `outputs`, of the second; the mean output stays what it was.
    """

    first: np.ndarray
    second: np.ndarray
    bias: np.ndarray


def factorize(weight: np.ndarray, bias: np.ndarray, x: Tensor, rank: int) -> Factors:
    """The best two layers of a rank for one.

    They share each channel's scale evenly: its row in the first is as long as its column in the second.

    Args:
        weight: `outputs x inputs`.
        bias: `outputs`.
        x: what the layer reads, `inputs x rows`.
    """
    w, x = torch.tensor(weight, dtype=torch.float64), x.double()
    mean = x.mean(1)
    x = x - mean[:, None]
    y = w @ x
    _, vectors = torch.linalg.eigh(y @ y.t())
    second = vectors[:, -rank:]
    first = second.t() @ w
    lost = (w - second @ first) @ mean
    length = first.norm(dim=1).sqrt()
    length[length == 0] = 1.0
    first, second = first / length[:, None], second * length
    return Factors(first.float().numpy(), second.float().numpy(), (torch.tensor(bias) + lost).float().numpy())


def read(op: Op, x: Tensor, rows: int) -> Tensor:
    """About `rows` of the vectors that a linear layer or a 1x1 convolution multiplies, `inputs x rows`.

    Args:
        x: its input, the batch first.
    """
    if op.kind == "conv":
        x = x[:, :, :: op["stride"][0], :: op["stride"][1]]
    flat = x.movedim(1, 0).flatten(1)
    return flat[:, :: max(1, flat.shape[1] // rows)]
