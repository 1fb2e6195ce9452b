"""TensorFlow Lite Micro's integer arithmetic, for what is known when C is written: multipliers and tables.

Sources: tensorflow/lite/kernels/internal/{common.h, quantization_util.cc, reference/integer_ops} and gemmlowp's
fixedpoint.h. Numbers named `..._in_31_bits` are fractions of 2^31; gemmlowp's F2, F5 have 2, 5 integer bits.
"""

from __future__ import annotations

import math

ONE = 2**31 - 1
"""1 in 31 bits, saturated."""

_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp of -1/4, -1/2, -1, ... -16, in 31 bits."""


def multiplier_of(real: float) -> tuple[int, int]:
    """`real` as an int32 multiplier in [2^30, 2^31) and a power of two: multiplier / 2^31 * 2^shift."""
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = _rounded(fraction * 2**31)
    if multiplier == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    if shift < -31:
        return 0, 0
    return (multiplier, shift) if shift <= 30 else (ONE, 30)


def scaled(value: int, multiplier: int, shift: int) -> int:
    """`value` times a multiplier of `multiplier_of`, rounded twice as the kernels do."""
    return divided(high(value << max(shift, 0), multiplier), max(-shift, 0))


def high(a: int, b: int) -> int:
    """The rounded high half of twice the product of two int32."""
    return ONE if a == b == -(2**31) else (a * b + 2**30) >> 31


def divided(value: int, exponent: int) -> int:
    """`value / 2^exponent` rounded, halves away from zero."""
    half = (1 << exponent) >> 1
    return (value + half) >> exponent if value >= 0 else -((-value + half) >> exponent)


def saturated(value: int) -> int:
    return max(-(2**31), min(ONE, value))


def clamped(value: int) -> int:
    """Into int8."""
    return max(-128, min(127, value))


def exponential(value: int, integer_bits: int = 5) -> int:
    """exp of a number at most 0 with that many integer bits, in 31 bits: `exp_on_negative_values`."""
    if value == 0:
        return ONE
    first = 29 - integer_bits  # the bit that is worth a quarter
    quarter = 1 << first
    part = (value & (quarter - 1)) - quarter  # the last quarter of it, in [-1/4, 0)
    result = _exponential_of_part(saturated(part << integer_bits))
    rest = part - value
    for bit, power in enumerate(_POWERS[: integer_bits + 2], first):
        if rest >> bit & 1:
            result = high(result, power)
    return result


def _exponential_of_part(a: int) -> int:
    """exp of a number in [-1/4, 0), by its Taylor series around -1/8."""
    x = a + (1 << 28)
    x2 = high(x, x)
    x3, x4 = high(x2, x), high(x2, x2)
    tail = divided(high(divided(x4, 2) + x3, 715827883) + x2, 1)
    return 1895147668 + high(1895147668, x + tail)


def reciprocal(a: int) -> int:
    """1 / (1 + a) for a fraction in 31 bits."""
    return saturated(_newton(a) * 2)


def _newton(a: int) -> int:
    """2 / (1 + a) in F2."""
    half = (a + ONE + 1) // 2
    guess = 1515870810 + high(half, -1010580540)
    for _ in range(3):
        guess += saturated(high(guess, (1 << 29) - high(half, guess)) * 4)
    return guess


def logistic(value: int) -> int:
    """1 / (1 + exp(-value)) of a number with 27 fraction bits (F4), in 31 bits."""
    if value == 0:
        return 1 << 30
    positive = reciprocal(exponential(-abs(value), 4))
    return positive if value > 0 else ONE - positive


def tanh(value: int) -> int:
    """The hyperbolic tangent of an F4 number, in 31 bits."""
    if value == 0:
        return 0
    fraction = exponential(-abs(value))  # twice an F4 number has the same bits as F5
    result = saturated((_newton(fraction) - (1 << 29)) * 4)
    return result if value > 0 else -result


def _rounded(value: float) -> int:
    """Halves away from zero, as C's round."""
    return math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)
