"""Devices as data: one TOML file each, every number with its unit in the key and its source in a comment."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path

from search_spaces.errors import TargetError
from targets.core import Core, load_core

DEVICES = Path(__file__).parent / "devices"
DEFAULT_DEVICE = "nrf52840"


@dataclass(frozen=True)
class Device:
    """A microcontroller at one clock, with one set of kernels.

    Attributes:
        name: the file's name, `title` the maker's.
        core: the processor core in words.
        kernels: name of the kernel prices, a file in `targets/data` (see `kernel_core`).
        clock_hz, flash_bytes, ram_bytes: as the data sheet has them; flash and RAM are limits of a search.
        cycles_scale, cycles_per_weight_load: what the chip's memory adds: cycles on the chip are
            `cycles_scale * cycles + cycles_per_weight_load * weight_loads` of `targets.core.CallCost`.
        latency_band_percent: half-width of the band a measured latency is expected in.
        active_power_mw: power while inferring, measured; None where nobody published it, then energy stays empty.
        energy_band_percent: half-width of the band for the energy.

    Raises:
        TargetError: a number is not positive, or power comes without its band.
    """

    name: str
    title: str
    core: str
    kernels: str
    clock_hz: int
    flash_bytes: int
    ram_bytes: int
    cycles_scale: float
    cycles_per_weight_load: float
    latency_band_percent: float
    active_power_mw: float | None = None
    energy_band_percent: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) or value is None:
                continue
            if value < 0 or (value == 0 and field.name != "cycles_per_weight_load"):
                raise TargetError(f"{field.name} must be > 0, got {value} in device {self.name!r}")
        if (self.active_power_mw is None) != (self.energy_band_percent is None):
            raise TargetError(f"active_power_mw and energy_band_percent come together in device {self.name!r}")

    @property
    def kernel_core(self) -> Core:
        return load_core(self.kernels)


def devices() -> list[str]:
    """Names of the devices the engine brings, sorted."""
    return sorted(file.stem for file in DEVICES.glob("*.toml"))


def load_device(name_or_path: str | Path) -> Device:
    """A device by name, or from a TOML file of yours.

    Raises:
        TargetError: there is no such device or file, or it lacks a number, has one too many, or a wrong one.
    """
    file = Path(name_or_path)
    if file.suffix != ".toml":
        file = DEVICES / f"{str(name_or_path).lower()}.toml"
    if not file.is_file():
        near = get_close_matches(str(name_or_path).lower(), devices(), n=3, cutoff=0.3) or devices()
        raise TargetError(f"no device {str(name_or_path)!r}; nearest: {', '.join(near)} (or give a .toml file)")
    try:
        found = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TargetError(f"{file} is not TOML: {error}") from error
    keys = {field.name: field for field in fields(Device)}
    for key in found:
        if key not in keys or key == "name":
            near = get_close_matches(key, keys, n=1)
            raise TargetError(f"{file.name} has no use for {key!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    optional = {"active_power_mw", "energy_band_percent"}
    missing = [key for key in keys if key not in found and key not in optional and key != "name"]
    if missing:
        raise TargetError(f"{file.name} lacks {', '.join(missing)}")
    for key, value in found.items():
        wanted = str(keys[key].type).split()[0]
        if type(value).__name__ not in (wanted, "int" if wanted == "float" else wanted):
            raise TargetError(f"{key} must be {wanted}, got {value!r} in {file.name}")
    device = Device(file.stem, **found)
    load_core(device.kernels)
    return device
