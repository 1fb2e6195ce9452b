"""The training pass's inner loops, compiled by numba: what is memory-bound in torch runs here in one go.

Maps lie as *planes*, batch innermost: `C x H x W x N`, so every loop below runs along whole batches and becomes vector
instructions, however few channels and however small a map. Matrices `C x R` are the same memory with R = H W N.
Kernels write into what they are given and return nothing. Sums run in float32 over short stretches and in float64
from there on.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, sqrt
from typing import Any

import numba
import numpy as np
from numba import float32, int64, types, uint8

# mypy: disable-error-code="no-untyped-def, assignment, attr-defined"

STRETCH = 512  # values summed in float32
RULES = {"reassoc", "contract", "nsz"}  # of fast arithmetic; NaN and infinity keep their meaning

VECTOR, MATRIX, TAPS, MAP = float32[::1], float32[:, ::1], float32[:, :, ::1], float32[:, :, :, ::1]
COLUMNS, ROWS = float32[:, :, :, :, :, ::1], int64[::1]
BYTES, FLOATS = (types.Array(kind, 2, "C", readonly=True) for kind in (uint8, float32))
LABELS = types.Array(int64, 1, "C", readonly=True)
f4 = np.float32


def compiled(*signatures: tuple[Any, ...]) -> Callable[[Any], Any]:
    """Compiles for these types of arguments, once a machine: kept on disk where a folder can be written."""

    def build(function: Any) -> Any:
        wanted = [numba.void(*signature) for signature in signatures]
        try:
            return numba.njit(wanted, fastmath=RULES, error_model="numpy", cache=True)(function)
        except RuntimeError:  # no folder for the cache
            return numba.njit(wanted, fastmath=RULES, error_model="numpy")(function)

    return build


@compiled((MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, float32, float32, float32, float32, MATRIX, VECTOR, VECTOR))
def norm_forward(z, gamma, beta, running_mean, running_var, momentum, eps, low, high, y, mean, inverse):
    """y = clamp(gamma (z - mean) / sqrt(var + eps) + beta, low, high) per channel; updates the running statistics.

    `mean` and `inverse` (1 / sqrt(var + eps)) are kept for the way back. As in torch, var divides by R here and by
    R - 1 in the running statistics.
    """
    channels, count = z.shape
    for c in range(channels):
        values, out = z[c], y[c]
        shift = values[0]  # sums of squares around a value of the channel's own lose no digits to its mean
        total, squares = 0.0, 0.0
        for start in range(0, count, STRETCH):
            s, q = f4(0), f4(0)
            piece = values[start : start + STRETCH]
            for i in range(piece.size):
                d = piece[i] - shift
                s += d
                q += d * d
            total += s
            squares += q
        middle = total / count
        var = max(squares / count - middle * middle, 0.0)
        inv = 1 / sqrt(var + eps)
        running_mean[c] += momentum * (f4(middle) + shift - running_mean[c])
        running_var[c] += momentum * (f4(var * count / max(count - 1, 1)) - running_var[c])
        mean[c] = f4(middle) + shift
        inverse[c] = f4(inv)
        scale = f4(gamma[c] * inv)
        offset = beta[c] - scale * mean[c]
        for i in range(count):
            out[i] = min(max(values[i] * scale + offset, low), high)


@compiled((MATRIX, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, float32, float32, VECTOR, VECTOR))
def norm_backward(g, y, z, gamma, mean, inverse, low, high, ggamma, gbeta):
    """From the gradient to y in `g` the gradient to z, in its place, and those to gamma and beta.

    With h = g where low < y < high else 0 and zh = (z - mean) inverse:
    dz = gamma inverse (h - mean(h) - zh mean(h zh)).
    """
    channels, count = z.shape
    for c in range(channels):
        grad, out, values, middle = g[c], y[c], z[c], mean[c]
        total, products = 0.0, 0.0
        for start in range(0, count, STRETCH):
            s, q = f4(0), f4(0)
            to, at, seen = grad[start : start + STRETCH], values[start : start + STRETCH], out[start : start + STRETCH]
            for i in range(to.size):
                h = to[i] if (seen[i] > low) & (seen[i] < high) else f4(0)
                s += h
                q += h * (at[i] - middle)
                to[i] = h
            total += s
            products += q
        gbeta[c] = f4(total)
        ggamma[c] = f4(products * inverse[c])
        scale = gamma[c] * inverse[c]
        slope = f4(-scale * inverse[c] * inverse[c] * products / count)
        offset = f4(-scale * total / count) - slope * middle
        for i in range(count):
            grad[i] = grad[i] * scale + values[i] * slope + offset


@compiled((MATRIX, VECTOR, float32, float32, MATRIX))
def bias_forward(z, bias, low, high, y):
    """y = clamp(z + bias, low, high); y may be z."""
    for c in range(z.shape[0]):
        values, out, b = z[c], y[c], bias[c]
        for i in range(z.shape[1]):
            out[i] = min(max(values[i] + b, low), high)


@compiled((MATRIX, MATRIX, float32, float32, VECTOR))
def bias_backward(g, y, low, high, gbias):
    """From the gradient to y in `g` the gradient to z, in its place, and that to the bias."""
    for c in range(g.shape[0]):
        grad, out = g[c], y[c]
        total = 0.0
        for start in range(0, g.shape[1], STRETCH):
            s = f4(0)
            to, seen = grad[start : start + STRETCH], out[start : start + STRETCH]
            for i in range(to.size):
                h = to[i] if (seen[i] > low) & (seen[i] < high) else f4(0)
                s += h
                to[i] = h
            total += s
        gbias[c] = f4(total)


@compiled((VECTOR, float32, float32, VECTOR))
def clamp_forward(x, low, high, y):
    """y = clamp(x, low, high)."""
    for i in range(x.size):
        y[i] = min(max(x[i], low), high)


@numba.njit(fastmath=False)
def nearest(x):
    """The integer nearest to x, ties to even, for |x| < 2^22: its last place is 1 beside 1.5 x 2^23.

    Unlike `np.rint` it becomes vector instructions; without `RULES`, by which the two constants would cancel.
    """
    return (x + f4(12582912)) - f4(12582912)


@compiled((MATRIX, VECTOR, float32, float32, float32, MATRIX))
def bias_round_forward(z, bias, low, high, scale, y):
    """y = clamp(z + bias, low, high) as a multiple of scale, ties to even; y may be z."""
    per = f4(1) / scale
    for c in range(z.shape[0]):
        values, out, b = z[c], y[c], bias[c]
        for i in range(z.shape[1]):
            out[i] = nearest(min(max(values[i] + b, low), high) * per) * scale


@compiled((VECTOR, float32, float32, float32, VECTOR))
def round_forward(x, low, high, scale, y):
    """y = clamp(x, low, high) as a multiple of scale, ties to even; y may be x."""
    per = f4(1) / scale
    for i in range(x.size):
        y[i] = nearest(min(max(x[i], low), high) * per) * scale


@compiled((VECTOR, VECTOR, float32, float32, VECTOR))
def clamp_backward(g, y, low, high, gx):
    """gx = g where low < y < high, else 0."""
    for i in range(g.size):
        gx[i] = g[i] if (y[i] > low) & (y[i] < high) else f4(0)


@compiled((TAPS, MATRIX))
def mean_forward(x, y):
    """`C x places x N` to its mean over places."""
    share = f4(1 / x.shape[1])
    for c in range(x.shape[0]):
        out = y[c]
        out[:] = 0
        for p in range(x.shape[1]):
            row = x[c, p]
            for n in range(row.size):
                out[n] += row[n] * share


@compiled((MATRIX, TAPS))
def mean_backward(g, gx):
    """The gradient to every place is the mean's over their number."""
    share = f4(1 / gx.shape[1])
    for c in range(g.shape[0]):
        row = g[c]
        for p in range(gx.shape[1]):
            out = gx[c, p]
            for n in range(row.size):
                out[n] = row[n] * share


@compiled((MAP, TAPS, int64, int64, int64, int64, MAP))
def depthwise_forward(x, taps, stride_y, stride_x, top, left, z):
    """Depthwise convolution; `taps` is `C x KH x KW`. Pads below and right follow from the sizes."""
    channels, height, width, count = x.shape
    for c in range(channels):
        for oy in range(z.shape[1]):
            for ox in range(z.shape[2]):
                out = z[c, oy, ox]
                out[:] = 0
                for dy in range(taps.shape[1]):
                    y = oy * stride_y + dy - top
                    if y < 0 or y >= height:
                        continue
                    for dx in range(taps.shape[2]):
                        column = ox * stride_x + dx - left
                        if column < 0 or column >= width:
                            continue
                        tap, row = taps[c, dy, dx], x[c, y, column]
                        for n in range(count):
                            out[n] += tap * row[n]


@compiled((MAP, MAP, TAPS, int64, int64, int64, int64, MAP, TAPS))
def depthwise_backward(x, g, taps, stride_y, stride_x, top, left, gx, gtaps):
    """Gradients of a depthwise convolution to its input and its taps."""
    channels, height, width, count = x.shape
    for c in range(channels):
        gx[c] = 0
        gtaps[c] = 0
        for oy in range(g.shape[1]):
            for ox in range(g.shape[2]):
                grad = g[c, oy, ox]
                for dy in range(taps.shape[1]):
                    y = oy * stride_y + dy - top
                    if y < 0 or y >= height:
                        continue
                    for dx in range(taps.shape[2]):
                        column = ox * stride_x + dx - left
                        if column < 0 or column >= width:
                            continue
                        tap, row, to = taps[c, dy, dx], x[c, y, column], gx[c, y, column]
                        total = f4(0)
                        for n in range(count):
                            to[n] += tap * grad[n]
                            total += row[n] * grad[n]
                        gtaps[c, dy, dx] += total


@compiled((MAP, int64, int64, int64, int64, int64, int64, int64, int64, COLUMNS))
def unfold(x, stride_y, stride_x, dilation_y, dilation_x, top, left, first, last, columns):
    """What the windows of output rows first to last see: `C x KH x KW x rows x WO x N`, zeros beyond the border."""
    channels, height, width, count = x.shape
    for c in range(channels):
        for dy in range(columns.shape[1]):
            for dx in range(columns.shape[2]):
                for oy in range(first, last):
                    y = oy * stride_y + dy * dilation_y - top
                    for ox in range(columns.shape[4]):
                        column = ox * stride_x + dx * dilation_x - left
                        to = columns[c, dy, dx, oy - first, ox]
                        if y < 0 or y >= height or column < 0 or column >= width:
                            to[:] = 0
                        else:
                            row = x[c, y, column]
                            for n in range(count):
                                to[n] = row[n]


@compiled((COLUMNS, int64, int64, int64, int64, int64, int64, int64, int64, MAP))
def fold(columns, stride_y, stride_x, dilation_y, dilation_x, top, left, first, last, gx):
    """Adds to `gx` the gradients to what the windows saw: `unfold` the other way."""
    channels, height, width, count = gx.shape
    for c in range(channels):
        for dy in range(columns.shape[1]):
            for dx in range(columns.shape[2]):
                for oy in range(first, last):
                    y = oy * stride_y + dy * dilation_y - top
                    if y < 0 or y >= height:
                        continue
                    for ox in range(columns.shape[4]):
                        column = ox * stride_x + dx * dilation_x - left
                        if column < 0 or column >= width:
                            continue
                        row, to = columns[c, dy, dx, oy - first, ox], gx[c, y, column]
                        for n in range(count):
                            to[n] += row[n]


@compiled((VECTOR, VECTOR, VECTOR, float32, float32, float32, int64))
def nesterov(values, gradient, velocity, rate, momentum, decay, decayed):
    """One step of SGD as torch.optim.SGD takes it: v = m v + g, w -= rate (g + m v); the first values also decay."""
    for i in range(values.size):
        g = gradient[i] + (decay * values[i] if i < decayed else f4(0))
        v = momentum * velocity[i] + g
        velocity[i] = v
        values[i] -= rate * (g + momentum * v)


@compiled((VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, float32, int64))
def adam_on_grid(exact, gradient, first, second, steps, coarse, limits, values, rate, step):
    """One step of Adam (arXiv:1412.6980) on numbers behind integers, clamped to +-limits; values = integer x steps.

    An integer is the nearest to exact x coarse. `gradient` is that to the values, `step` counts from 1.
    """
    b1, b2 = f4(0.9), f4(0.99)
    c1, c2 = f4(1 / (1 - 0.9**step)), f4(1 / (1 - 0.99**step))
    for i in range(exact.size):
        g = gradient[i] * steps[i] * coarse[i]
        first[i] += (f4(1) - b1) * (g - first[i])
        second[i] += (f4(1) - b2) * (g * g - second[i])
        moved = exact[i] - rate * first[i] * c1 / (f4(sqrt(second[i] * c2)) + f4(1e-12))
        exact[i] = min(max(moved, -limits[i]), limits[i])
        values[i] = np.rint(exact[i] * coarse[i]) * steps[i]


@compiled((BYTES, ROWS, float32, MATRIX), (FLOATS, ROWS, float32, MATRIX))
def gather(source, rows, divisor, planes):
    """Rows of a matrix of samples as planes, `values x N`, divided by a number."""
    for i in range(planes.shape[0]):
        out = planes[i]
        for n in range(rows.size):
            out[n] = f4(source[rows[n], i]) / divisor


@compiled((MATRIX, FLOATS, ROWS, LABELS, ROWS, float32, float32, MATRIX))
def distillation(logits, teacher, rows, labels, pictures, temperature, alpha, g):
    """Gradient of the mean loss to the logits, both `classes x N`.

    alpha T^2 KL at temperature T has the gradient alpha T (softmax(z / T) - softmax(teacher / T)), and (1 - alpha)
    times cross-entropy (1 - alpha) (softmax(z) - one). `rows` count in `teacher`, `pictures` in `labels`.
    """
    classes, count = logits.shape
    mild, sharp, target = np.empty(classes, f4), np.empty(classes, f4), np.empty(classes, f4)
    for n in range(count):
        answer, row = logits[:, n], teacher[rows[n]]
        top, row_top = answer.max(), row.max()
        sums = np.zeros(3, f4)
        for k in range(classes):
            mild[k] = exp((answer[k] - top) / temperature)
            sharp[k] = exp(answer[k] - top)
            target[k] = exp((row[k] - row_top) / temperature)
            sums[0] += mild[k]
            sums[1] += sharp[k]
            sums[2] += target[k]
        soft, hard = alpha * temperature / count, (1 - alpha) / count
        for k in range(classes):
            g[k, n] = soft * (mild[k] / sums[0] - target[k] / sums[2]) + hard * sharp[k] / sums[1]
        g[labels[pictures[n]], n] -= hard
