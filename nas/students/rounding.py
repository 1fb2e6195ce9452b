"""Activations on an int8 grid while a network is trained: rounding, and a gradient that goes straight through it.

Reference: the straight-through estimator, arXiv:1308.3432; simulated quantization, arXiv:1712.05877.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Rounding:
    """The values that int8 has for a tensor: multiples of `scale` from `low` to `high`, in the float network's units.

    Attributes:
        scale, low, high: float32 numbers; both ends are multiples of the scale.
    """

    scale: float
    low: float
    high: float

    @staticmethod
    def of(scale: float, zero_point: int) -> Rounding:
        """That of an encoding."""
        step = np.float32(scale)
        return Rounding(*(float(step * np.float32(k)) for k in (1, -128 - zero_point, 127 - zero_point)))

    def __call__(self, x: Tensor) -> Tensor:
        """The nearest values, ties to even. The gradient passes where the result lies between the ends."""
        result: Tensor = _Round.apply(x, self)
        return result


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Rounding) -> Tensor:
        y = torch.round(x.clamp(grid.low, grid.high) / grid.scale) * grid.scale
        ctx.save_for_backward((y > grid.low) & (y < grid.high))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        return gradient * inside, None
