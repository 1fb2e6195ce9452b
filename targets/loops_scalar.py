"""How often each loop of CMSIS-NN's int8 kernels runs on a core without DSP instructions: one value a step."""

from __future__ import annotations

from targets.geometry import Geometry
from targets.loops import Counts, copies, zeros


def conv(g: Geometry) -> Counts:
    """im2col of two pixels, widened to int16, then two pixels x two filters; a group is a convolution of its own."""
    channels, filters = g.channels // g.groups, g.out_channels // g.groups
    depth = channels * g.taps
    pairs, odd = divmod(g.pixels, 2)
    twos, one = divmod(filters, 2)
    inside = g.rows * g.columns
    counts = {
        **matrix_product("2x2", pairs * twos, depth),
        **matrix_product("2x1", pairs * one, depth),
        **matrix_product("1x1", odd * filters, depth),
        **copies(inside, channels),
        **zeros(g.pixels * g.taps - inside, channels),
        "pixels": g.pixels,
        "window_rows": g.pixels * g.kernel[0],
        "values_widened": g.pixels * depth,
        "calls": 1,
    }
    return counts if g.groups == 1 else {name: n * g.groups for name, n in counts.items()}


def conv_1x1(g: Geometry) -> Counts:
    """A matrix product on the map itself; with a stride, one product per output row."""
    products, pixels = (1, g.pixels) if g.stride == (1, 1) else g.out_size
    pairs, odd = divmod(pixels, 2)
    twos, one = divmod(g.out_channels, 2)
    counts = {
        **matrix_product("2x2", pairs * twos, g.channels),
        **matrix_product("1x2", odd * twos, g.channels),
        **matrix_product("odd_filter", pixels * one, g.channels),
        **matrix_product("sums", twos, g.channels),
        "twos_with_pairs": twos if pairs else 0,
        "odd_filters": one,
        "products": 1,
    }
    return {name: n * products for name, n in counts.items()} | {"calls": 1}


def matrix_product(block: str, times: int, depth: int) -> Counts:
    return {f"blocks_{block}": times, f"values_{block}": times * depth}


def fc(g: Geometry) -> Counts:
    """Three filters at a time, value by value."""
    threes, rest = divmod(g.out_channels, 3)
    return {
        "threes": threes,
        "values_x3": threes * g.channels,
        "ones": rest,
        "values_x1": rest * g.channels,
        "calls": 1,
    }


def avg_pool(g: Geometry) -> Counts:
    """Value by value, every tap of the window checked; one division a value."""
    return {
        "pixels": g.pixels,
        "values": g.pixels * g.channels,
        "valid_rows": g.channels * g.rows * g.out_size[1],
        "row_taps": g.channels * g.rows * g.out_size[1] * g.kernel[1],
        "valid_taps": g.channels * g.rows * g.columns,
        "taps": g.channels * g.pixels * g.taps,
        "calls": 1,
    }
