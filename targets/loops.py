"""How often each loop of CMSIS-NN's int8 kernels runs on a core without vector instructions.

One function a code path; its names are those of the prices in `data/<core>.toml`. Here is what DSP instructions change
little (`loops_dsp`, `loops_scalar` have the rest). Four channels are worked on at a time, so the shapes that run badly
(channels that are no multiple of 4) are seen. `misaligned_...` are words read at addresses that are no multiple of 4:
half of them where rows are an even number of bytes long, three quarters where it is odd.
"""

from __future__ import annotations

from targets.geometry import Geometry

Counts = dict[str, int]


def misaligned(what: str, times: int, rest: int) -> Counts:
    """Word accesses to rows whose length leaves `rest` when divided by 4."""
    return {
        f"misaligned_even_{what}": times if rest == 2 else 0,
        f"misaligned_odd_{what}": times if rest % 2 else 0,
    }


def copies(times: int, size: int) -> Counts:
    """newlib's memcpy of `size` bytes: 64, 16 and 4 at a time where aligned, bytes where short, else shifted words."""
    aligned, short = size % 4 == 0, size < 12
    words = times if aligned and size >= 16 else 0
    few = times if short and not aligned else 0
    even = times if not short and size % 4 == 2 else 0
    odd = times if not short and size % 2 else 0
    return {
        "copies": times,
        "copied_64": words * (size // 64),
        "copied_16": words * (size % 64 // 16),
        "copied_4": words * (size % 16 // 4),
        "short_words": times * (size // 4) if aligned and size < 16 else 0,
        "short_copies": few,
        "short_bytes": few * size,
        "even_copies": even,
        "even_64": even * (size // 64),
        "even_4": even * (size % 64 // 4),
        "odd_copies": odd,
        "odd_64": odd * (size // 64),
        "odd_4": odd * (size % 64 // 4),
        "odd_1": odd * (size % 4),
    }


def zeros(times: int, size: int) -> Counts:
    """newlib's memset of `size` bytes."""
    words = times if size % 4 == 0 else 0
    few = times if size % 4 and size < 8 else 0
    rest = times - words - few
    return {
        "fills": times,
        "filled_16": words * (size // 16),
        "filled_4": words * (size % 16 // 4),
        "short_filled": few * size,
        "ragged_fills": rest,
        "ragged_4": rest * (size % 16 // 4),
    }


def dw_3x3(g: Geometry) -> Counts:
    """Four channels at a time, straight from the map; the left and the right column are skipped beyond its edge."""
    fours, rest = divmod(g.channels, 4)
    width = g.out_size[1]
    left = sum([start >= 0 for start in g.starts(1)])
    right = sum([g.size[1] - start >= 3 for start in g.starts(1)])
    rows = g.windows(0)
    one_row, two_rows = rows.count(1) * width, rows.count(2) * width
    total = sum(rows)
    return {
        "pixels": g.pixels,
        "output_rows": g.out_size[0],
        "pixels_with_fours": g.pixels if fours else 0,
        "pixels_with_ones": g.pixels if rest else 0,
        **_columns("four", fours, g.pixels, total * width, total * left, total * right, one_row, two_rows),
        **_columns("one", rest, g.pixels, total * width, total * left, total * right, one_row, two_rows),
        **misaligned("taps", fours * total * (left + right + width), rest),
        "calls": 1,
    }


def _columns(of: str, times: int, pixels: int, rows: int, left: int, right: int, one_row: int, two_rows: int) -> Counts:
    """Loops of `times` channels or groups of four."""
    return {
        f"{of}s": times * pixels,
        f"{of}_rows": times * rows,
        f"{of}_left_taps": times * left,
        f"{of}_right_taps": times * right,
        f"{of}s_of_one_row": times * one_row,
        f"{of}s_of_two_rows": times * two_rows,
    }


def dw_by_4(g: Geometry) -> Counts:
    """Several outputs per input channel: one input value against four of its filters."""
    fours = g.out_channels // 4
    return {
        "pixels": g.pixels,
        "output_rows": g.out_size[0],
        "channel_pixels": g.channels * g.pixels,
        "fours": fours * g.pixels,
        "four_rows": fours * g.rows * g.out_size[1],
        "four_taps": fours * g.rows * g.columns,
        "calls": 1,
    }


def dw_any(g: Geometry) -> Counts:
    """One output value at a time, over the taps that lie on the map."""
    return {
        "outputs": g.out_channels * g.pixels,
        "output_rows": g.out_channels * g.rows * g.out_size[1],
        "output_taps": g.out_channels * g.rows * g.columns,
        "calls": 1,
    }


def max_pool(g: Geometry) -> Counts:
    """A copy of the window's first tap, comparisons with the others four channels at a time, clamps at the end."""
    fours, rest = divmod(g.channels, 4)
    later = g.rows * g.columns - g.pixels
    total = g.pixels * g.channels
    return {
        **copies(g.pixels, g.channels),
        "valid_rows": g.rows * g.out_size[1],
        "later_taps": later,
        "fours": later * fours,
        "any_fours": later * (fours > 0),
        **{f"left_{n}": later * (rest == n) for n in (1, 2, 3)},
        **misaligned("fours", later * fours, rest),
        "clamped_fours": total // 4,
        "clamped_ones": total % 4,
        "output_rows": g.out_size[0],
        "calls": 1,
    }


def elements(g: Geometry) -> Counts:
    """Element-wise kernels; a broadcast operand (fewer elements than outputs) takes TFLM's indexed loop."""
    total = g.pixels * g.out_channels
    if g.operands < 2 * total:
        return {"broadcast_elements": total, "calls": 1}
    fours, rest = divmod(total, 4)
    return {"fours": fours, "ones": rest, "calls": 1}


def softmax(g: Geometry) -> Counts:
    """Row by row: the maximum, the sum of exponentials, the quotients."""
    return {"bytes_written": g.pixels * g.out_channels, "rows": g.pixels, "calls": 1}


def written(g: Geometry) -> Counts:
    """Kernels whose work is their output."""
    return {"bytes_written": g.pixels * g.out_channels, "calls": 1}
