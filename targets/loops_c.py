"""How often each loop of generated C's kernels runs, where they are others than TFLM's (`targets.kernels`).

Convolutions are CMSIS-NN 4.0.0's, whose unrolling of windows is older; linear layers, element-wise kernels, tables,
copies and transposed convolutions are those in `nas/deploy/c`. Names are those of the prices in
`data/generated_c_<core>.toml`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from targets.geometry import Geometry
from targets.loops import Counts, misaligned, zeros
from targets.loops_dsp import matrix_product as words_product
from targets.loops_mve import steps
from targets.loops_scalar import matrix_product as values_product

LANES_4X, LANES_PADDED = 16, 8
"""Values a step of Helium's two matrix products of four windows: the second one where a window reaches over an edge."""


def conv_dsp(g: Geometry) -> Counts:
    """Windows unrolled tap by tap, widened to int16, then two pixels x two filters."""
    words, rest = divmod(g.channels, 4)
    inside = g.rows * g.columns
    return {
        **two_windows(g, words_product),
        "words_widened": inside * words,
        "any_words_widened": inside * (words > 0),
        "values_widened": inside * rest,
        "any_values_widened": inside * (rest > 0),
        **misaligned("widened", inside * words, rest),
    }


def conv_scalar(g: Geometry) -> Counts:
    """The same value by value."""
    inside = g.rows * g.columns
    return {
        **two_windows(g, values_product),
        "values_widened": inside * g.channels,
    }


def two_windows(g: Geometry, matrix_product: Callable[[str, int, int], Counts]) -> Counts:
    """What both have: every tap written or filled with zeros, and products of two pixels x two filters."""
    depth = g.channels * g.taps
    pairs, odd = divmod(g.pixels, 2)
    twos, one = divmod(g.out_channels, 2)
    inside = g.rows * g.columns
    return {
        **matrix_product("2x2", pairs * twos, depth),
        **matrix_product("2x1", pairs * one, depth),
        **matrix_product("1x1", odd * g.out_channels, depth),
        **zeros(g.pixels * g.taps - inside, 2 * g.channels),
        "valid_taps": inside,
        "window_rows": g.pixels * g.kernel[0],
        "pixels": g.pixels,
        "pairs": pairs,
        "odd_pixels": odd,
        "calls": 1,
    }


def conv_mve(g: Geometry) -> Counts:
    """Four windows at a time; where one of them is padded, and for those left over, by a slower product."""
    depth = g.channels * g.taps
    inside = g.rows * g.columns
    outside = g.pixels * g.taps - inside
    whole = [r == g.kernel[0] and c == g.kernel[1] for r, c in product(g.windows(0), g.windows(1))]
    quads, left = divmod(g.pixels, 4)
    fast = sum([all(whole[4 * k : 4 * k + 4]) for k in range(quads)])
    filters, each = g.out_channels, -(-depth // LANES_PADDED)
    return {
        "fours": fast,
        "four_filters": fast * filters,
        "four_steps": fast * filters * steps(depth),
        "padded_fours": quads - fast,
        "padded_filters": (quads - fast) * filters,
        "padded_steps": (quads - fast) * filters * each,
        "ones": left,
        "one_filters": left * filters,
        "one_steps": left * filters * each,
        "valid_taps": inside,
        "copied_steps": inside * steps(g.channels),
        "padded_taps": outside,
        "filled_steps": outside * steps(g.channels),
        "window_rows": g.pixels * g.kernel[0],
        "pixels": g.pixels,
        "output_rows": g.out_size[0],
        "calls": 1,
    }


def conv_grouped(g: Geometry) -> Counts:
    """One output at a time, over the taps that lie on the map."""
    depth = g.channels // g.groups
    valid = g.rows * g.columns * g.out_channels
    inner = g.rows * g.out_size[1] * g.kernel[1] * g.out_channels
    return {
        "outputs": g.pixels * g.out_channels,
        "window_rows": g.pixels * g.kernel[0] * g.out_channels,
        "taps": g.pixels * g.taps * g.out_channels,
        "taps_of_rows": inner,
        "valid_taps": valid,
        **_values(valid, depth),
        "output_rows": g.out_size[0],
        "pixels": g.pixels,
        "calls": 1,
    }


def dw_any(g: Geometry) -> Counts:
    """One output value at a time; a dilated one divides to find its first and last taps."""
    outputs = g.pixels * g.out_channels
    return {
        "outputs": outputs,
        "channel_pixels": g.pixels * g.channels,
        "pixels": g.pixels,
        "dilated": outputs * sum([step > 1 for step in g.dilation]),
        "window_rows": g.out_channels * g.rows * g.out_size[1],
        "valid_taps": g.out_channels * g.rows * g.columns,
        "output_rows": g.out_size[0],
        "calls": 1,
    }


def transpose_conv(g: Geometry) -> Counts:
    """One output at a time; taps between the input's pixels are looked at too."""
    met = [_met(g, axis) for axis in (0, 1)]
    within = met[0][0] * met[1][0] * g.out_channels
    valid = met[0][1] * met[1][1] * g.out_channels
    return {
        "outputs": g.pixels * g.out_channels,
        "window_rows": g.pixels * g.kernel[0] * g.out_channels,
        "taps": g.pixels * g.taps * g.out_channels,
        "taps_of_rows": met[0][0] * g.out_size[1] * g.kernel[1] * g.out_channels,
        "taps_within": within,
        "taps_on_a_row": met[0][1] * met[1][0] * g.out_channels,
        "valid_taps": valid,
        **_values(valid, g.channels),
        "output_rows": g.out_size[0],
        "pixels": g.pixels,
        "calls": 1,
    }


def _met(g: Geometry, axis: int) -> tuple[int, int]:
    """Taps along an axis, summed over the outputs: those within the input, and those on one of its pixels."""
    size, stride = g.size[axis], g.stride[axis]
    at = [place + g.pads[axis] - tap for place in range(g.out_size[axis]) for tap in range(g.kernel[axis])]
    within = [k for k in at if k >= 0 and k // stride < size]
    return len(within), sum([k % stride == 0 for k in within])


def _values(times: int, depth: int) -> Counts:
    """A loop over values; steps where the compiler makes vectors of it."""
    return {"values": times * depth, "steps": times * (depth // 16), "left_over": times * (depth % 16)}


def fc(g: Geometry) -> Counts:
    """Two filters at a time, four values a step with DSP instructions."""
    twos, one = divmod(g.out_channels, 2)
    words, rest = divmod(g.channels, 4)
    return {
        "twos": twos,
        "words": twos * words,
        "any_words": twos * (words > 0),
        "rest": twos * rest,
        "any_rest": twos * (rest > 0),
        **misaligned("words", twos * words, rest),
        "ones": one,
        **{f"one_{name}": times for name, times in _values(one, g.channels).items()},
        **{f"two_{name}": times for name, times in _values(twos, g.channels).items()},
        "calls": 1,
    }


def pair(g: Geometry) -> Counts:
    """Element by element; a broadcast operand makes a row of every place."""
    total = g.pixels * g.out_channels
    return {"elements": total, "rows": 1 if g.operands == 2 * total else g.pixels, "calls": 1}


def lookup(g: Geometry) -> Counts:
    """A table's answer for each value."""
    return {"elements": g.pixels * g.out_channels, "calls": 1}


def softmax(g: Geometry) -> Counts:
    """Row by row: the maximum, the sum of exponentials, the quotients."""
    return {"elements": g.pixels * g.out_channels, "rows": g.pixels, "calls": 1}


def concat(g: Geometry) -> Counts:
    """A copy of each part, place by place."""
    return _copy(g.parts * g.out_size[0], g.parts * g.pixels, g.pixels * g.out_channels, g.parts)


def cut(g: Geometry) -> Counts:
    """A copy of a part of the map: at once, row by row or place by place."""
    return _box(g, g.channels == g.out_channels, g.size[1] == g.out_size[1], g.out_size, g.out_channels)


def pad(g: Geometry) -> Counts:
    """The whole filled, then a copy into it."""
    made = _box(g, g.channels == g.out_channels, g.size[1] == g.out_size[1], g.size, g.channels)
    return {**made, "filled": g.pixels * g.out_channels, "fill_steps": steps(g.pixels * g.out_channels)}


def _box(g: Geometry, whole_places: bool, whole_rows: bool, size: tuple[int, int], channels: int) -> Counts:
    rows, places = size[0], size[0] * size[1]
    if whole_places:
        places = rows = 1 if whole_rows else rows
    return _copy(rows, places, size[0] * size[1] * channels, 1)


def _copy(rows: int, places: int, bytes_: int, calls: int) -> Counts:
    return {"rows": rows, "places": places, "bytes": bytes_, "steps": places * steps(bytes_ // places), "calls": calls}


def transpose(g: Geometry) -> Counts:
    """Byte by byte, in runs of as many as there are groups."""
    return {"bytes": g.pixels * g.out_channels, "runs": g.pixels, "places": g.out_size[0], "calls": 1}


def resize(g: Geometry) -> Counts:
    """Pixel by pixel, from one or from four of the input's."""
    return {
        "bytes": g.pixels * g.out_channels, "steps": g.pixels * steps(g.out_channels), "pixels": g.pixels,
        "rows": g.out_size[0], "calls": 1,
    }  # fmt: skip


def nothing(g: Geometry) -> Counts:
    """A reshape is the same bytes by another name."""
    del g
    return {}
