"""How often each loop of CMSIS-NN's int8 kernels runs on a core with vector instructions (Helium): 16 values a step.

All convolutions but the depthwise end in one matrix product, four pixels at a time, so they share its prices (section
`conv` of `data/<core>.toml`).
"""

from __future__ import annotations

from targets.geometry import Geometry
from targets.loops import Counts

LANES = 16
BLOCK = 124
"""Channels that a depthwise works through at a time."""


def steps(values: int) -> int:
    """Vector steps over this many values."""
    return -(-values // LANES)


def _product(pixels: int, filters: int, depth: int, times: int = 1) -> Counts:
    """`times` matrix products of `pixels` windows with `filters` filters of `depth` values: by four, then by one."""
    fours, ones = divmod(pixels, 4)
    return {
        "fours": times * fours,
        "four_filters": times * fours * filters,
        "four_steps": times * fours * filters * steps(depth),
        "ones": times * ones,
        "one_filters": times * ones * filters,
        "one_steps": times * ones * filters * steps(depth),
        "one_filters_left": times * ones * (filters % 4),
    }


def conv_1x1(g: Geometry) -> Counts:
    """A product on the map itself; with a stride, one per output row."""
    products, pixels = (1, g.pixels) if g.stride == (1, 1) else g.out_size
    return _product(pixels, g.out_channels, g.channels, products) | {"products_1x1": products, "calls_1x1": 1}


def conv(g: Geometry) -> Counts:
    """im2col of four pixels, then their product; a group is a convolution of its own."""
    channels, filters = g.channels // g.groups, g.out_channels // g.groups
    inside = g.rows * g.columns
    outside = g.pixels * g.taps - inside
    counts = _product(g.pixels, filters, channels * g.taps) | {
        "products": -(-g.pixels // 4),
        "valid_taps": inside,
        "copied_steps": inside * steps(channels),
        "padded_taps": outside,
        "filled_steps": outside * steps(channels),
        "pixels": g.pixels,
        "window_rows": g.pixels * g.kernel[0],
        "output_rows": g.out_size[0],
        "calls": 1,
    }
    return counts if g.groups == 1 else {name: n * g.groups for name, n in counts.items()}


def edges_1xn(g: Geometry) -> tuple[int, int, int] | None:
    """Output columns whose window leaves the row on the left, and on the right, and the odd pad; None: no such kernel.

    The arithmetic of `arm_convolve_1_x_n_s8`, which takes the general kernel where the three parts do not add up.
    """
    out, pad, stride = g.out_size[1], g.pads[1], g.stride[1]
    uneven = ((out - 1) * stride + g.kernel[1] - g.size[1]) % 2
    right = max(1, (pad + uneven + stride - 1) // stride) if pad + uneven else 0
    left = max(1, (pad + stride - 1) // stride) if pad else 0
    return (left, right, uneven) if left + right <= out else None


def conv_1xn(g: Geometry) -> Counts:
    """A row of pixels: those at its ends one by one from a padded copy, the others as one product on the map itself."""
    found = edges_1xn(g)
    if found is None:
        return conv(g)
    edges = found[0] + found[1]
    depth = g.channels * g.kernel[1]
    inner, outer = _product(g.out_size[1] - edges, g.out_channels, depth), _product(1, g.out_channels, depth, edges)
    return {name: n + outer[name] for name, n in inner.items()} | {
        "calls_1xn": 1,
    }


def dw_as_conv(g: Geometry) -> Counts:
    """One input channel and eight filters or more: the weights are transposed for an ordinary convolution."""
    return {"weights_transposed": g.weights} | as_conv(g)


def as_conv(g: Geometry) -> Counts:
    inner = g._replace(kind="conv", multiplier=1)
    return COUNTS_OF[conv_path(inner)](inner)


def conv_path(g: Geometry) -> str:
    """The kernel `arm_convolve_wrapper_s8` takes."""
    plain = g.dilation == (1, 1) and g.groups == 1
    if plain and g.taps == 1 and g.pads == (0, 0):
        return "conv_1x1"
    row = g.size[0] == g.kernel[0] == 1 and g.stride[1] * g.channels % 4 == 0
    return "conv_1xn" if plain and row else "conv"


COUNTS_OF = {"conv": conv, "conv_1x1": conv_1x1, "conv_1xn": conv_1xn}


def dw(g: Geometry) -> Counts:
    """im2col of four pixels, block of channels by block, then four channels at a time."""
    sizes = [min(BLOCK, g.channels - start) for start in range(0, g.channels, BLOCK)]
    blocks, fours, lanes = len(sizes), sum([-(-n // 4) for n in sizes]), sum([steps(n) for n in sizes])
    together, apart = divmod(g.pixels, 4)
    inside = g.rows * g.columns
    outside = g.pixels * g.taps - inside
    return {
        "window_rows": blocks * g.pixels * g.kernel[0],
        "output_rows": blocks * g.out_size[0],
        "valid_taps": blocks * inside,
        "copied_steps": lanes * inside,
        "padded_taps": blocks * outside,
        "filled_steps": lanes * outside,
        "quads": blocks * together,
        "quad_fours": fours * together,
        "quad_four_taps": fours * together * g.taps,
        "ones": blocks * apart,
        "one_fours": fours * apart,
        "one_four_taps": fours * apart * g.taps,
        "calls": 1,
    }


def fc(g: Geometry) -> Counts:
    """Sums of the weights five filters at a time, then the products four at a time."""
    each = steps(g.channels)
    return {
        "fours": g.out_channels // 4,
        "four_steps": g.out_channels // 4 * each,
        "ones": g.out_channels % 4,
        "one_steps": g.out_channels % 4 * each,
        "summed_fives": g.out_channels // 5,
        "summed_five_steps": g.out_channels // 5 * each,
        "summed_ones": g.out_channels % 5,
        "summed_one_steps": g.out_channels % 5 * each,
        "any_fours": int(g.out_channels >= 4),
        "calls": 1,
    }


def max_pool(g: Geometry) -> Counts:
    """A copy of the window's first tap, comparisons with the others, clamps at the end."""
    later = g.rows * g.columns - g.pixels
    return {
        "pixels": g.pixels,
        "copied_steps": g.pixels * steps(g.channels),
        "valid_rows": g.rows * g.out_size[1],
        "later_taps": later,
        "compared_steps": later * steps(g.channels),
        "clamped_steps": steps(g.pixels * g.channels),
        "output_rows": g.out_size[0],
        "calls": 1,
    }


def avg_pool(g: Geometry) -> Counts:
    each = steps(g.channels)
    return {
        "pixels": g.pixels,
        "steps": each * g.pixels,
        "step_rows": each * g.rows * g.out_size[1],
        "step_taps": each * g.rows * g.columns,
        "output_rows": g.out_size[0],
        "calls": 1,
    }


def elements(g: Geometry) -> Counts:
    """Element-wise kernels, four values a step; a broadcast operand takes TFLM's indexed loop."""
    total = g.pixels * g.out_channels
    if g.operands < 2 * total:
        return {"broadcast_elements": total, "calls": 1}
    return {"fours": -(-total // 4), "calls": 1}
