"""Working memory of a kernel call, as CMSIS-NN's `..._get_buffer_size` functions give it."""

from __future__ import annotations

from targets import kernels_c
from targets.geometry import Geometry
from targets.kernels import Extension, path
from targets.loops_mve import BLOCK, LANES, conv_path, edges_1xn


def scratch_bytes(shape: Geometry, extension: Extension) -> int:
    """Bytes of the arena that one call needs while it runs.

    A general conv unrolls two windows to int16 (4 bytes a value, windows rounded up to 4 values). With DSP instructions
    a depthwise other than 3x3 unrolls one window to int16, and an average pool sums a pixel in int32. All others: none.
    For Helium see `_vector`, for transposed convolutions `_transposed`.

    Weights of 4 bits change nothing for a conv, for which TFLM asks as for 8 (`kernels/cmsis_nn/conv.cc`). A depthwise
    unrolls one window to int16 on every core, unless it has a multiplier or is dilated
    (`arm_depthwise_conv_wrapper_s4_get_buffer_size`).
    """
    if shape.kind == "dw" and shape.weight_bits < 8:
        return 2 * shape.channels * shape.taps if shape.multiplier == 1 and shape.dilation == (1, 1) else 0
    code = path(shape, extension)
    if shape.kind == "transpose_conv":
        return _transposed(shape, code, extension)
    if extension == "mve":
        return _vector(shape, code)
    if code == "conv":
        return 4 * _rounded(_window(shape), 4)
    if extension == "scalar":
        return 0
    if code == "dw":
        return 2 * shape.channels * shape.taps
    return 4 * shape.channels if code == "avg_pool" else 0


def generated_c_bytes(shape: Geometry, extension: Extension) -> int:
    """The same of generated C (CMSIS-NN 4.0.0): a row is a general conv there, and kernels of its own need none."""
    code = kernels_c.path(shape, extension)
    if code == "conv":
        return 4 * _rounded(_window(shape), 8 if extension == "mve" else 4)
    if code == "dw":
        return {"scalar": 0, "dsp": 2 * shape.channels * shape.taps, "mve": 4 * BLOCK * shape.taps}[extension]
    return 4 * shape.channels if code == "avg_pool" and extension == "dsp" else 0


def _vector(shape: Geometry, code: str) -> int:
    """Four unrolled windows of whole vectors, or one row padded at its ends; int32 sums of a linear layer's weights."""
    if code == "conv":
        return 4 * _rounded(_window(shape), LANES)
    if code == "conv_1xn":
        return _row(shape)
    if code == "dw_as_conv":
        inner = shape._replace(kind="conv", multiplier=1)
        return _vector(inner, conv_path(inner)) + shape.weights
    if code == "dw":
        return 4 * BLOCK * shape.taps
    return 4 * shape.out_channels if code == "fc" else 0


def _transposed(shape: Geometry, code: str, extension: Extension) -> int:
    """As many int32 rows of the output as the kernel has; reversed, a general conv's and its filters turned round.

    The latter are two buffers, counted as one that holds both at the arena's alignment. CMSIS-NN before October 2024
    takes an int32 for every value of the output besides.
    """
    if code == "transpose_conv_reversed":
        windows = 4 * _rounded(_window(shape), LANES if extension == "mve" else 4)
        return _rounded(windows, 16) + shape.weights
    (rows, columns), stride = shape.kernel, shape.stride
    width = (shape.size[1] - 1) * stride[1] + max(columns, stride[0])  # the other axis' stride, as CMSIS-NN has it
    return 4 * width * shape.out_channels * max(rows, stride[0])


def _row(shape: Geometry) -> int:
    edges = edges_1xn(shape)
    if edges is None:
        return 4 * _rounded(_window(shape), LANES)
    _, right, uneven = edges
    window, padding = _window(shape), shape.pads[1] * shape.channels
    return max(window + padding, window - shape.channels + (right * shape.channels if uneven else padding))


def _window(shape: Geometry) -> int:
    return shape.channels // shape.groups * shape.taps


def _rounded(count: int, step: int) -> int:
    return -(-count // step) * step
