"""Time: cycles of every kernel call on a board, and milliseconds at its clock."""

from __future__ import annotations

from collections.abc import Sequence

from targets.core import CallCost
from targets.device import BoardPrices, Device
from targets.program import Runtime

CALL_CYCLES: dict[Runtime, int] = {"tflm": 450, "c": 0, "x-cube-ai": 0}
"""Cycles the runtime itself spends per call. TFLM: a whole invoke minus its only kernel took 440 to 459 cycles on an
nRF52832 and 474 to 511 on an STM32F446, for add, conv, pool and softmax alike (2,405 records of tk-king/MicroNas).
X-CUBE-AI's are in its own prices (`targets.x_cube_ai`)."""


def call_cycles(cost: CallCost, device: Device, runtime: Runtime) -> float | None:
    """Cycles of one call on the device: the kernel's, what the chip adds, and the runtime's own; None without scale."""
    if device.cycles_scale is None:
        return None
    return device.prices(cost.path).cycles(cost.counted, cost.weight_loads) + CALL_CYCLES[runtime]


def latency_ms(costs: Sequence[CallCost], device: Device, runtime: Runtime) -> float | None:
    """Milliseconds of one inference, preparing the input not counted; None without scale or clock.

    Error band: `device.latency_band_percent`.
    """
    if device.cycles_scale is None or device.clock_hz is None:
        return None
    cycles, rest = float(CALL_CYCLES[runtime] * len(costs)), costs
    for path, prices in device.paths.items():
        cycles += _kernels([cost for cost in costs if cost.path == path], prices)
        rest = [cost for cost in rest if cost.path != path]
    return 1e3 * (cycles + _kernels(rest, device.prices())) / device.clock_hz


def _kernels(costs: Sequence[CallCost], prices: BoardPrices) -> float:
    """Cycles of kernels that share their prices."""
    counted, loads = sum([cost.counted for cost in costs]), sum([cost.weight_loads for cost in costs])
    return prices.cycles(counted, loads, len(costs))
