"""Which kernel of generated C a call runs, and how often its loops run."""

from __future__ import annotations

from collections.abc import Mapping

from targets import kernels, loops_c
from targets.geometry import Geometry
from targets.kernels import Extension, Rule

NAMED = {"conv_1xn": "conv", "dw_as_conv": "dw_any", "transpose_conv_reversed": "transpose_conv"}
"""Paths of TFLM's wrappers that generated C does not take, and what it takes: rows have no kernel of their own."""


def path(shape: Geometry, extension: Extension) -> str:
    """The kernel that generated C calls (`nas.deploy.emit.entry_of`), in the names of `targets.kernels.path`."""
    if shape.kind == "conv" and shape.groups > 1:
        return "conv_grouped"
    code = kernels.path(shape, extension)
    if code == "dw_as_conv" and shape.multiplier % 4 == 0:
        return "dw_by_4"
    return NAMED.get(code, code)


_OWN: dict[str, Rule] = {
    "conv_grouped": loops_c.conv_grouped,
    "dw_any": loops_c.dw_any,
    "transpose_conv": loops_c.transpose_conv,
    "fc": loops_c.fc,
    **dict.fromkeys(("add", "sub", "mul"), loops_c.pair),
    **dict.fromkeys(("relu", "requantize", "leaky_relu", "logistic", "tanh", "elu", "hard_swish"), loops_c.lookup),
    "softmax": loops_c.softmax,
    "concat": loops_c.concat,
    **dict.fromkeys(("slice", "crop"), loops_c.cut),
    "pad": loops_c.pad,
    "transpose": loops_c.transpose,
    **dict.fromkeys(("resize_nearest", "resize_linear"), loops_c.resize),
    "reshape": loops_c.nothing,
}

_CONV: dict[Extension, Rule] = {
    "scalar": loops_c.conv_scalar, "dsp": loops_c.conv_dsp, "mve": loops_c.conv_mve,
}  # fmt: skip

COUNTS: Mapping[Extension, dict[str, Rule]] = {
    extension: {code: rule for code, rule in rules.items() if code not in NAMED} | _OWN | {"conv": _CONV[extension]}
    for extension, rules in kernels.COUNTS.items()
}
"""How often each loop of a kernel runs; the prices of `data/generated_c_<core>.toml` carry the same names."""
