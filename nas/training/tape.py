"""A student's training pass as two lists of calls over buffers that never move: the fast way to train.

For one batch size every tensor, gradient and product is known before the first step. So each operator adds the calls of
its way forward and its way back once, with their arrays bound, and a training step runs down both lists: no graph is
recorded, no memory asked for, and what is memory-bound runs in `nas.training.kernels`. Matrix products are torch's.

Maps lie as planes (`C x H x W x N`, see `nas.training.kernels`). An operator without calls of its own goes through
torch's autograd (`nas.training.foreign`). Numbers are those of `Student` in training mode, up to rounding.
`nas.training.steps.record` makes a tape; this module is what it is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
import torch
from torch import Tensor

from nas.data.views import Views
from nas.students.candidate import Student
from nas.students.layers import Layer
from search_spaces.graph import Graph, Op

Call = Callable[[], object]


@dataclass
class Plane:
    """A tensor of the graph, or the gradient to one, for a whole batch: one piece of memory under four views.

    Attributes:
        map: `C x H x W x N`; features are maps of one place.
        matrix: `C x (H W N)`, for kernels.
        tensor: the same for torch.
        samples: `N x C x H x W`, or `N x features`, for torch.
    """

    map: np.ndarray
    matrix: np.ndarray
    tensor: Tensor
    samples: Tensor

    @classmethod
    def of(cls, piece: np.ndarray, shape: tuple[int, ...], count: int) -> Plane:
        """A view of as much of a piece of memory as it takes."""
        full = (*shape, 1, 1)[:3]
        flat = piece[: prod(full) * count]
        matrix = flat.reshape(full[0], -1)
        samples = torch.from_numpy(flat.reshape(*shape, count)).movedim(-1, 0)
        return cls(flat.reshape(*full, count), matrix, torch.from_numpy(matrix), samples)


def memory(size: int) -> np.ndarray:
    """Zeros, float32, aligned as all of torch's: how a matrix product rounds depends on where its matrices lie."""
    return torch.zeros(size).numpy()


class Tape:
    """The calls of one student at one batch size.

    Args:
        student: in which `add_norm` was called if it ever will be. Its parameters are read where they lie, and its
            running statistics updated there.
        count: samples in a batch.
        gradients: where the gradient to each parameter goes, by `parameters_by_name`.

    Attributes:
        logits_gradient: write the gradient to the logits here before `backward`: `values x N`.
        forward_calls, backward_calls: in order.
        planes: the graph's tensors.
        parameters: the student's, by name.
    """

    def __init__(self, student: Student, count: int, gradients: Mapping[str, Tensor]) -> None:
        self.student, self.count, self.gradients = student, count, gradients
        self.parameters = {name: p.detach() for name, p in student.parameters_by_name().items()}
        self.forward_calls: list[Call] = []
        self.backward_calls: list[Call] = []
        self.planes = {self.graph.input: self.plane(self.graph.input_shape)}
        self._free: list[np.ndarray] = []
        self._grads = {student.output: self._take(self._size(student.output))}
        self.logits_gradient = self.gradient(student.output).map.reshape(-1, count)

    @property
    def graph(self) -> Graph:
        return self.student.graph

    @property
    def images(self) -> np.ndarray:
        """Write a batch here before `forward`: `values x N`, float32, as the network is fed."""
        return self.planes[self.graph.input].map.reshape(-1, self.count)

    def load(self, views: Views, rows: np.ndarray) -> None:
        """Makes the pictures of some row numbers the batch."""
        views.pictures(rows, self.images)

    def forward(self) -> np.ndarray:
        """The logits of `images`, `values x N`, valid until the next call."""
        for call in self.forward_calls:
            call()
        return self.planes[self.student.output].map.reshape(-1, self.count)

    def backward(self) -> None:
        """Fills `gradients` from `logits_gradient`, for the images and logits of the last `forward`."""
        for call in self.backward_calls:
            call()

    # ---- for `nas.training.steps`, while the lists are made

    def layer(self, op: Op) -> Layer:
        return self.student.layer(op.name)

    def plane(self, shape: tuple[int, ...]) -> Plane:
        """New memory for a tensor of this shape per sample."""
        return Plane.of(memory(prod(shape) * self.count), shape, self.count)

    def gradient(self, name: str) -> Plane:
        """The gradient to a tensor, complete once the ways back of all its readers have been added."""
        if name not in self._grads:  # nobody on the way to the output reads it
            self._grads[name] = self._take(self._size(name))
            self.backward_calls.append(partial(self._grads[name].fill, 0))
        return Plane.of(self._grads[name], self.graph.shapes[name], self.count)

    def contribute(self, name: str, write: Callable[[Plane], None]) -> None:
        """Adds what one reader has to say about the gradient to a tensor.

        `write` appends the calls that overwrite a plane with it. The image's gradient is not asked for.
        """
        if name == self.graph.input:
            return
        piece = self._take(self._size(name))
        plane = Plane.of(piece, self.graph.shapes[name], self.count)
        write(plane)
        if name in self._grads:
            total = self.gradient(name).map
            self.backward_calls.append(partial(np.add, total, plane.map, out=total))
            self._free.append(piece)
        else:
            self._grads[name] = piece

    def hand_over(self, name: str, source: str) -> None:
        """The gradient to `source`, of as many numbers and in the same order, is what one reader says about `name`."""
        if name == self.graph.input:
            return
        piece = self._grads.pop(source)
        if name in self._grads:
            self.contribute_copy(name, Plane.of(piece, self.graph.shapes[name], self.count))
            self._free.append(piece)
        else:
            self._grads[name] = piece

    def contribute_copy(self, name: str, plane: Plane) -> None:
        """What one reader says about the gradient to `name` is a plane that stays as it is."""
        if name in self._grads:
            total = self.gradient(name).map
            self.backward_calls.append(partial(np.add, total, plane.map, out=total))
        else:
            self.contribute(name, lambda to: self.backward_calls.append(partial(np.copyto, to.map, plane.map)))

    def release(self, name: str) -> None:
        """The gradient to a tensor is not read again: its memory may serve another."""
        if name in self._grads:
            self._free.append(self._grads.pop(name))

    def _size(self, name: str) -> int:
        return prod(self.graph.shapes[name]) * self.count

    def _take(self, size: int) -> np.ndarray:
        """Memory for a gradient: a piece that is free again, which is likely still in the cache, or new."""
        fitting = [piece for piece in self._free if piece.size >= size]
        if not fitting:
            return memory(size)
        best = min(fitting, key=lambda piece: piece.size)
        self._free = [piece for piece in self._free if piece is not best]
        return best
