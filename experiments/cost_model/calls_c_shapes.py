"""Random shapes of single calls of generated C, a fair share of them odd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from targets.program import CallKind

MOST_MACS, MOST_BYTES, MOST_WEIGHTS = 600_000, 60_000, 40_000


@dataclass(frozen=True)
class Case:
    """One call; shapes are those of maps."""

    kind: CallKind
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    weight_shape: tuple[int, ...] = ()
    begin: tuple[int, ...] = ()


def _channels(rng: np.random.Generator, most: int = 64) -> int:
    any_ = int(np.exp(rng.uniform(0, np.log(most))))
    return max(1, any_ if rng.random() < 0.5 else -(-any_ // 4) * 4)


def _map(rng: np.random.Generator, row: bool = False) -> tuple[int, int]:
    return (1, int(rng.integers(8, 96))) if row else (int(rng.integers(3, 25)), int(rng.integers(3, 25)))


def _windowed(rng: np.random.Generator, row: bool, sides: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Size, output, kernel, stride, pads."""
    size = _map(rng, row)
    side = int(rng.choice(sides))
    kernel = (1, side) if row else (side, side)
    step = int(rng.choice((1, 1, 2)))
    stride = (1, step) if row else (step, step)
    same = rng.random() < 0.6 or min(size[1], *size[not row :]) < side
    made = [-(-n // s) if same else (n - k) // s + 1 for n, k, s in zip(size, kernel, stride, strict=True)]
    spare = [max(0, (m - 1) * s + k - n) for m, s, k, n in zip(made, stride, kernel, size, strict=True)]
    pads = (spare[0] // 2, spare[1] // 2) if same else (0, 0)
    return size, (made[0], made[1]), kernel, stride, pads


def conv(rng: np.random.Generator, *, row: bool = False, groups: int = 1) -> Case:
    size, made, kernel, stride, pads = _windowed(rng, row, (2, 3, 3, 5, 7) if not row else (3, 5, 7, 9))
    into, out = _channels(rng) * groups, _channels(rng) * groups
    weights = (out, *kernel, into // groups)
    return Case("conv", ((*size, into),), (*made, out), kernel, stride, pads=pads, weight_shape=weights)


def pointwise(rng: np.random.Generator, *, step: int = 1) -> Case:
    size = _map(rng)
    into, out = _channels(rng, 160), _channels(rng, 160)
    made = tuple(-(-n // step) for n in size)
    return Case("conv", ((*size, into),), (*made, out), stride=(step, step), weight_shape=(out, 1, 1, into))


def depthwise(rng: np.random.Generator, *, sides: tuple[int, ...] = (3,), times: int = 1) -> Case:
    size, made, kernel, stride, pads = _windowed(rng, False, sides)
    channels = _channels(rng, 96)
    out = channels * times
    return Case("dw", ((*size, channels),), (*made, out), kernel, stride, pads=pads, weight_shape=(1, *kernel, out))


def dilated(rng: np.random.Generator) -> Case:
    """A depthwise over every second or third place."""
    size, channels, step = _map(rng), _channels(rng, 96), int(rng.integers(2, 4))
    made = (max(1, size[0] - 2 * step), max(1, size[1] - 2 * step)) if rng.random() < 0.5 else size
    pads = (0, 0) if made != size else (step, step)
    return Case("dw", ((*size, channels),), (*made, channels), (3, 3), (1, 1), (step, step), pads, (1, 3, 3, channels))


def transposed(rng: np.random.Generator) -> Case:
    size, side, step = _map(rng), int(rng.choice((2, 3, 4))), int(rng.choice((1, 2, 2)))
    into, out = _channels(rng, 32), _channels(rng, 32)
    made = tuple(n * step for n in size)
    spare = max(0, side - step)
    pads = (spare // 2, spare // 2)
    weights = (out, side, side, into)
    return Case("transpose_conv", ((*size, into),), (*made, out), (side, side), (step, step), (1, 1), pads, weights)


def linear(rng: np.random.Generator) -> Case:
    into, out = _channels(rng, 600), _channels(rng, 128)
    return Case("fc", ((into,),), (out,), weight_shape=(out, into))


def pool(rng: np.random.Generator, kind: CallKind) -> Case:
    size, made, kernel, stride, pads = _windowed(rng, False, (2, 3))
    channels = _channels(rng, 128)
    if kind == "avg_pool" and rng.random() < 0.4:
        made, kernel, stride, pads = (1, 1), size, size, (0, 0)
    return Case(kind, ((*size, channels),), (*made, channels), kernel, stride, pads=pads)


def pair(rng: np.random.Generator, kind: CallKind) -> Case:
    shape = (*_map(rng), _channels(rng))
    other = (1, 1, shape[2]) if rng.random() < 0.4 else shape
    return Case(kind, (shape, other), shape)


def alike(rng: np.random.Generator, kind: CallKind) -> Case:
    shape = (*_map(rng), _channels(rng))
    return Case(kind, (shape,), shape)


def softmax(rng: np.random.Generator) -> Case:
    shape = (_channels(rng, 120),) if rng.random() < 0.7 else (*_map(rng), _channels(rng, 20))
    return Case("softmax", (shape,), shape)


def concat(rng: np.random.Generator) -> Case:
    size = _map(rng)
    parts = [_channels(rng) for _ in range(int(rng.integers(2, 5)))]
    return Case("concat", tuple((*size, n) for n in parts), (*size, sum(parts)))


def cut(rng: np.random.Generator) -> Case:
    size, channels = _map(rng), _channels(rng)
    inner = (size[0] - int(rng.integers(0, 2)), size[1] - int(rng.integers(0, 2)), int(rng.integers(1, channels + 1)))
    if rng.random() < 0.5:
        inner = (*inner[:2], channels)
    return Case("slice", ((*size, channels),), inner, begin=(0, 0, 0))


def pad(rng: np.random.Generator) -> Case:
    (rows, columns), channels = _map(rng), _channels(rng)
    spare = int(rng.integers(1, 4))
    outer = (rows + 2 * spare, columns + 2 * spare, channels)
    begin: tuple[int, ...] = (spare, spare, 0)
    if rng.random() < 0.4:
        outer, begin = (rows, columns, channels + spare), (0, 0, 0)
    return Case("pad", ((rows, columns, channels),), outer, begin=begin)


def shuffle(rng: np.random.Generator) -> Case:
    places, groups, members = prod(_map(rng)), int(rng.integers(2, 9)), int(rng.integers(2, 17))
    return Case("transpose", ((places, groups, members),), (places, members, groups))


def resize(rng: np.random.Generator, kind: CallKind) -> Case:
    size, channels, times = _map(rng), _channels(rng, 32), int(rng.integers(2, 4))
    return Case(kind, ((*size, channels),), (size[0] * times, size[1] * times, channels))


def _fits(case: Case) -> bool:
    most = max(prod(shape) for shape in (*case.inputs, case.output))
    weights = prod(case.weight_shape)
    work = prod(case.output[:-1]) * weights
    return most <= MOST_BYTES and weights <= MOST_WEIGHTS and work <= MOST_MACS and min(case.output) > 0


def _drawn(make: Callable[[np.random.Generator], Case], count: int, seed: int) -> list[Case]:
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        case = make(rng)
        if _fits(case):
            found.append(case)
    return found


KINDS: tuple[tuple[int, Callable[[np.random.Generator], Case]], ...] = (
    (90, conv),
    (40, lambda rng: conv(rng, row=True)),
    (30, lambda rng: conv(rng, groups=int(rng.choice((2, 3, 4))))),
    (40, pointwise),
    (20, lambda rng: pointwise(rng, step=2)),
    (30, depthwise),
    (30, lambda rng: depthwise(rng, sides=(2, 5, 7))),
    (40, lambda rng: depthwise(rng, times=int(rng.choice((2, 3, 4, 8))))),
    (15, dilated),
    (40, transposed),
    (60, linear),
    (25, lambda rng: pool(rng, "max_pool")),
    (30, lambda rng: pool(rng, "avg_pool")),
    *[(20, lambda rng, kind=kind: pair(rng, kind)) for kind in ("add", "sub", "mul")],
    (12, lambda rng: alike(rng, "relu")),
    (25, softmax),
    (30, concat),
    (30, cut),
    (30, pad),
    (25, shuffle),
    *[(25, lambda rng, kind=kind: resize(rng, kind)) for kind in ("resize_nearest", "resize_linear")],
)
"""How many of each."""

CASES = [case for seed, (count, make) in enumerate(KINDS) for case in _drawn(make, count, seed)]
