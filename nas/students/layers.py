"""Operators with weights as torch layers: convolution, linear and affine, with a trainable BatchNorm if asked for.

A layer without BatchNorm holds `weight` and `bias`, as its operator does in a `Graph`. With BatchNorm the bias moves
into the norm, whose four vectors have one value per output channel: `gamma`, `beta` (learned), `mean`, `var` (running).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.graph import Op, Weights
from search_spaces.ops import CONVOLUTIONS

EPS = 1e-5  # added to a variance before its root, as torch and ONNX do by default
MOMENTUM = 0.1  # share of the newest batch in the running mean and variance


class Layer(nn.Module):
    """A weighted operator. Subclasses say how `weight` meets the input."""

    bias: nn.Parameter | None
    gamma: nn.Parameter
    beta: nn.Parameter
    mean: Tensor
    var: Tensor

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))

    def add_norm(self, mean: Tensor, var: Tensor) -> None:
        """Puts a BatchNorm behind the layer that changes nothing: gamma = sqrt(var + eps), beta = mean.

        Args:
            mean, var: per output channel, of the layer's output with its bias; the variance divides by n.
        """
        if self.bias is None:
            raise ValueError("the layer already has a norm")
        self.set_norm((var + EPS).sqrt(), mean.clone(), mean - self.bias.detach(), var.clone())

    def set_norm(self, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor) -> None:
        """Puts a BatchNorm of known values in the bias's place."""
        self.bias = None
        self.gamma, self.beta = nn.Parameter(gamma), nn.Parameter(beta)
        self.register_buffer("mean", mean)
        self.register_buffer("var", var)

    def finish(self, y: Tensor) -> Tensor:
        """The norm, if there is one."""
        if self.bias is not None:
            return y
        return F.batch_norm(y, self.mean, self.var, self.gamma, self.beta, self.training, MOMENTUM, EPS)

    def folded(self) -> dict[str, np.ndarray]:
        """The operator's weights by role without a norm, computed in float64 and rounded once."""
        weight = self.weight.detach().cpu().double()
        if self.bias is not None:
            return {"weight": weight.float().numpy(), "bias": self.bias.detach().cpu().float().numpy().copy()}
        gamma, beta, mean, var = (t.detach().cpu().double() for t in (self.gamma, self.beta, self.mean, self.var))
        scale = gamma / (var + EPS).sqrt()
        bias = beta - scale * mean
        weight = weight * scale.view(-1, *(1 for _ in weight.shape[1:]))
        return {"weight": weight.float().numpy(), "bias": bias.float().numpy()}


class Conv(Layer):
    """A 2-D convolution, transposed or not."""

    def __init__(self, op: Op, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__(weight, bias)
        self.op = op

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(convolve(self.op, x, self.weight, self.bias))


class Linear(Layer):
    """A matrix times a flat input."""

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(F.linear(x, self.weight, self.bias))


class Affine(Layer):
    """A scale and a shift per channel; it never gets a norm."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        tail = (-1, *(1 for _ in x.shape[2:]))
        return torch.addcmul(self.bias.view(tail), x, self.weight.view(tail))


def build(op: Op, weights: Weights) -> Layer:
    """The layer of a weighted operator; the arrays are copied."""
    weight, bias = weights[f"{op.name}.weight"], weights[f"{op.name}.bias"]
    if op.kind in CONVOLUTIONS:
        return Conv(op, weight, bias)
    return Linear(weight, bias) if op.kind == "linear" else Affine(weight, bias)


def convolve(op: Op, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution of an operator's attributes, `N x C x H x W`; weight `O x I/groups x KH x KW`, transposed or not.

    Pads that differ between sides are applied before it, or cut off behind it.
    """
    if op.kind == "conv_transpose":
        return _convolve_transposed(op, x, weight, bias)
    top, left, bottom, right = op["pads"]
    even = (top, left) == (bottom, right)
    if not even:
        x = F.pad(x, (left, right, top, bottom))
    inside = (top, left) if even else (0, 0)
    return F.conv2d(x, weight, bias, op["stride"], inside, op["dilation"], op["groups"])


def _convolve_transposed(op: Op, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    top, left, bottom, right = op["pads"]
    groups = op["groups"]
    inputs_first = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    stride, extra, dilation = op["stride"], op["output_padding"], op["dilation"]
    if (top, left) == (bottom, right):
        return F.conv_transpose2d(x, inputs_first, bias, stride, (top, left), extra, groups, dilation)
    whole = F.conv_transpose2d(x, inputs_first, bias, stride, 0, extra, groups, dilation)
    return whole[:, :, top : whole.shape[2] - bottom, left : whole.shape[3] - right]
