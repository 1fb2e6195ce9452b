"""int8, one definition: the scales and integers that the ONNX file, the `.tflite` file and C code share.

Weights are symmetric per filter in [-127, 127], or in [-7, 7] where they have 4 bits, activations asymmetric per tensor
in [-128, 127], biases int32 with the scale input x weight. `targets.scales` says which activations share a scale, which
zero points are -128 and which scales are 1; a network computes the same integers whichever unit a tensor is counted in.

Scheme: https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from nas.data.feed import feed
from nas.int8.equalize import Encoding, Ranges, equalize, response
from nas.students.candidate import Student
from search_spaces.errors import EngineError
from search_spaces.graph import Graph, Weights
from targets.program import Program
from targets.scales import encoding_of, scheme

IMAGE: Encoding = (1 / 255, -128)
"""Of images fed as pixel / 255: the int8 input is pixel - 128."""

WEIGHT_LIMIT = 127
BIAS_LIMIT = 2**30  # leaves room for the sum of products in the same int32
SMALLEST_MULTIPLIER = 2.0**-24  # input x weight / output; a filter below it does not move an output by one step
BATCH = 128


class QuantizeError(EngineError):
    """A network has no int8 form: a weight, a bias or an activation is not finite."""


@dataclass(frozen=True)
class Quantized:
    """The integers and scales of a program; weights in the graph's order, axis 0 being the filters.

    Attributes:
        scales: float32, one per scale group.
        zero_points: int64, one per scale group.
        weights: int8 by operator.
        biases: int32 by operator.
        weight_scales: float32 by operator, one per filter.
        bias_scales: float32 by operator, one per filter: input scale x weight scale.
    """

    scales: np.ndarray
    zero_points: np.ndarray
    weights: Mapping[str, np.ndarray]
    biases: Mapping[str, np.ndarray]
    weight_scales: Mapping[str, np.ndarray]
    bias_scales: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Grid:
    """A network on its int8 grid: rounded, and where its weights were before that.

    Attributes:
        quantized: the rounded network.
        weights: by operator, float64 in steps of each filter's scale, at most its limit in magnitude.
        unit: per scale group, what 1 there is in the float network's units (of equalized channels).
        limits: by operator, the largest integer of a weight.
    """

    quantized: Quantized
    weights: Mapping[str, np.ndarray]
    unit: np.ndarray
    limits: Mapping[str, int]


def calibrate(
    program: Program,
    graph: Graph,
    weights: Weights,
    images: np.ndarray,
    *,
    encoding: Encoding | None = None,
) -> Ranges:
    """The smallest, the largest and the mean value of every tensor over `images`, channel by channel.

    Args:
        images: `N x C x H x W` (or `N x F`): uint8 pixels, or floats as they are (`nas.data.feed.feed`).
        encoding: the input's scale and zero point. Pixels have `IMAGE`; floats without one are calibrated.
    """
    if images.dtype == np.uint8:
        encoding = encoding or IMAGE
    x = torch.tensor(feed(images))
    low: dict[str, np.ndarray] = {}
    high: dict[str, np.ndarray] = {}
    mean: dict[str, np.ndarray] = {}
    student = Student(graph, weights).eval()
    names = dict.fromkeys(activation.tensor for activation in program.activations)
    for part in x.split(BATCH):
        for name, values in student.tensors(part, names).items():
            axes = [axis for axis in range(values.ndim) if axis != 1]
            seen = (statistic(values, axes) for statistic in (torch.amin, torch.amax, torch.mean))
            smallest, largest, average = (values.double().numpy() for values in seen)
            low[name] = np.minimum(low.get(name, smallest), smallest)
            high[name] = np.maximum(high.get(name, largest), largest)
            mean[name] = mean.get(name, 0) + average * (len(part) / len(x))
    return Ranges(low, high, mean, encoding)


def quantize(program: Program, weights: Weights, ranges: Ranges) -> Quantized:
    """The int8 form of a network.

    Raises:
        QuantizeError: a weight, a bias or an activation is not finite.
    """
    return on_grid(program, weights, ranges).quantized


def on_grid(program: Program, weights: Weights, ranges: Ranges, *, limit: int = WEIGHT_LIMIT) -> Grid:
    """A network and its int8 form: channels equalized (`nas.int8.equalize`), and biases corrected for rounded weights.

    Rounding a filter's weights shifts its mean output; the bias takes that back, from the mean of every input channel
    (arXiv:1906.04721, section 4.2). On the networks of `nas.int8.equalize` that lowers the error of the logits by a
    quarter.

    Args:
        limit: the largest integer of a weight, where its bits (`Call.weight_bits`) hold it: 7 is what four hold.

    Raises:
        QuantizeError: a weight, a bias or an activation is not finite.
    """
    for name, value in (*weights.items(), *ranges.low.items(), *ranges.high.items()):
        if not np.isfinite(value).all():
            raise QuantizeError(f"values must be finite to be quantized, {name!r} has NaN or infinity")
    weights, ranges = equalize(program, weights, ranges)
    facts = scheme(program)
    physical, zero_points = _activations(program, ranges, facts.rectified)
    unit = np.array([1.0 if reference is None else physical[reference] for reference in facts.unit])
    scales = (physical / unit).astype(np.float32)
    found: tuple[dict[str, np.ndarray], ...] = ({}, {}, {}, {})
    unrounded, limits = {}, {}
    for call in program.calls:
        if call.op is None or not call.weight_shape:
            continue
        source, to = (program.by_name[name].scale_group for name in (call.inputs[0], call.output))
        weight = weights[f"{call.op}.weight"] * (unit[source] / unit[to])
        bias = weights[f"{call.op}.bias"] / unit[to]
        mean = ranges.mean[program.by_name[call.inputs[0]].tensor] / unit[source]
        if call.kind == "transpose_conv":  # of its taps, one in every stride meets an output
            mean = mean / prod(call.stride)
        limits[call.op] = min(limit, 2 ** (call.weight_bits - 1) - 1)
        arrays = quantize_filters(weight, bias, mean, scales[source], scales[to], limit=limits[call.op])
        for place, array in zip(found, arrays, strict=True):
            place[call.op] = array
        unrounded[call.op] = weight / _along_filters(found[2][call.op], weight)
    return Grid(Quantized(scales, zero_points, *found), unrounded, unit, limits)


def _activations(program: Program, ranges: Ranges, rectified: tuple[bool, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Every group's scale in the float network's units, and its zero point."""
    encodings: list[Encoding] = []
    for group, never_negative in enumerate(rectified):
        members = [activation for activation in program.activations if activation.scale_group == group]
        encoding = members[0].fixed
        if ranges.encoding and any(activation.name == program.input for activation in members):
            encoding = ranges.encoding
        low = 0.0 if never_negative else min(0.0, *[float(ranges.low[a.tensor].min()) for a in members])
        high = max(0.0, *[float(ranges.high[a.tensor].max()) for a in members])
        encodings.append(encoding or encoding_of(low, high))
    scales, zero_points = zip(*encodings, strict=True)
    return np.array(scales), np.array(zero_points, np.int64)


def quantize_filters(
    weight: np.ndarray,
    bias: np.ndarray,
    mean: np.ndarray,
    input_scale: np.float32,
    output_scale: np.float32,
    *,
    limit: int = WEIGHT_LIMIT,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """int8 weights, int32 biases, weight scales and bias scales of filters along axis 0; weights and biases float64.

    A filter's scale is its largest magnitude / `limit`. It is raised where that is too small to matter, zero filters
    included: where no input could move an output by one step, or where the bias would not fit int32.

    Args:
        mean: of every input channel; biases take back what rounding the weights adds there.
    """
    scale = np.abs(weight).reshape(len(weight), -1).max(1) / limit
    scale = np.maximum(scale, SMALLEST_MULTIPLIER * float(output_scale) / float(input_scale))
    scale = np.maximum(scale, np.abs(bias) / (float(input_scale) * BIAS_LIMIT)).astype(np.float32)
    bias_scale = scale * input_scale
    steps = _along_filters(scale, weight)
    weights = np.clip(np.rint(weight / steps), -limit, limit)
    shift = response(weights * steps - weight, mean)
    biases = np.rint((bias - shift) / bias_scale.astype(np.float64))
    return weights.astype(np.int8), biases.astype(np.int32), scale, bias_scale


def packed(integers: np.ndarray) -> np.ndarray:
    """Integers of 4 bits two in a byte, the first in its lower half, as TFLite and ONNX have them; an odd one has 0."""
    halves = np.append(integers.ravel(), np.zeros(integers.size % 2, np.int8)).astype(np.uint8) & 15
    return halves[::2] | halves[1::2] << 4


def _along_filters(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """One value per filter as float64, to be multiplied with a weight."""
    return values.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
