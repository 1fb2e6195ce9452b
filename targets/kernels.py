"""Which CMSIS-NN code path a kernel call takes on a core, and how often each of the path's loops runs.

A path's cost is a sum of loop counts, each with a price in cycles or instructions and in loads from the weights. The
counts follow the loop structure of CMSIS-NN's int8 kernels (`loops` and `loops_...`); the prices lie in
`data/<core>.toml` with their source and error; what a board's memory adds is `latency`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from targets import loops, loops_dsp, loops_mve, loops_scalar
from targets.geometry import Geometry, scattered, upscaled
from targets.loops import Counts

Extension = Literal["scalar", "dsp", "mve"]
"""Which of its code CMSIS-NN compiles for a core: plain C, DSP instructions (two int16 products at once), Helium."""

DW_AS_CONV_FILTERS = 8
"""Filters from which Helium's depthwise of one input channel becomes an ordinary convolution."""

REVERSED_ABOVE = 16
"""Input channels above which a transposed convolution turns its filters round and convolves an upscaled map
(`REVERSE_TCOL_EFFICIENT_THRESHOLD`); else it adds its products up in int32 rows of the output."""

Rule = Callable[[Geometry], Counts]


def path(shape: Geometry, extension: Extension) -> str:
    """The code path CMSIS-NN's wrapper takes (`arm_{convolve,depthwise_conv,transpose_conv}_wrapper_s8`)."""
    if shape.kind == "conv":
        code = loops_mve.conv_path(shape)
        return "conv" if code == "conv_1xn" and extension != "mve" else code
    if shape.kind == "transpose_conv" and max(shape.stride) <= 2 and shape.channels > REVERSED_ABOVE:
        return "transpose_conv_reversed"
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


def _transposed(conv: Rule) -> dict[str, Rule]:
    """Transposed convolutions in the loops of a core's general one: not measured, assumed.

    That of the scattered products is on the safe side: it requantizes every product where the kernel adds it up.
    """
    return {
        "transpose_conv": lambda shape: conv(scattered(shape)),
        "transpose_conv_reversed": lambda shape: conv(upscaled(shape)),
    }


_COMMON: dict[str, Rule] = {
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
    "elu": loops.written,
    "requantize": loops.written,
    "concat": loops.written,
    "slice": loops.written,
    "crop": loops.written,
    "pad": loops.written,
    "reshape": loops.written,
    "transpose": loops.written,
    "resize_nearest": loops.written,
    "resize_linear": loops.written,
}

_VECTOR: dict[str, Rule] = {
    **_transposed(loops_mve.conv),
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

_DSP: dict[str, Rule] = {
    **_transposed(loops_dsp.conv),
    "conv": loops_dsp.conv,
    "conv_1x1": loops_dsp.conv_1x1,
    "dw": loops_dsp.dw,
    "fc": loops_dsp.fc,
    "avg_pool": loops_dsp.avg_pool,
}

_SCALAR: dict[str, Rule] = {
    **_transposed(loops_scalar.conv),
    "conv": loops_scalar.conv,
    "conv_1x1": loops_scalar.conv_1x1,
    "fc": loops_scalar.fc,
    "avg_pool": loops_scalar.avg_pool,
}

COUNTS: Mapping[Extension, dict[str, Rule]] = {
    "scalar": _COMMON | _SCALAR,
    "dsp": _COMMON | _DSP,
    "mve": {code: rule for code, rule in _COMMON.items() if code != "dw_3x3"} | _VECTOR,
}
"""How often each loop of a path runs; the prices of `data/<core>.toml` carry the same names."""
