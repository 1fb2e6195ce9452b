"""Energy: on one board and runtime, power while inferring hardly depends on the network, so energy is power x time.

Within one MLPerf Tiny submission on a CPU the four networks' powers differ by 2 to 12 %. A data sheet's current is
for other code: boards were measured at 1.8 to 2.6 times what theirs says, hence `Device.energy_band_factor`.
"""

from __future__ import annotations

from targets.device import Device


def energy_uj(latency_ms: float | None, device: Device) -> float | None:
    """Microjoules of one inference; None for a device without a latency or a power."""
    if latency_ms is None or device.active_power_mw is None:
        return None
    return device.active_power_mw * latency_ms
