"""What one kernel call executes: which CMSIS-NN code path, how often each of its loops runs, and what that costs.

A path's cost is a sum of loop counts, each with a price in cycles and in loads from the weights. The counts follow the
loop structure of CMSIS-NN's int8 kernels (an innermost step takes four values; convolutions go two pixels by two
channels), so the shapes that run badly (channels or kernels that are no multiple of 4, odd channel or pixel counts)
are seen. The prices lie in `data/<core>.toml` with their source and error; memory traffic of a board is `latency`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from pathlib import Path
from typing import NamedTuple

from targets.program import Call, CallKind

DATA = Path(__file__).parent / "data"


class Geometry(NamedTuple):
    """All that a call's cost depends on: equal geometries cost the same, whatever the names and the weights.

    Attributes:
        kind: the kernel.
        size, out_size: `(height, width)` of the first input and of the output; 1 x 1 for features.
        channels, out_channels: of the first input and of the output.
        pads: `(top, left)`; what lies below and right follows from the sizes.
        groups: of a convolution; a depthwise has 1 and a `multiplier`.
        operands: elements of all inputs together (a broadcast operand is smaller than the output).
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

    @property
    def pixels(self) -> int:
        return self.out_size[0] * self.out_size[1]

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def weights(self) -> int:
        """Int8 weights of the call."""
        if self.kind in ("conv", "fc"):
            return self.out_channels * self.channels // self.groups * self.taps
        return self.out_channels * self.taps if self.kind == "dw" else 0

    @property
    def filters(self) -> int:
        """Filters with a bias and a scale each; 0 without weights."""
        return self.out_channels if self.kind in ("conv", "dw", "fc") else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of conv, depthwise and fully connected calls; padded taps count, as is the custom."""
        return self.pixels * self.weights

    @property
    def valid_taps(self) -> tuple[int, int]:
        """Window rows and window columns that lie on the input, each summed over all output positions of its axis."""
        rows, columns = (
            _inside(self.size[k], self.out_size[k], self.kernel[k], self.stride[k], self.dilation[k], self.pads[k])
            for k in (0, 1)
        )
        return rows, columns


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
    )


@cache
def _inside(size: int, out: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    return sum(0 <= k * stride - pad + tap * dilation < size for k in range(out) for tap in range(kernel))


def path(shape: Geometry) -> str:
    """The code path CMSIS-NN's wrapper takes (`arm_convolve_wrapper_s8`, `arm_depthwise_conv_wrapper_s8`)."""
    plain = shape.dilation == (1, 1)
    if shape.kind == "conv":
        return "conv_1x1" if shape.taps == 1 and plain and shape.pads == (0, 0) and shape.groups == 1 else "conv"
    if shape.kind == "dw":
        if shape.multiplier > 1 or not plain:
            return "dw_any" if shape.multiplier % 4 else "dw_by_4"
        return "dw_3x3" if shape.kernel == (3, 3) and max(shape.pads) <= 1 else "dw"
    return shape.kind


def _conv(g: Geometry) -> dict[str, int]:
    """im2col of two pixels at a time, then two pixels x two channels; a group is a convolution of its own."""
    channels, out_channels = g.channels // g.groups, g.out_channels // g.groups
    depth = channels * g.taps
    pairs, odd = divmod(g.pixels, 2)
    rows, columns = g.valid_taps
    inside = rows * columns
    outside = g.pixels * g.taps - inside
    counts = _products(pairs, odd, out_channels, depth) | {
        "valid_taps": inside,
        "padded_taps": outside,
        "words_copied": inside * (channels // 4),
        "bytes_copied": inside * (channels % 4),
        "bytes_zeroed": outside * channels,
        "pixels": g.pixels,
        "calls": 1,
    }
    return counts if g.groups == 1 else {name: n * g.groups for name, n in counts.items()}


def _conv_1x1(g: Geometry) -> dict[str, int]:
    """A matrix product on the map itself, sixteen values a step; with a stride, one product per output row."""
    products, pixels = (1, g.pixels) if g.stride == (1, 1) else g.out_size
    pairs, odd = divmod(pixels, 2)
    depth, twos = g.channels, g.out_channels // 2
    counts = _products(pairs, odd, g.out_channels, depth) | {
        "steps_of_16": pairs * twos * (depth // 16),
        "words_2x2": pairs * twos * (depth % 16 // 4),
        "row_sums": twos * depth,
        "odd_row_sums": g.out_channels % 2 * depth,
        "filters": g.out_channels,
        "calls": 1,
    }
    return {name: n * products for name, n in counts.items()}


def _products(pairs: int, odd: int, out_channels: int, depth: int) -> dict[str, int]:
    """Loop counts of a product of `2 * pairs + odd` pixels with `out_channels` filters of `depth` values."""
    words, tail = divmod(depth, 4)
    twos, one = divmod(out_channels, 2)
    return {
        "words_2x2": pairs * twos * words,
        "tail_2x2": pairs * twos * tail,
        "blocks_2x2": pairs * twos,
        "words_2x1": pairs * one * words,
        "tail_2x1": pairs * one * tail,
        "blocks_2x1": pairs * one,
        "words_1x1": odd * out_channels * words,
        "tail_1x1": odd * out_channels * tail,
        "blocks_1x1": odd * out_channels,
        "misaligned_words": pairs * twos * words if tail else 0,
    }


def _dw_3x3(g: Geometry) -> dict[str, int]:
    """Four channels at a time, straight from the map, over the taps that lie on it."""
    fours, rest = divmod(g.channels, 4)
    rows, columns = g.valid_taps
    taps = rows * columns
    return {
        "pixels": g.pixels,
        "fours": fours * g.pixels,
        "four_taps": fours * taps,
        "ones": rest * g.pixels,
        "one_rows": rest * rows * g.out_size[1],
        "one_taps": rest * taps,
        "misaligned_taps": fours * taps if rest else 0,
        "calls": 1,
    }


def _dw(g: Geometry) -> dict[str, int]:
    """im2col of one pixel, then four channels at a time over all taps."""
    fours, rest = divmod(g.channels, 4)
    rows, columns = g.valid_taps
    inside = rows * columns
    outside = g.pixels * g.taps - inside
    return {
        "pixels": g.pixels,
        "valid_taps": inside,
        "padded_taps": outside,
        "words_copied": inside * fours,
        "bytes_copied": inside * rest,
        "bytes_zeroed": outside * g.channels,
        "fours": fours * g.pixels,
        "four_tap_pairs": fours * g.pixels * (g.taps // 2),
        "ones": rest * g.pixels,
        "one_taps": rest * g.pixels * g.taps,
        "misaligned_taps": fours * g.pixels * (g.taps // 2) if rest else 0,
        "calls": 1,
    }


def _dw_multiplied(g: Geometry) -> dict[str, int]:
    """Several outputs per input channel: one input value against all its filters."""
    rows, columns = g.valid_taps
    return {
        "pixels": g.pixels,
        "channel_pixels": g.channels * g.pixels,
        "channel_rows": g.channels * rows * g.out_size[1],
        "outputs": g.out_channels * g.pixels,
        "output_taps": g.out_channels * rows * columns,
        "calls": 1,
    }


def _fc(g: Geometry) -> dict[str, int]:
    words, tail = divmod(g.channels, 4)
    twos, one = divmod(g.out_channels, 2)
    return {
        "words_x2": twos * words,
        "tail_x2": twos * tail,
        "twos": twos,
        "words_x1": one * words,
        "tail_x1": one * tail,
        "ones": one,
        "calls": 1,
    }


def _pool(g: Geometry) -> dict[str, int]:
    fours, rest = divmod(g.channels, 4)
    rows, columns = g.valid_taps
    taps = rows * columns
    return {
        "four_taps": fours * taps,
        "one_taps": rest * taps,
        "fours": fours * g.pixels,
        "ones": rest * g.pixels,
        "taps": taps,
        "pixels": g.pixels,
        "calls": 1,
    }


def _elements(g: Geometry) -> dict[str, int]:
    """Element-wise kernels; a broadcast operand (fewer elements than outputs) takes TFLM's indexed loop."""
    total = g.pixels * g.out_channels
    if g.operands < 2 * total:
        return {"broadcast_elements": total, "calls": 1}
    fours, rest = divmod(total, 4)
    return {"fours": fours, "ones": rest, "calls": 1}


def _bytes(g: Geometry) -> dict[str, int]:
    return {"bytes_written": g.pixels * g.out_channels, "calls": 1}


COUNTS: dict[str, Callable[[Geometry], dict[str, int]]] = {
    "conv": _conv,
    "conv_1x1": _conv_1x1,
    "dw_3x3": _dw_3x3,
    "dw": _dw,
    "dw_by_4": _dw_multiplied,
    "dw_any": _dw_multiplied,
    "fc": _fc,
    "max_pool": _pool,
    "avg_pool": _pool,
    "add": _elements,
    "sub": _elements,
    "mul": _elements,
    "softmax": _bytes,
    "logistic": _bytes,
    "tanh": _bytes,
    "relu": _bytes,
    "leaky_relu": _bytes,
    "hard_swish": _bytes,
    "requantize": _bytes,
    "concat": _bytes,
    "slice": _bytes,
    "pad": _bytes,
    "reshape": _bytes,
    "transpose": _bytes,
    "resize_nearest": _bytes,
    "resize_linear": _bytes,
}
"""How often each loop of a path runs; the prices of `data/<core>.toml` carry the same names."""
