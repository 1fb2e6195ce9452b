"""CMSIS-NN's sources, from the wheel of bakenn: Arm's int8 kernels for Cortex-M, version 4.0.0."""

from __future__ import annotations

from pathlib import Path

from search_spaces.errors import TargetError

INSTALL = 'pip install "fitfront[c]"'
VERSION = "4.0.0"

SETS = {
    "nn_conv": "conv2d_s8", "nn_conv_1x1": "conv2d_s8", "nn_conv_1x1_strided": "conv2d_s8",
    "nn_dw": "depthwise_conv2d_s8", "nn_dw_3x3": "depthwise_conv2d_s8", "nn_dw_any": "depthwise_conv2d_s8",
    "nn_avg_pool": "average_pool2d_s8", "nn_max_pool": "max_pool2d_s8",
}  # fmt: skip
"""Of each of our entries that calls CMSIS-NN: bakenn's name of the sources behind it."""


def copy_sources(folder: Path, entries: set[str]) -> list[Path]:
    """Copies what the entries need to `folder/third_party`; returns the C files, relative to `folder`.

    Raises:
        TargetError: bakenn is not installed, or has other sources than the version this was written for.
    """
    names = {f"cmsis_nn.{SETS[entry]}.v{VERSION}" for entry in entries if entry in SETS}
    if not names:
        return []
    try:
        from bakenn.backend.cmsis_nn import bundle_kernels
        from bakenn.backend.cmsis_nn.bundle import CMSIS_NN_VERSION
    except ImportError:
        raise TargetError(f"C is built on CMSIS-NN's sources, which bakenn 1.0 brings: {INSTALL}") from None
    if CMSIS_NN_VERSION != VERSION:
        raise TargetError(f"bakenn must bring CMSIS-NN {VERSION}, it brings {CMSIS_NN_VERSION}: {INSTALL}")
    return [source.relative_to(folder) for source in bundle_kernels(folder, tuple(names)).sources]
