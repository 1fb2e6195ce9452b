"""Channels of one tensor brought to like ranges before they share a scale, without changing what the network computes.

A filter has a scale of its own, an activation has one for all its channels, and a channel that is small beside the
others keeps few of the 256 values. But a channel may be multiplied by any positive number if the filter that makes it
is multiplied too and the weights that read it are divided: ReLU, pools and padding do not mind, and a ReLU6 is the
saturation of int8 (`targets.scales`). Before a depthwise convolution this is free, its filters each read one channel.
Elsewhere it trades steps of the activation for steps of the weights, and the square root is the balance.

Measured on MobileNetV1 x0.125 and x0.25 trained on Fashion-MNIST, mean squared error of the int8 logits over their
variance: 0.0041 and 0.0010 without, about 0.0011 and 0.0006 with; clipping the seen ranges made it worse.

Reference: cross-layer equalization, arXiv:1906.04721, which measures ranges of weights; here activations are measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search_spaces.graph import Weights
from targets.program import Call, Program
from targets.scales import scheme

Encoding = tuple[float, int]
"""Scale and zero point of the input."""

DEPTHWISE_POWER, POWER = 1.0, 0.5  # how far ranges are brought together: 0 not at all, 1 all the way
LIMIT = 64.0  # the largest factor: a channel that calibration hardly saw may hold more later
WEIGHTED = frozenset({"conv", "dw", "fc", "transpose_conv"})
PASSING = frozenset({"max_pool", "avg_pool", "pad", "reshape", "crop"})


@dataclass(frozen=True)
class Ranges:
    """What every tensor of a graph was seen to hold.

    Attributes:
        low, high, mean: by tensor, float64, one per channel or feature, in the float network's units.
        encoding: the input's fixed scale and zero point; None where its range counts like any other.
    """

    low: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    mean: dict[str, np.ndarray]
    encoding: Encoding | None


def equalize(program: Program, weights: Weights, ranges: Ranges) -> tuple[dict[str, np.ndarray], Ranges]:
    """Weights (float64) of an equal network, and its ranges."""
    changed = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    low, high, mean = dict(ranges.low), dict(ranges.high), dict(ranges.mean)
    readers: dict[str, list[Call]] = {}
    for call in program.calls:
        for name in dict.fromkeys(call.inputs):
            readers.setdefault(name, []).append(call)
    for call, fused in zip(program.calls, scheme(program).fused, strict=True):
        if call.kind not in WEIGHTED or fused == "relu6" or call.fused == "clip":
            continue
        reach = _reach(program, call.output, readers)
        if reach is None:
            continue
        names, ends = reach
        tensor = program.by_name[call.output].tensor
        peak = np.maximum(high[tensor], -low[tensor])
        power = DEPTHWISE_POWER if all(end.kind == "dw" for end in ends) else POWER
        factor = factors(peak, power)
        changed[f"{call.op}.weight"] = _per_filter(changed[f"{call.op}.weight"], factor)
        changed[f"{call.op}.bias"] = changed[f"{call.op}.bias"] * factor
        for end in ends:
            changed[f"{end.op}.weight"] = divided(changed[f"{end.op}.weight"], factor)
        for tensor in {program.by_name[name].tensor for name in names}:
            spread = np.repeat(factor, len(high[tensor]) // len(factor))
            for statistic in (low, high, mean):
                statistic[tensor] = statistic[tensor] * spread
    return changed, Ranges(low, high, mean, ranges.encoding)


def factors(peak: np.ndarray, power: float) -> np.ndarray:
    """One factor in [1, LIMIT] per channel, 1 for the largest; channels never seen are left alone."""
    seen = np.where(peak > 0, peak, peak.max())
    return np.minimum((peak.max() / seen) ** power, LIMIT) if peak.max() > 0 else np.ones_like(peak)


def divided(weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """A weight of any kind whose input channels are divided by `factor`."""
    parts = by_channel(weight, len(factor))
    return (parts / factor.reshape(len(parts), 1, -1, 1)).reshape(weight.shape)


def response(weight: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """What filters along axis 0 give on average for input channels of these means, borders left aside."""
    parts = by_channel(weight, len(mean))
    return (parts.sum(3) * mean.reshape(len(parts), 1, -1)).sum(2).ravel()


def by_channel(weight: np.ndarray, channels: int) -> np.ndarray:
    """A weight as groups x filters of a group x channels of a group x taps.

    Conv of any groups `O x I/groups x KH x KW`, affine `C`, or linear `O x I`, where a flatten puts the positions of a
    channel side by side.
    """
    depth = 1 if weight.ndim == 1 else channels if weight.ndim == 2 else weight.shape[1]
    groups = channels // depth
    return weight.reshape(groups, len(weight) // groups, depth, -1)


def _per_filter(weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))


def _reach(program: Program, name: str, readers: dict[str, list[Call]]) -> tuple[list[str], list[Call]] | None:
    """The activations that hold the channels of `name`, and the calls whose weights read them.

    None if something else depends on the channels' sizes: an output, an operator without weights, a shared scale.
    """
    names, ends = [name], []
    for held in names:
        if held in program.outputs:
            return None
        for call in readers.get(held, ()):
            if call.kind in WEIGHTED:
                ends.append(call)
            elif call.kind in PASSING:
                names.append(call.output)
            else:
                return None
    group = program.by_name[name].scale_group
    alone = all(a.name in names for a in program.activations if a.scale_group == group)
    return (names, ends) if alone else None
