"""Time: cycles of every kernel call on a board, and milliseconds at its clock."""

from __future__ import annotations

from collections.abc import Sequence

from targets.core import CallCost
from targets.device import Device
from targets.program import Runtime

CALL_CYCLES: dict[Runtime, int] = {"tflm": 450, "c": 0}
"""Cycles the runtime itself spends per call. TFLM: a whole invoke minus its only kernel took 440 to 459 cycles on an
nRF52832 and 474 to 511 on an STM32F446, for add, conv, pool and softmax alike (2,405 records of tk-king/MicroNas)."""


def call_cycles(cost: CallCost, device: Device, runtime: Runtime) -> float | None:
    """Cycles of one call on the device: the kernel's, what the chip adds, and the runtime's own; None without scale."""
    if device.cycles_scale is None:
        return None
    memory = device.cycles_per_weight_load * cost.weight_loads
    return device.cycles_scale * cost.counted + memory + device.cycles_per_call + CALL_CYCLES[runtime]


def latency_ms(costs: Sequence[CallCost], device: Device, runtime: Runtime) -> float | None:
    """Milliseconds of one inference, preparing the input not counted; None without scale or clock.

    Error band: `device.latency_band_percent`.
    """
    if device.cycles_scale is None or device.clock_hz is None:
        return None
    cycles = sum(cost.counted for cost in costs)
    loads = sum(cost.weight_loads for cost in costs)
    own = (device.cycles_per_call + CALL_CYCLES[runtime]) * len(costs)
    return 1e3 * (device.cycles_scale * cycles + device.cycles_per_weight_load * loads + own) / device.clock_hz
