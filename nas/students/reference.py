"""The original's values on a few hundred images: what candidates are cut and refitted by."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nas.data.resize import sized
from nas.students.candidate import Student
from search_spaces.graph import Graph, Shape, Weights
from search_spaces.ops import LAYERS
from search_spaces.resolution import at_side


class Reference:
    """The original's values on some images, computed once.

    Args:
        graph, weights: the original.
        images: float, `N x C x H x W` or `N x features`, as the network is fed.
        full: the original's values on the same images at their full size.
    """

    def __init__(self, graph: Graph, weights: Weights, images: np.ndarray, *, full: Reference | None = None) -> None:
        self.graph, self.weights = graph, weights
        self.images = images
        self._full = full
        self._tensors: dict[str, Tensor] = {}
        self._resized: dict[Shape, Reference] = {}

    def at(self, shape: Shape) -> Reference:
        """The original's values on the same images at another size, for a network whose input has this shape."""
        if shape == self.graph.input_shape:
            return self
        if shape not in self._resized:
            graph = at_side(self.graph, shape[1])
            self._resized[shape] = Reference(graph, self.weights, sized(self.images, shape), full=self)
        return self._resized[shape]

    def tensor(self, name: str) -> Tensor:
        """A tensor of the original with the batch axis last: `C x H x W x N` or `features x N`, float32; kept.

        One that has the same shape at the full size, as behind a global pool, has the values of the full size: what
        the original says of the whole images is to be reached from the smaller ones.
        """
        if self._full is not None and self.graph.shapes[name] == self._full.graph.shapes[name]:
            return self._full.tensor(name)
        if name not in self._tensors:
            wanted = [op.name for op in self.graph.ops if op.kind in LAYERS or op.kind in ("affine", "add")]
            missing = [n for n in dict.fromkeys([*wanted, name]) if n not in self._tensors]
            found = Student(self.graph, self.weights).tensors(torch.tensor(self.images), missing)
            for key, value in found.items():
                self._tensors[key] = value.movedim(0, -1).contiguous()
        return self._tensors[name]
