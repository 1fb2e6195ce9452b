"""The training pass of a student, one of three ways: the tape; torch's autograd where dense convolutions rule; and
autograd on a GPU, if there is one and it was asked for (`nas.training.accelerator`).

On planes a dense k x k convolution means laying out its windows, which costs more than all else the tape saves once
such convolutions do most of the work; torch's library has kernels of its own for them. Measured at batch 128 on one
thread, a whole step by torch in milliseconds against one by the tape: MobileNetV1 x0.125 at 28x28 31.4 / 5.8, x0.19
41.8 / 10.2, x0.5 110 / 38; forward and backward of a ResNet of five blocks of 8, 16 and 32 channels at 32x32 152 / 185,
of 24, 48 and 96 channels at 28x28 168 / 194.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nas.data.views import Views
from nas.students.candidate import Student
from nas.training.accelerator import Accelerator, deterministic
from search_spaces.graph import Graph
from search_spaces.ops import KINDS

DENSE_SHARE = 0.5  # of a network's multiply-accumulates, from which on autograd trains it


class Pass(Protocol):
    """Forward and backward for one batch size.

    Attributes:
        images: the batch, `values x N` float32, as the network is fed.
        logits_gradient: the gradient to the logits, `values x N`; the caller's to fill.
    """

    @property
    def images(self) -> np.ndarray: ...

    logits_gradient: np.ndarray

    def load(self, views: Views, rows: np.ndarray) -> None:
        """Makes the pictures of some row numbers the batch."""
        ...

    def forward(self) -> np.ndarray:
        """The logits of `images`, `values x N`, valid until the next call."""
        ...

    def backward(self) -> None:
        """Writes the gradient to every parameter, for the images and logits of the last `forward`."""
        ...


def choose(
    student: Student, count: int, gradients: Mapping[str, Tensor], accelerator: Accelerator | None = None
) -> Pass:
    """The faster pass for a student, whose `add_norm` was called if it ever will be.

    Args:
        count: samples in a batch.
        gradients: where the gradient to each parameter goes, by `parameters_by_name`.
        accelerator: where student and gradients lie; None is the processor.
    """
    if accelerator is not None:
        return OnDevice(student, count, gradients, accelerator)
    # Of a node that is kept, the batch may be anywhere in its tensors.
    unknown = any(op.kind in ("onnx", "conv_transpose") for op in student.graph.ops)
    if unknown or dense_share(student.graph) > DENSE_SHARE:
        return Autograd(student, count, gradients)
    from nas.training.steps import record  # it loads the compiler, and only training needs that

    return record(student, count, gradients)


def dense_share(graph: Graph) -> float:
    """Share of the multiply-accumulates that convolutions of one group and more than one tap do behind the first."""
    shapes, found, total = graph.shapes, 0, 0
    for op in graph.ops:
        macs = KINDS[op.kind].macs(op, [shapes[name] for name in op.inputs], shapes[op.name])
        dense = op.kind == "conv" and op["groups"] == 1 and op["kernel"] != (1, 1) and op.inputs[0] != graph.input
        found, total = found + macs * dense, total + macs
    return found / total if total else 0.0


class Autograd:
    """The student's own forward pass, differentiated by torch, on channels-last memory."""

    def __init__(self, student: Student, count: int, gradients: Mapping[str, Tensor]) -> None:
        graph = student.graph
        self.student, self.gradients = student.train(), gradients
        parameters = student.parameters_by_name()
        self._asked = [parameters[name] for name in gradients]
        self._planes = torch.zeros(prod(graph.input_shape), count)
        self.logits_gradient = torch.zeros(prod(graph.shapes[student.output]), count).numpy()
        self._shape = (count, *graph.input_shape)

    @property
    def images(self) -> np.ndarray:
        """To be written before `forward`."""
        return self._planes.numpy()

    def load(self, views: Views, rows: np.ndarray) -> None:
        views.pictures(rows, self.images)

    def forward(self) -> np.ndarray:
        self._logits = self.student.train()(self._fed())
        return np.ascontiguousarray(self._logits.detach().flatten(1).cpu().numpy().T)

    def _fed(self) -> Tensor:
        """The batch as the student takes it."""
        x = self._planes.t().reshape(self._shape)
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

    def backward(self) -> None:
        towards = torch.from_numpy(self.logits_gradient).to(self._logits.device).t().reshape(self._logits.shape)
        found = torch.autograd.grad(self._logits, self._asked, towards, materialize_grads=True)
        for into, gradient in zip(self.gradients.values(), found, strict=True):
            into.copy_(gradient)


class OnDevice(Autograd):
    """The same on a device that holds the student, the pictures and the gradients.

    Args:
        accelerator: that device.
    """

    def __init__(self, student: Student, count: int, gradients: Mapping[str, Tensor], accelerator: Accelerator) -> None:
        super().__init__(student, count, gradients)
        self.accelerator = accelerator
        self._batch = accelerator.put(np.zeros(self._shape, np.float32))

    @property
    def images(self) -> np.ndarray:
        """A copy."""
        return np.ascontiguousarray(self._batch.flatten(1).cpu().numpy().T)

    def load(self, views: Views, rows: np.ndarray) -> None:
        self._batch = self.accelerator.pictures(views, rows)

    def forward(self) -> np.ndarray:
        with deterministic():
            return super().forward()

    def _fed(self) -> Tensor:
        return self._batch

    def backward(self) -> None:
        with deterministic():
            super().backward()
