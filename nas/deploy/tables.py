"""An operator of one int8 as its 256 answers, those of TensorFlow Lite Micro's reference kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor

import numpy as np

from nas.deploy import fixed_point as fp

INT8 = range(-128, 128)
Scale = np.float32
"""Scales are the file's float32; where a kernel multiplies before it widens them, so does the table."""


@dataclass(frozen=True)
class Ends:
    """The quantization of what is read and of what is written."""

    in_scale: Scale
    in_zero: int
    out_scale: Scale
    out_zero: int


def relu(ends: Ends) -> np.ndarray:
    return _rescaled(ends, _multiplier(ends.in_scale / ends.out_scale), low=ends.out_zero)


def relu6(ends: Ends) -> np.ndarray:
    """Clamped without rescaling: both ends have one scale."""
    top = min(127, ends.out_zero + _round(Scale(6) / ends.out_scale))
    return _table(lambda value: min(max(value, ends.in_zero), top))


def requantize(ends: Ends) -> np.ndarray:
    return _rescaled(ends, _multiplier(float(ends.in_scale) / float(ends.out_scale)))


def leaky_relu(ends: Ends, slope: float) -> np.ndarray:
    above = _multiplier(ends.in_scale / ends.out_scale)
    below = _multiplier(ends.in_scale * Scale(slope) / ends.out_scale)

    def answer(value: int) -> int:
        value -= ends.in_zero
        return ends.out_zero + fp.scaled(value, *(above if value >= 0 else below))

    return _table(answer)


def logistic(ends: Ends) -> np.ndarray:
    return _sigmoidal(ends, fp.logistic, fraction_bits=8, zero=-128)


def tanh(ends: Ends) -> np.ndarray:
    return _sigmoidal(ends, fp.tanh, fraction_bits=7, zero=0)


def elu(ends: Ends) -> np.ndarray:
    """In float32, as the kernel fills a table of its own when it is prepared."""
    values = ends.in_scale * (np.arange(-128, 128) - ends.in_zero).astype(np.float32)
    made = np.where(values < 0, np.expm1(values), values).astype(np.float32) * (Scale(1) / ends.out_scale)
    return np.clip([_round(v) + ends.out_zero for v in made], -128, 127).astype(np.int8)


def hard_swish(ends: Ends) -> np.ndarray:
    """In 16 bits (`reference/hard_swish.h`): the input 128 times finer, times the gate of it in 15 bits."""
    fine = Scale(1 / 128) * ends.in_scale
    out_multiplier, out_shift = _narrow(fine / ends.out_scale)
    gate_multiplier, gate_shift = _narrow(fine / Scale(3 / 32768))

    def answer(value: int) -> int:
        value = (value - ends.in_zero) * 128
        made = _high16(value, out_multiplier)
        gate = value if gate_shift <= 0 else _saturated16(value << (gate_shift - 1))
        gate = _high16(gate, gate_multiplier)
        if gate_shift > 0:
            gate = _saturated16(gate << 1)
        elif gate_shift < 0:
            gate = fp.divided(gate, -gate_shift)
        product = (gate + 2**15 >> 1) * made
        product = product >> 15 if product >= 0 else -(-product >> 15)
        return fp.divided(product, -out_shift) + ends.out_zero

    return _table(answer)


def exponentials(in_scale: Scale, beta: float = 1.0) -> np.ndarray:
    """Of a softmax: exp(beta * scale * -k) for k = 0 to 255, int32 in 31 bits; 0 where the kernel leaves it out."""
    multiplier, shift = fp.multiplier_of(min(beta * float(in_scale) * 2**26, fp.ONE))
    reach = floor(31 * 2.0 ** (31 - 5) / 2.0**shift)
    found = [fp.exponential(fp.high(-k << shift, multiplier)) if k <= reach else 0 for k in range(256)]
    return np.array(found, np.int32)


def _sigmoidal(ends: Ends, function: Callable[[int], int], *, fraction_bits: int, zero: int) -> np.ndarray:
    multiplier, shift = fp.multiplier_of(float(ends.in_scale) * 2**27)
    radius = floor(15 * 2.0**27 / 2.0**shift)

    def answer(value: int) -> int:
        value -= ends.in_zero
        if abs(value) >= radius:
            return 127 if value > 0 else -128
        return fp.divided(function(fp.scaled(value, multiplier, shift)), 31 - fraction_bits) + zero

    return _table(answer)


def _rescaled(ends: Ends, multiplier: tuple[int, int], low: int = -128) -> np.ndarray:
    return _table(lambda value: max(low, ends.out_zero + fp.scaled(value - ends.in_zero, *multiplier)))


def _table(answer: Callable[[int], int]) -> np.ndarray:
    return np.array([fp.clamped(answer(value)) for value in INT8], np.int8)


def _multiplier(real: float | Scale) -> tuple[int, int]:
    return fp.multiplier_of(float(real))


def _narrow(real: Scale) -> tuple[int, int]:
    """A multiplier of 16 bits and its shift."""
    multiplier, shift = _multiplier(real)
    return min(multiplier + 2**15 >> 16, 32767), shift


def _high16(a: int, b: int) -> int:
    return 32767 if a == b == -32768 else (a * b + 2**14) >> 15


def _saturated16(value: int) -> int:
    return max(-32768, min(32767, value))


def _round(value: float | Scale) -> int:
    """Halves away from zero."""
    return floor(abs(float(value)) + 0.5) * (1 if value >= 0 else -1)
