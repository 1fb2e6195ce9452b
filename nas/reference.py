"""The original's values on a few hundred images: what candidates are cut and refitted by."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nas.candidate import Student
from search_spaces.graph import Graph, Weights


class Reference:
    """The original's values on some images, computed once.

    Args:
        graph, weights: the original.
        images: float, `N x C x H x W` or `N x features`, as the network is fed.
    """

    def __init__(self, graph: Graph, weights: Weights, images: np.ndarray) -> None:
        self.graph, self.weights = graph, weights
        self.images = images
        self._tensors: dict[str, Tensor] = {}

    def tensor(self, name: str) -> Tensor:
        """A tensor of the original with the batch axis last: `C x H x W x N` or `features x N`, float32; kept."""
        if name not in self._tensors:
            wanted = [op.name for op in self.graph.ops if op.kind in ("conv", "linear", "affine", "add")]
            missing = [n for n in dict.fromkeys([*wanted, name]) if n not in self._tensors]
            found = Student(self.graph, self.weights).tensors(torch.tensor(self.images), missing)
            for key, value in found.items():
                self._tensors[key] = value.movedim(0, -1).contiguous()
        return self._tensors[name]
