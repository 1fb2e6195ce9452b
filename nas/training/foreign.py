"""An operator of a `Tape` that torch computes and differentiates, on the memory of the tape."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nas.training.tape import Plane, Tape


class Foreign:
    """An operator that torch computes and differentiates.

    Args:
        run: from inputs, batch first, to the output.
        inputs, output: `samples` of planes.
        learned: parameters that `run` reads, each with the place of its gradient.
    """

    def __init__(
        self,
        run: Callable[..., Tensor],
        inputs: list[Tensor],
        output: Tensor,
        learned: list[tuple[torch.nn.Parameter, Tensor]],
    ) -> None:
        self.run, self.inputs, self.output, self.learned = run, inputs, output, learned

    def forward(self) -> None:
        self.leaves = [x.detach().requires_grad_() for x in self.inputs]
        self.made = self.run(*self.leaves)
        self.output.copy_(self.made.detach())

    def add_backward(self, tape: Tape, names: list[str], g: Plane) -> None:
        """Appends the way back from the gradient `g` to the output."""
        found: list[Tensor] = []

        def backward() -> None:
            asked = [*self.leaves, *(parameter for parameter, _ in self.learned)]
            found[:] = torch.autograd.grad(self.made, asked, g.samples)
            for gradient, (_, into) in zip(found[len(self.leaves) :], self.learned, strict=True):
                into.copy_(gradient)

        tape.backward_calls.append(backward)
        for k, name in enumerate(names):
            tape.contribute(name, partial(self._write, tape, found, k))

    def _write(self, tape: Tape, found: list[Tensor], k: int, to: Plane) -> None:
        tape.backward_calls.append(lambda: to.samples.copy_(found[k]))
