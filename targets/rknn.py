"""Rockchip's RV1106 family, estimated and compiled by Rockchip's own `rknn-toolkit2`, a program in another environment.

The toolkit needs older numpy, onnx and protobuf than this project, so its Python is named by the device's `rknn_python`
or the environment variable NAS_RKNN_PYTHON, and runs `targets/rknn_driver.py`. It takes the QDQ ONNX file with its
scales as they are. Read with version 2.5: the verbose log of a build holds a table of layers and the memory's sums.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from search_spaces.errors import TargetError
from targets import maker_program
from targets.device import RKNN, Device
from targets.vendor import Compiled, VendorCall, VendorEstimate

DRIVER = Path(__file__).with_name("rknn_driver.py")
VARIABLE = "NAS_RKNN_PYTHON"
NAME = "rknn-toolkit2"
_LAYER = re.compile(
    r"\] \d+\s+(?P<kind>\S+)\s+\S+\s+(?P<target>[NCG]PU)\s.*?\s"
    r"(?P<memory>\d+)/(?P<compute>\d+)/(?P<cycles>\d+)\s+(?P<moved>\d+)\s+\S"
)
_MEMORY = re.compile(r"Total (Internal|Weight) Memory Size: ([\d.]+)KB")
_ENDS = ("InputOperator", "OutputOperator")
"""Rows that are no operator: the network's own input and output."""


def executable(device: Device) -> str:
    """The Python of the toolkit's environment: the device's `rknn_python`, else the one NAS_RKNN_PYTHON names.

    Raises:
        TargetError: neither is there, or what is named is no program.
    """
    named = device.rknn_python or os.environ.get(VARIABLE)
    if not named:
        law = f"{device.npu} is compiled by Rockchip's {NAME}, which has an environment of its own"
        raise TargetError(f"{law}: set {VARIABLE} to that environment's Python (see the README on how to make one)")
    found = shutil.which(named)
    if found is None:
        source = "rknn_python" if device.rknn_python else VARIABLE
        raise TargetError(f"{source} must be the Python of {NAME}'s environment, got {named!r}")
    return str(Path(found).absolute())


def compiled(qdq_onnx: bytes, device: Device, *, timeout_seconds: float = maker_program.TIMEOUT_SECONDS) -> Compiled:
    """A QDQ ONNX file as the toolkit compiles it to an `.rknn` file, and what its log says of it.

    Raises:
        TargetError: the toolkit is not there, fails, takes longer than `timeout_seconds`, or says what is not known
            here; or the device's NPU is not Rockchip's.
    """
    with tempfile.TemporaryDirectory(prefix="rknn-") as name:
        return _build(qdq_onnx, device, Path(name), timeout_seconds)


def answers(
    qdq_onnx: bytes, images: np.ndarray, device: Device, *, timeout_seconds: float = maker_program.TIMEOUT_SECONDS
) -> np.ndarray:
    """What the toolkit's simulator of the NPU answers, `N x values` in float32.

    Args:
        images: `N x C x H x W` (or `N x F`) in float32, as the file takes them.
        timeout_seconds: of the whole call.

    Raises:
        TargetError: as `compiled`.
    """
    with tempfile.TemporaryDirectory(prefix="rknn-") as name:
        folder = Path(name)
        np.save(folder / "images.npy", images.astype(np.float32))
        _build(qdq_onnx, device, folder, timeout_seconds, "images.npy", "answers.npy")
        found: np.ndarray = np.load(folder / "answers.npy")
    return found


def _build(qdq_onnx: bytes, device: Device, folder: Path, timeout_seconds: float, *simulated: str) -> Compiled:
    if device.npu is None or not RKNN.fullmatch(device.npu) or device.npu_clock_hz is None:
        raise TargetError(f"device {device.name!r} has no NPU that {NAME} compiles for")
    python = executable(device)
    (folder / "model.onnx").write_bytes(readable(qdq_onnx))
    command = [python, "-I", str(DRIVER), "version", "model.onnx", device.npu, "model.rknn", *simulated]
    log = maker_program.run(command, folder, name=NAME, timeout_seconds=timeout_seconds)
    try:
        version, content = (folder / "version").read_text(), (folder / "model.rknn").read_bytes()
    except FileNotFoundError as error:
        raise TargetError(f"{NAME} must write {Path(error.filename).name}, it did not") from None
    return Compiled(read(log, version, device.npu, device.npu_clock_hz, len(content)), content)


def readable(qdq_onnx: bytes) -> bytes:
    """The same network as version 2.5 can read it: batch 1, biases with zero points, whole numbers it can write to."""
    model = onnx.load_from_string(qdq_onnx)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    constants = {constant.name: constant for constant in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) == 2:
            zeros = np.zeros(constants[node.input[1]].dims, np.int32)
            node.input.append(f"{node.input[0]}:zero_point")
            model.graph.initializer.append(numpy_helper.from_array(zeros, node.input[2]))
    for constant in constants.values():
        if constant.data_type == onnx.TensorProto.INT64:
            values = numpy_helper.to_array(constant)
            constant.CopyFrom(helper.make_tensor(constant.name, constant.data_type, values.shape, values.ravel()))
    return model.SerializeToString()


def read(log: str, version: str, platform: str, clock_hz: int, file_bytes: int) -> VendorEstimate:
    """The estimate in a build's log.

    Args:
        clock_hz: of the NPU, which the toolkit does not know.
        file_bytes: of the compiled file.

    Raises:
        TargetError: the log has no layers or no sums.
    """
    memory = {what: round(1024 * float(kib)) for what, kib in _MEMORY.findall(log)}
    layers = [layer for layer in map(_LAYER.search, log.splitlines()) if layer and layer["kind"] not in _ENDS]
    if memory.keys() != {"Internal", "Weight"} or not layers:
        law = f"the log of {NAME} must be that of version 2, version {version or 'unknown'} lacks"
        raise TargetError(f"{law} {'its sums of memory' if layers else 'its table of layers'}")
    calls = tuple(_call(layer) for layer in layers)
    cycles = sum(call.cycles or 0 for call in calls)
    return VendorEstimate(
        tool=NAME,
        version=version,
        configuration=platform,
        clock_hz=clock_hz,
        cycles=cycles,
        compute_cycles=sum(call.compute_cycles or 0 for call in calls),
        latency_ms=1e3 * cycles / clock_hz,
        sram_bytes=0,
        dram_bytes=memory["Internal"] + memory["Weight"],
        flash_bytes=file_bytes,
        macs=None,
        calls=calls,
    )


def _call(layer: re.Match[str]) -> VendorCall:
    """Layers that the toolkit counts no cycles for, all but convolutions, have 0/0/0 in its table."""
    compute, memory, cycles = (int(layer[name]) or None for name in ("compute", "memory", "cycles"))
    moved = 1024 * int(layer["moved"])
    return VendorCall(layer["kind"], layer["target"] == "NPU", None, cycles, compute, memory, moved)
