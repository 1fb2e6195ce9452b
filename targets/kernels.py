"""Which CMSIS-NN code path a kernel call takes on a core, and how often each of the path's loops runs.

A path's cost is a sum of loop counts, each with a price in cycles or instructions and in loads from the weights. The
counts follow the loop structure of CMSIS-NN's int8 kernels (`loops` and `loops_...`); the prices lie in
`data/<core>.toml` with their source and error; what a board's memory adds is `latency`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from targets import loops, loops_dsp, loops_mve, loops_scalar
from targets.geometry import Geometry
from targets.loops import Counts

Extension = Literal["scalar", "dsp", "mve"]
"""Which of its code CMSIS-NN compiles for a core: plain C, DSP instructions (two int16 products at once), Helium."""

DW_AS_CONV_FILTERS = 8
"""Filters from which Helium's depthwise of one input channel becomes an ordinary convolution."""


def path(shape: Geometry, extension: Extension) -> str:
    """The code path CMSIS-NN's wrapper takes (`arm_convolve_wrapper_s8`, `arm_depthwise_conv_wrapper_s8`)."""
    if shape.kind == "conv":
        code = loops_mve.conv_path(shape)
        return "conv" if code == "conv_1xn" and extension != "mve" else code
    return _depthwise(shape, extension) if shape.kind == "dw" else shape.kind


def _depthwise(shape: Geometry, extension: Extension) -> str:
    plain = shape.dilation == (1, 1)
    if extension == "mve" and shape.channels == 1 and shape.out_channels >= DW_AS_CONV_FILTERS:
        return "dw_as_conv"
    if shape.multiplier > 1 or not plain:
        return "dw_any" if shape.multiplier % 4 or not plain else "dw_by_4"
    if extension != "mve" and shape.kernel == (3, 3) and max(shape.pads) <= 1:
        return "dw_3x3"
    return "dw_any" if extension == "scalar" else "dw"


_COMMON: dict[str, Callable[[Geometry], Counts]] = {
    "dw_3x3": loops.dw_3x3,
    "dw_by_4": loops.dw_by_4,
    "dw_any": loops.dw_any,
    "max_pool": loops.max_pool,
    "add": loops.elements,
    "sub": loops.elements,
    "mul": loops.elements,
    "softmax": loops.softmax,
    "logistic": loops.written,
    "tanh": loops.written,
    "relu": loops.written,
    "leaky_relu": loops.written,
    "hard_swish": loops.written,
    "requantize": loops.written,
    "concat": loops.written,
    "slice": loops.written,
    "pad": loops.written,
    "reshape": loops.written,
    "transpose": loops.written,
    "resize_nearest": loops.written,
    "resize_linear": loops.written,
}

_VECTOR: dict[str, Callable[[Geometry], Counts]] = {
    "conv": loops_mve.conv,
    "conv_1x1": loops_mve.conv_1x1,
    "conv_1xn": loops_mve.conv_1xn,
    "dw_as_conv": loops_mve.dw_as_conv,
    "dw": loops_mve.dw,
    "fc": loops_mve.fc,
    "max_pool": loops_mve.max_pool,
    "avg_pool": loops_mve.avg_pool,
    "add": loops_mve.elements,
    "sub": loops_mve.elements,
    "mul": loops_mve.elements,
}

_DSP: dict[str, Callable[[Geometry], Counts]] = {
    "conv": loops_dsp.conv,
    "conv_1x1": loops_dsp.conv_1x1,
    "dw": loops_dsp.dw,
    "fc": loops_dsp.fc,
    "avg_pool": loops_dsp.avg_pool,
}

_SCALAR: dict[str, Callable[[Geometry], Counts]] = {
    "conv": loops_scalar.conv,
    "conv_1x1": loops_scalar.conv_1x1,
    "fc": loops_scalar.fc,
    "avg_pool": loops_scalar.avg_pool,
}

COUNTS: Mapping[Extension, dict[str, Callable[[Geometry], Counts]]] = {
    "scalar": _COMMON | _SCALAR,
    "dsp": _COMMON | _DSP,
    "mve": {code: rule for code, rule in _COMMON.items() if code != "dw_3x3"} | _VECTOR,
}
"""How often each loop of a path runs; the prices of `data/<core>.toml` carry the same names."""
