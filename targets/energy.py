"""Energy: on one board and runtime, power while inferring hardly depends on the network, so energy is power x time.

Within one MLPerf Tiny submission on a CPU the four networks' powers differ by 2 to 12 %.
"""

from __future__ import annotations

from targets.device import Device


def energy_uj(latency_ms: float, device: Device) -> float | None:
    """Microjoules of one inference; None for a device without a measured power."""
    return None if device.active_power_mw is None else device.active_power_mw * latency_ms
