"""Smaller and larger kernels that leave a convolution's output shape as it is.

A smaller kernel keeps some of the original's taps, and its pads shrink so that each tap still meets the value it met.
"""

from __future__ import annotations

from typing import NamedTuple

from search_spaces.graph import Op, Shape
from search_spaces.ops import window_size


class Crop(NamedTuple):
    """Where a changed kernel lies in the original's.

    Attributes:
        offset_y, offset_x: the original tap that becomes tap 0; negative where the kernel grows, which puts the
            original's first tap at minus the offset.
        pads: `(top, left, bottom, right)` of the changed convolution.
    """

    offset_y: int
    offset_x: int
    pads: tuple[int, int, int, int]


def kernel_crop(op: Op, side: int, shape: Shape) -> Crop | None:
    """The crop of a square kernel to `side` x `side` taps that keeps the output's shape, the most central one.

    Args:
        op: a convolution with a square kernel.
        shape: of its input, channels x height x width.

    Returns:
        None where no offset does without negative pads (below and right a pad may be cut at zero if no window needs
        it: TensorFlow's strided SAME padding is often of that kind).
    """
    (kernel, _), (stride_y, stride_x), (top, left, bottom, right) = op["kernel"], op["stride"], op["pads"]
    rows = _along(kernel, side, stride_y, top, bottom, shape[1])
    columns = _along(kernel, side, stride_x, left, right, shape[2])
    if rows is None or columns is None:
        return None
    return Crop(rows[0], columns[0], (rows[1], columns[1], rows[2], columns[2]))


def kernel_options(op: Op, shape: Shape, *, growth: bool = False) -> dict[int, Crop]:
    """The side lengths a convolution's kernel may have, ascending, with their crops; empty if it cannot change.

    Only odd square kernels larger than 1 without dilation change. Growth adds one size, where the map has that many
    rows and columns.
    """
    if op.kind != "conv" or op["dilation"] != (1, 1):
        return {}
    kernel, other = op["kernel"]
    if kernel != other or kernel % 2 == 0 or kernel == 1:
        return {}
    largest = kernel + 2 if growth and kernel + 2 <= min(shape[1:]) else kernel
    crops = {side: kernel_crop(op, side, shape) for side in range(1, largest + 1, 2)}
    found = {side: crop for side, crop in crops.items() if crop is not None}
    return found if len(found) > 1 else {}


def _along(kernel: int, side: int, stride: int, low: int, high: int, size: int) -> tuple[int, int, int] | None:
    """Offset and pads along one axis."""
    windows = window_size(size, kernel, stride, low, high)
    centre = (kernel - side) // 2  # exact: both are odd
    offsets = [centre] if side >= kernel else sorted(range(kernel - side + 1), key=lambda o: (abs(o - centre), o))
    for offset in offsets:
        before, after = low - offset, max(0, high - (kernel - side - offset))
        if before >= 0 and window_size(size, side, stride, before, after) == windows:
            return offset, before, after
    return None
