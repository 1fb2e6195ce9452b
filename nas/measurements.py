"""Measured layers and networks of one board, from a CSV file: what each row is priced at, and what it took.

Columns: `op`, and `cycles` or `latency_us`. A layer has `in_shape` and `out_shape` (1x32x32x3, channels last) and, with
a window, `kernel`, `strides` and `padding` (3x3, 1x1, same); what it took is the kernel's own time, as a profiler shows
it. A whole network has the op `network` and the column `model`, its `.onnx` or `.pt2` file beside the table; what it
took is an invoke. What was drawn meanwhile may stand in `energy_uj` or `power_mw`. `board` and `clock_mhz` are checked
where they are there; other columns are not read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from math import isfinite, prod
from pathlib import Path

from nas.inputs import load_graph
from search_spaces.errors import DataError, EngineError
from targets.calibration import Measured
from targets.core import call_cost, call_costs
from targets.device import Device
from targets.geometry import Geometry
from targets.latency import CALL_CYCLES
from targets.levels import at_level
from targets.lower import lower
from targets.program import CallKind, Runtime

LAYERS: dict[str, CallKind] = {
    "conv2d": "conv",
    "depthwise_conv2d": "dw",
    "fully_connected": "fc",
    "add": "add",
    "mul": "mul",
    "max_pool2d": "max_pool",
    "average_pool2d": "avg_pool",
    "softmax": "softmax",
}
NETWORK = "network"
WINDOWED = frozenset({"conv", "dw", "max_pool", "avg_pool"})


def read(path: Path, device: Device, runtime: Runtime) -> list[Measured]:
    """The rows of a table, priced with the device's kernels.

    Raises:
        DataError: the table cannot be read, or a row of it; the message has the line.
        TargetError: the device has no kernel prices.
    """
    found, boards = [], set()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True, restval="", restkey="")
            names = rows.fieldnames or []
            if "op" not in names or not {"cycles", "latency_us"} & set(names):
                law = f"{path} must have the columns op and cycles or latency_us"
                raise DataError(f"{law}, it has {', '.join(names) or 'none'}")
            for row in rows:
                boards.add(row.get("board", ""))
                try:
                    if row.pop("", None):
                        raise DataError("must have as many cells as there are columns; check its commas and quotes")
                    found.append(_measured(row, path.parent, device, runtime))
                except EngineError as error:
                    raise DataError(f"{path} line {rows.line_num}: {error}") from None
                if len(boards) > 1:
                    law = "a calibration is for one board, so its table has one"
                    raise DataError(f"{path} line {rows.line_num}: {law}, not {' and '.join(sorted(boards))}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable CSV file ({error})") from None
    if not found:
        raise DataError(f"{path} must have rows below the names of the columns, it has none")
    return found


def _measured(row: Mapping[str, str], folder: Path, device: Device, runtime: Runtime) -> Measured:
    taken = _cycles(row, device)
    power = _power(row, taken, device)
    if row["op"] == NETWORK:
        if not row.get("model"):
            raise DataError("a network's row names its .onnx or .pt2 file in the column model")
        program = lower(load_graph(folder / row["model"]), runtime)
        costs = at_level(call_costs(program, device.kernel_core), device.compiler_level)
        taken -= CALL_CYCLES[runtime] * len(costs)
        if taken <= 0:
            raise DataError(f"a network takes more than the runtime's own {CALL_CYCLES[runtime]} cycles a call")
        counted, loads = sum(cost.counted for cost in costs), sum(cost.weight_loads for cost in costs)
        return Measured(counted, loads, len(costs), taken, power_mw=power)
    (cost,) = at_level((call_cost(device.kernel_core, layer(row)),), device.compiler_level)
    return Measured(cost.counted, cost.weight_loads, 1, taken, cost.path, power)


def _power(row: Mapping[str, str], cycles: float, device: Device) -> float | None:
    """Milliwatts while a row ran; None where the row says nothing of them."""
    if row.get("power_mw") and row.get("energy_uj"):
        raise DataError("must have energy_uj or power_mw, not both")
    if row.get("power_mw"):
        return _number("power_mw", row["power_mw"])
    if not row.get("energy_uj"):
        return None
    if device.clock_hz is None:
        raise DataError(f"must have power_mw: {device.name} has no clock to tell the time that energy_uj was drawn in")
    return _number("energy_uj", row["energy_uj"]) * device.clock_hz / cycles / 1e3


def _cycles(row: Mapping[str, str], device: Device) -> float:
    clock = row.get("clock_mhz")
    if clock and device.clock_hz and abs(1e6 * _number("clock_mhz", clock) - device.clock_hz) > 1:
        law = f"must be measured at the device's clock, {device.clock_hz / 1e6:g} MHz"
        raise DataError(f"{law}, got {clock}; a memory waits for other cycles at another one")
    if row.get("cycles"):
        return _number("cycles", row["cycles"])
    if not row.get("latency_us"):
        raise DataError("must have cycles or latency_us, both are empty")
    if device.clock_hz is None:
        raise DataError(f"must have cycles: {device.name} has no clock to tell them from latency_us")
    return _number("latency_us", row["latency_us"]) * device.clock_hz / 1e6


def layer(row: Mapping[str, str]) -> Geometry:
    """The kernel call of a layer's row.

    Raises:
        DataError: it is not one, or its sizes contradict each other.
    """
    kind = LAYERS.get(row["op"])
    if kind is None:
        raise DataError(f"op must be one of {', '.join((*LAYERS, NETWORK))}, got {row['op']!r}")
    if kind in WINDOWED:
        return _window(row, kind)
    output = _sides(row, "out_shape")
    if kind == "fc":
        return Geometry(kind, (1, 1), prod(_sides(row, "in_shape")), (1, 1), output[-1])
    # An add's in_shape may list both inputs; an element-wise kernel's are as large as its output.
    elements, channels = prod(output), output[-1]
    size, inputs = (elements // channels, 1), 1 if kind == "softmax" else 2
    return Geometry(kind, size, channels, size, channels, operands=inputs * elements)


def _window(row: Mapping[str, str], kind: CallKind) -> Geometry:
    """A convolution's or a pool's call."""
    source, output = _sides(row, "in_shape", 4), _sides(row, "out_shape", 4)
    kernel, stride = _sides(row, "kernel", 2), _sides(row, "strides", 2)
    padding = row.get("padding", "").lower()
    if padding not in ("same", "valid"):
        raise DataError(f"padding must be same or valid, got {padding!r}")
    pads = []
    for k in (0, 1):
        size, out = source[1 + k], output[1 + k]
        if out != (-(-size // stride[k]) if padding == "same" else (size - kernel[k]) // stride[k] + 1):
            raise DataError(f"out_shape must follow from in_shape, kernel, strides and padding, got {row['out_shape']}")
        pads.append(max((out - 1) * stride[k] + kernel[k] - size, 0) // 2)
    channels, out_channels = source[3], output[3]
    if out_channels % channels if kind == "dw" else kind != "conv" and out_channels != channels:
        raise DataError(f"out_shape must have {channels} channels, or a multiple in a depthwise, got {out_channels}")
    return Geometry(
        kind, (source[1], source[2]), channels, (output[1], output[2]), out_channels, (kernel[0], kernel[1]),
        (stride[0], stride[1]), pads=(pads[0], pads[1]), multiplier=out_channels // channels if kind == "dw" else 1,
        operands=prod(source),
    )  # fmt: skip


def _sides(row: Mapping[str, str], column: str, count: int | None = None) -> tuple[int, ...]:
    text = row.get(column, "")
    if not re.fullmatch(r"[1-9]\d{0,6}(x[1-9]\d{0,6})*", text) or (count and text.count("x") != count - 1):
        form = {2: "3x3", 4: "1x32x32x3"}.get(count or 0, "1x10")
        raise DataError(f"{column} must be written like {form}, got {text!r}")
    return tuple(map(int, text.split("x")))


def _number(column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (isfinite(value) and value > 0):
        raise DataError(f"{column} must be a number above 0, got {text!r}")
    return value
