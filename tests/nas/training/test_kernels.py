"""Kernels that are more than a formula, on numbers a person can check."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from nas.training import kernels


def test_norm_keeps_its_digits_far_from_zero() -> None:
    """A channel of mean 1000 and deviation 0.1, in float32: sums of squares around 0 would have lost the deviation."""
    rng = np.random.default_rng(0)
    z = (1000 + 0.1 * rng.standard_normal((1, 5000))).astype(np.float32)
    one, y = np.ones(1, np.float32), np.empty_like(z)
    mean, inverse = np.empty(1, np.float32), np.empty(1, np.float32)
    kernels.norm_forward(z, one, 0 * one, 0 * one, one.copy(), 0.1, 0.0, -np.inf, np.inf, y, mean, inverse)
    exact = z.astype(np.float64)
    np.testing.assert_allclose(1 / inverse, exact.std(), rtol=1e-4)
    assert abs(y.mean()) < 1e-2
    assert abs(y.std() - 1) < 1e-3


def test_norm_of_a_constant_channel_is_beta() -> None:
    z, y = np.full((1, 64), 7, np.float32), np.empty((1, 64), np.float32)
    gamma, beta = np.full(1, 3, np.float32), np.full(1, 0.5, np.float32)
    mean, inverse, running = np.empty(1, np.float32), np.empty(1, np.float32), np.zeros(1, np.float32)
    kernels.norm_forward(z, gamma, beta, running, running.copy(), 0.1, 1e-5, 0.0, 6.0, y, mean, inverse)
    np.testing.assert_allclose(y, 0.5, atol=1e-6)
    np.testing.assert_allclose(running, 0.7)  # a tenth of the way from 0 to 7


def test_a_clamp_lets_no_gradient_through_at_its_ends() -> None:
    x = np.array([-1, 0, 3, 6, 9], np.float32)
    y, g = np.empty_like(x), np.ones_like(x)
    kernels.clamp_forward(x, 0.0, 6.0, y)
    kernels.clamp_backward(g, y, 0.0, 6.0, g)
    assert y.tolist() == [0, 0, 3, 6, 6]
    assert g.tolist() == [0, 0, 1, 0, 0]


def test_nan_passes_through_a_clamp() -> None:
    """A clamp that hid it would hide that training has failed."""
    x = np.array([np.nan, np.inf], np.float32)
    kernels.clamp_forward(x, -np.inf, np.inf, x)
    assert np.isnan(x[0])
    assert np.isinf(x[1])


def test_unfold_is_torchs_and_fold_its_transpose() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 5, 3)).astype(np.float32)
    where = (2, 1, 1, 2, 1, 2)  # strides, dilations, pads above and left
    columns = np.empty((2, 3, 3, 3, 5, 3), np.float32)
    kernels.unfold(x, *where, 0, 3, columns)
    padded = F.pad(torch.from_numpy(x).permute(3, 0, 1, 2), (2, 2, 1, 1))
    expected = F.unfold(padded, (3, 3), dilation=(1, 2), stride=(2, 1))  # N x (C KH KW) x places
    np.testing.assert_array_equal(columns.reshape(18, 15, 3), expected[:, :, :15].permute(1, 2, 0).numpy())

    back, g = np.zeros_like(x), rng.standard_normal(columns.shape).astype(np.float32)
    kernels.fold(g, *where, 0, 3, back)
    np.testing.assert_allclose((columns * g).sum(), (x * back).sum(), rtol=1e-4)
