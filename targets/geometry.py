"""The shape of one kernel call: sizes, window, and which taps of the window lie on the input."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import NamedTuple

from targets.program import Call, CallKind


class Geometry(NamedTuple):
    """All that a call's cost depends on: equal geometries cost the same, whatever the names and the weights.

    Attributes:
        kind: the kernel.
        size, out_size: `(height, width)` of the first input and of the output; 1 x 1 for features.
        channels, out_channels: of the first input and of the output.
        pads: `(top, left)`; what lies below and right follows from the sizes.
        groups: of a convolution; a depthwise has 1 and a `multiplier`.
        operands: elements of all inputs together (a broadcast operand is smaller than the output).
        parts: how many inputs.
        weight_bits: of a stored weight.
    """

    kind: CallKind
    size: tuple[int, int]
    channels: int
    out_size: tuple[int, int]
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    groups: int = 1
    multiplier: int = 1
    operands: int = 0
    parts: int = 1
    weight_bits: int = 8

    @property
    def pixels(self) -> int:
        return self.out_size[0] * self.out_size[1]

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def weights(self) -> int:
        """Weights of the call."""
        if self.kind in ("conv", "fc", "transpose_conv"):
            return self.out_channels * self.channels // self.groups * self.taps
        return self.out_channels * self.taps if self.kind == "dw" else 0

    @property
    def filters(self) -> int:
        """Filters with a bias and a scale each; 0 without weights."""
        return self.out_channels if self.kind in ("conv", "dw", "fc", "transpose_conv") else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of calls with weights; padded taps count, as is the custom.

        A filter of a transposed convolution meets every input pixel, any other makes every output pixel.
        """
        return (prod(self.size) if self.kind == "transpose_conv" else self.pixels) * self.weights

    @property
    def rows(self) -> int:
        """Window rows that lie on the input, summed over the output rows."""
        return sum(self.windows(0))

    @property
    def columns(self) -> int:
        """Window columns that lie on the input, summed over the output columns."""
        return sum(self.windows(1))

    def windows(self, axis: int) -> tuple[int, ...]:
        """Taps on the input along an axis (0: rows, 1: columns), for each output position."""
        return _inside(
            self.size[axis], self.out_size[axis], self.kernel[axis], self.stride[axis], self.dilation[axis],
            self.pads[axis],
        )  # fmt: skip

    def starts(self, axis: int) -> range:
        """Where each output position's window begins along an axis; negative on padding."""
        step = self.stride[axis]
        return range(-self.pads[axis], self.out_size[axis] * step - self.pads[axis], step)


def geometry(call: Call, inputs: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> Geometry:
    """The geometry of a call whose activations have these shapes (`Activation.shape`)."""
    first = inputs[0]
    channels = first[-1]
    return Geometry(
        call.kind,
        (first[0], first[1]) if len(first) == 3 else (1, 1),
        channels,
        (output[0], output[1]) if len(output) == 3 else (1, 1),
        output[-1],
        call.kernel,
        call.stride,
        call.dilation,
        call.pads[:2],
        channels // call.weight_shape[-1] if call.kind == "conv" else 1,
        call.channel_multiplier,
        sum(map(prod, inputs)),
        len(inputs),
        call.weight_bits,
    )


def scattered(shape: Geometry) -> Geometry:
    """The convolution that makes all products of a transposed one: each input pixel against each tap of each filter."""
    products = shape.out_channels * shape.taps
    return shape._replace(
        kind="conv", out_size=shape.size, out_channels=products, kernel=(1, 1), stride=(1, 1), pads=(0, 0)
    )  # fmt: skip


def upscaled(shape: Geometry) -> Geometry:
    """The convolution that a transposed one is, of its input with the pixels set a stride apart."""
    (height, width), (down, across), (top, left) = shape.size, shape.stride, shape.pads
    pads = (shape.kernel[0] - 1 - top, shape.kernel[1] - 1 - left)
    return shape._replace(kind="conv", size=(height * down, width * across), stride=(1, 1), pads=pads)


@cache
def _inside(size: int, out: int, kernel: int, stride: int, dilation: int, pad: int) -> tuple[int, ...]:
    return tuple(
        [sum([0 <= k * stride - pad + tap * dilation < size for tap in range(kernel)]) for k in range(out)]
    )  # fmt: skip
