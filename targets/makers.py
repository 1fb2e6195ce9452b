"""The tool of a device's maker: which one there is, what it takes, and its answer in one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import TargetError
from targets import rknn, vela
from targets.device import RKNN, Device
from targets.vendor import Compiled


@dataclass(frozen=True, slots=True)
class Maker:
    """A tool.

    Attributes:
        name: as it calls itself.
        takes: the form of file that it compiles.
        makes: the suffix of what comes out.
        executable: where it is on this machine; raises `TargetError` with the way to get it.
        compiled: compiles a file of that form for a device.
    """

    name: str
    takes: Literal["tflite", "onnx"]
    makes: str
    executable: Callable[[Device], str]
    compiled: Callable[[bytes, Device], Compiled]


VELA = Maker(vela.NAME, "tflite", "_vela.tflite", vela.executable, vela.compiled)
ROCKCHIP = Maker(rknn.NAME, "onnx", ".rknn", rknn.executable, rknn.compiled)


def maker_of(device: Device) -> Maker | None:
    """The tool for the device's NPU; None where there is none."""
    if device.npu is None:
        return None
    return ROCKCHIP if RKNN.fullmatch(device.npu) else VELA


def installed(device: Device) -> bool:
    """Is the device's tool on this machine?"""
    maker = maker_of(device)
    if maker is None:
        return False
    try:
        maker.executable(device)
    except TargetError:
        return False
    return True
