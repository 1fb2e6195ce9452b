"""How often each loop of CMSIS-NN's int8 kernels runs on a core with DSP instructions.

An innermost step takes four values, convolutions go two pixels by two filters. `..._left_N` stands for "N are left
over": compilers unroll such loops, and three steps then do not cost three times one.
"""

from __future__ import annotations

from targets.geometry import Geometry
from targets.loops import Counts, copies, misaligned, zeros


def conv(g: Geometry) -> Counts:
    """im2col of two pixels, widened to int16, then two pixels x two filters; a group is a convolution of its own."""
    channels, filters = g.channels // g.groups, g.out_channels // g.groups
    depth = channels * g.taps
    pairs, odd = divmod(g.pixels, 2)
    twos, one = divmod(filters, 2)
    inside = g.rows * g.columns
    outside = g.pixels * g.taps - inside
    words, rest = divmod(depth, 4)
    counts = {
        **matrix_product("2x2", pairs * twos, depth),
        **matrix_product("2x1", pairs * one, depth),
        **matrix_product("1x1", odd * filters, depth),
        **copies(inside, channels),
        **zeros(outside, channels),
        "valid_rows": g.rows * g.out_size[1],
        "pixels": g.pixels,
        "words_widened": g.pixels * words,
        "steps_widened": g.pixels * (depth // 16),
        "tails_widened": g.pixels * (rest > 0),
        "pairs": pairs,
        "odd_pixels": odd,
        "calls": 1,
    }
    return counts if g.groups == 1 else {name: n * g.groups for name, n in counts.items()}


def matrix_product(block: str, times: int, depth: int) -> Counts:
    """A block of pixels x filters over `depth` values."""
    words, rest = divmod(depth, 4)
    return {
        f"blocks_{block}": times,
        f"words_{block}": times * words,
        f"any_words_{block}": times * (words > 0),
        f"tail_{block}": times * rest,
        f"any_tail_{block}": times * (rest > 0),
        **misaligned(f"words_{block}", times * words, rest),
    }


def conv_1x1(g: Geometry) -> Counts:
    """A matrix product on the map itself, sixteen values a step; with a stride, one product per output row."""
    products, pixels = (1, g.pixels) if g.stride == (1, 1) else g.out_size
    pairs, odd = divmod(pixels, 2)
    depth = g.channels
    twos, one = divmod(g.out_channels, 2)
    counts = {
        **_unrolled("2x2", pairs * twos, depth),
        **_unrolled("1x2", odd * twos, depth),
        "twos_with_pairs": twos if pairs else 0,
        **_eights("sums", twos, depth),
        **_eights("odd_filter", pixels * one, depth),
        "odd_filters": one,
        "products": 1,
    }
    return {name: n * products for name, n in counts.items()} | {"calls": 1}


def _unrolled(block: str, times: int, depth: int) -> Counts:
    """A block over `depth` values in steps of 16, then of 4, then of 1."""
    steps, rest = divmod(depth, 16)
    words, tail = divmod(rest, 4)
    return {
        f"blocks_{block}": times,
        f"steps_{block}": times * steps,
        f"any_steps_{block}": times * (steps > 0),
        f"any_words_{block}": times * (words > 0),
        **{f"words_left_{n}_{block}": times * (words == n) for n in (1, 2, 3)},
        f"any_tail_{block}": times * (tail > 0),
        **{f"tail_left_{n}_{block}": times * (tail == n) for n in (1, 2, 3)},
        **misaligned(f"words_{block}", times * (depth // 4), tail),
    }


def _eights(what: str, times: int, depth: int) -> Counts:
    """A loop over single values that the compiler unrolls by eight."""
    eights, rest = divmod(depth, 8)
    return {
        what: times,
        f"{what}_eights": times * eights,
        f"{what}_any_eights": times * (eights > 0),
        f"{what}_rest": times * rest,
        f"{what}_any_rest": times * (rest > 0),
    }


def dw(g: Geometry) -> Counts:
    """im2col of one pixel, widened to int16, then four channels at a time over all taps."""
    fours, rest = divmod(g.channels, 4)
    width = g.out_size[1]
    rows, columns = g.rows * width, g.columns
    inside = g.rows * columns
    beside = rows * g.kernel[1] - inside
    cut = [start < 0 for start in g.starts(0)], [start + g.kernel[0] > g.size[0] for start in g.starts(0)]
    return {
        "pixels": g.pixels,
        "valid_rows": rows,
        "valid_taps": inside,
        "words_widened": inside * fours,
        "bytes_widened": inside * rest,
        "tails_widened": inside if rest else 0,
        "fills_beside": beside,
        "filled_beside": beside * g.channels,
        "fills_above_and_below": (sum(cut[0]) + sum(cut[1])) * width,
        "filled_above_and_below": (g.pixels * g.taps - inside - beside) * g.channels,
        "fours": fours * g.pixels,
        "four_tap_pairs": fours * g.pixels * (g.taps // 2),
        "pixels_with_ones": g.pixels if rest else 0,
        "ones": rest * g.pixels,
        "one_taps": rest * g.pixels * g.taps,
        **misaligned("taps", fours * g.pixels * (g.taps // 2), rest),
        **misaligned("words_widened", inside * fours, rest),
        "calls": 1,
    }


def fc(g: Geometry) -> Counts:
    """Two filters at a time, four values a step, unrolled by eight."""
    twos, one = divmod(g.out_channels, 2)
    return {**_matrix("x2", twos, g.channels), **_matrix("x1", one, g.channels), "calls": 1}


def _matrix(block: str, times: int, depth: int) -> Counts:
    words, tail = divmod(depth, 4)
    return {
        f"blocks_{block}": times,
        f"eights_{block}": times * (words // 8),
        f"any_eights_{block}": times * (words >= 8),
        f"words_{block}": times * (words % 8),
        f"any_words_{block}": times * (words % 8 > 0),
        f"tail_{block}": times * tail,
        f"any_tail_{block}": times * (tail > 0),
        **misaligned(f"words_{block}", times * words, tail),
    }


def avg_pool(g: Geometry) -> Counts:
    """Sums in int32, the first tap copied, the others added; one division a value."""
    fours, rest = divmod(g.channels, 4)
    later = g.rows * g.columns - g.pixels
    return {
        "pixels": g.pixels,
        "output_rows": g.out_size[0],
        "valid_rows": g.rows * g.out_size[1],
        "values": g.pixels * g.channels,
        "first_fours": g.pixels * fours,
        "first_ones": g.pixels * rest,
        "later_taps": later,
        "later_fours": later * fours,
        "later_ones": later * rest,
        "calls": 1,
    }
