"""How the figures of a closed runtime are shown: each as a band, and what that means for limits."""

from __future__ import annotations

from typing import Any

from nas import wording
from targets.x_cube_ai import Band, Bands

FIGURES = ("flash_bytes", "ram_bytes", "latency_ms", "energy_uj")
LIMITED = "A closed runtime's figures are bands over published networks; its limits are checked against the upper ends."


def span(bands: Bands, name: str) -> str:
    """`26.1 KB to 57.3 KB`."""
    band: Band | None = getattr(bands, name)
    if band is None:
        return wording.UNKNOWN
    return f"{wording.quantity(name, band.low)} to {wording.quantity(name, band.high)}"


def record(bands: Bands | None) -> dict[str, Any] | None:
    """The bands as plain values; None for an open runtime."""
    if bands is None:
        return None
    found: dict[str, Band | None] = {name: getattr(bands, name) for name in FIGURES}
    return {name: None if band is None else {"low": band.low, "high": band.high} for name, band in found.items()}
