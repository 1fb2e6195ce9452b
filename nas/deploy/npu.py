"""A finished model compiled by the tool of a device's maker: an `.rknn` file, or a `.tflite` by Vela; and its answers.

The tool reads the very integers that were scored: `model.tflite` for Vela, the QDQ `model.onnx` for rknn-toolkit2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from nas import atomic
from nas.data.feed import feed
from nas.runtime import Session
from search_spaces.errors import ModelError, TargetError
from targets import rknn
from targets.device import Device
from targets.makers import maker_of
from targets.vendor import VendorEstimate


def export_npu(model: Path, device: Device, out: Path | None = None) -> tuple[Path, VendorEstimate]:
    """Compiles a run's model for a device's NPU and keeps what the tool says of it beside, as `vendor.json`.

    Args:
        model: a folder `models/<id>` of a run.
        out: the file to write; None is `model.rknn` or `model_vela.tflite` in that folder.

    Returns:
        The file, and the tool's estimate. Nothing is written before the tool has answered.

    Raises:
        TargetError: the device has no NPU, or its maker's tool is not installed or fails.
        ModelError: the folder holds no such model.
        RunFolderError: the file cannot be written.
    """
    tool = maker_of(device)
    if tool is None:
        raise TargetError(f"device {device.name!r} has no NPU to compile for; name another (nas targets)")
    tool.executable(device)
    source = model / f"model.{tool.takes}"
    if not source.is_file():
        raise ModelError(f"{model} must hold model.{tool.takes}, as a run's models/ID does")
    made = tool.compiled(source.read_bytes(), device)
    file = out or model / f"model{tool.makes}"
    atomic.write_bytes(file, made.content)
    atomic.write_json(file.with_name("vendor.json"), asdict(made.estimate))
    return file, made.estimate


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far an NPU's simulator is from onnxruntime on the same images.

    Attributes:
        images: how many.
        same_argmax: of them, how many have the same largest value.
        different: values that differ, as a share of all.
        worst_lsb: the largest difference, in steps of the output's scale.
    """

    images: int
    same_argmax: int
    different: float
    worst_lsb: int


def answers(qdq_onnx: bytes, images: np.ndarray, device: Device) -> np.ndarray:
    """What the simulator of a Rockchip NPU answers, `N x values`; Vela has none, its file computes TFLite's integers.

    Args:
        images: `N x C x H x W` (or `N x F`): uint8 pixels, or floats as they are.

    Raises:
        TargetError: the device's NPU is not Rockchip's, or the toolkit is not installed or fails.
    """
    return rknn.answers(qdq_onnx, feed(images), device)


def agreement(qdq_onnx: bytes, images: np.ndarray, device: Device) -> Agreement:
    """The simulator's answers beside onnxruntime's. Takes and raises what `answers` does."""
    ours, theirs = Session(qdq_onnx).logits(images), answers(qdq_onnx, images, device)
    steps = np.rint((theirs - ours) / _output_scale(qdq_onnx)).astype(int)
    same = int((ours.argmax(1) == theirs.argmax(1)).sum())
    return Agreement(len(images), same, float((steps != 0).mean()), int(np.abs(steps).max()))


def _output_scale(qdq_onnx: bytes) -> float:
    """Of the last DequantizeLinear, which makes the output."""
    graph = onnx.load_from_string(qdq_onnx).graph
    constants = {constant.name: constant for constant in graph.initializer}
    (last,) = [node for node in graph.node if graph.output[0].name in node.output]
    return float(numpy_helper.to_array(constants[last.input[1]]))
