"""Devices as data: one TOML file each, every number with its unit in the key and its source in a comment."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from search_spaces.errors import TargetError
from targets.core import Core, load_core
from targets.program import LEVELS

DEVICES = Path(__file__).parent / "devices"
DEFAULT_DEVICE = "nrf52840"
ETHOS = re.compile(r"ethos-u(55|65|85)-\d+")
RKNN = re.compile(r"rv110[36]b?")
WEIGHT_TYPES = ("int16", "int8", "int4", "int2", "int1", "fp16")
LISTS = frozenset({"unverified", "weight_types"})
MAY_BE_ZERO = frozenset({"cycles_per_weight_load", "cycles_per_call"})


@dataclass(frozen=True)
class BoardPrices:
    """What a chip makes of a kernel call's counts; see `Device`.

    Raises:
        TargetError: the scale is not positive, or another price is negative.
    """

    cycles_scale: float
    cycles_per_weight_load: float = 0.0
    cycles_per_call: float = 0.0

    def __post_init__(self) -> None:
        _check_positive(self, "one of its prices")

    def cycles(self, counted: float, weight_loads: float, calls: int = 1) -> float:
        """Cycles on the chip, the runtime's own not counted."""
        return self.cycles_scale * counted + self.cycles_per_weight_load * weight_loads + self.cycles_per_call * calls


@dataclass(frozen=True)
class Device:
    """A processor at one clock, with one set of kernels. What nobody knows is None, and what needs it has no price.

    Attributes:
        name: the file's name, `title` the maker's.
        core: the processor core in words.
        kernels: name of the kernel prices, a file in `targets/data` (see `kernel_core`); without one, only what does
            not depend on the device is priced.
        clock_hz: the clock that the latency is for.
        flash_bytes, ram_bytes: limits of a search. RAM is what one tensor arena can have: the largest single memory
            that the core reads at speed.
        cycles_scale, cycles_per_weight_load, cycles_per_call: what the chip adds: cycles of a call on it are
            `cycles_scale * counted + cycles_per_weight_load * weight_loads + cycles_per_call` of
            `targets.core.CallCost`, and the runtime's own. For a core whose prices are executed instructions the scale
            is in cycles per instruction. Without a scale there is no latency.
        paths: the same three for calls of one code path (`targets.kernels.path`), where that was measured apart.
        latency_band_percent: half-width of the band a measured latency is expected in.
        active_power_mw: power while inferring, as measured (then `energy_band_percent` is the band's half-width) or as
            the data sheet has it for other code (then a measured energy lies within `energy_band_factor` of the
            estimate, either way); None where neither is known, then energy stays empty.
        compiler_level: what the compiler is told to do with the runtime and the kernels, one of
            `targets.program.LEVELS`. Code bytes and latency follow it; X-CUBE-AI comes compiled.
        npu: the accelerator as its maker's tool calls it: such as "ethos-u55-128" or "rv1106".
        npu_system_config, npu_memory_mode: of an Ethos-U, Arm's names of what it is estimated in (`targets.vela`).
        npu_clock_hz: of one of Rockchip's, whose tool counts cycles alone (`targets.rknn`).
        vela: Vela's program, where it is not on PATH.
        rknn_python: the Python of rknn-toolkit2's environment, where NAS_RKNN_PYTHON does not name it.
        weight_types: what a network's weights may be where it is to run as a whole (`targets.npu_support`).
        unverified: numbers that were not checked against the maker's data sheet or a board's files.

    Raises:
        TargetError: a number is not positive, comes without its band, or `unverified` names one that is not there; the
            compiler level is unknown;
            `paths` has one the kernels have not, or stands alone; an NPU has another name, or lacks a configuration;
            or a type of weights is unknown.
    """

    name: str
    title: str
    core: str
    kernels: str | None = None
    clock_hz: int | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    cycles_scale: float | None = None
    cycles_per_weight_load: float = 0.0
    cycles_per_call: float = 0.0
    paths: Mapping[str, BoardPrices] = field(default_factory=dict)
    latency_band_percent: float | None = None
    active_power_mw: float | None = None
    energy_band_percent: float | None = None
    energy_band_factor: float | None = None
    compiler_level: str = "O3"
    npu: str | None = None
    npu_system_config: str | None = None
    npu_memory_mode: str | None = None
    npu_clock_hz: int | None = None
    vela: str | None = None
    rknn_python: str | None = None
    weight_types: tuple[str, ...] = ("int8",)
    unverified: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_positive(self, f"device {self.name!r}")
        if (self.cycles_scale is None) != (self.latency_band_percent is None):
            raise TargetError(f"cycles_scale and latency_band_percent come together in device {self.name!r}")
        if self.paths and (self.cycles_scale is None or not self.paths.keys() <= self.kernel_core.loops.keys()):
            law = "paths must be code paths of its kernels, beside a cycles_scale of all others"
            raise TargetError(f"{law}, got {', '.join(sorted(self.paths))} in device {self.name!r}")
        bands = [band for band in (self.energy_band_percent, self.energy_band_factor) if band is not None]
        if len(bands) != (self.active_power_mw is not None):
            law = "active_power_mw comes together with one of energy_band_percent and energy_band_factor"
            raise TargetError(f"{law} in device {self.name!r}")
        if self.energy_band_factor is not None and self.energy_band_factor <= 1:
            law = f"energy_band_factor must be > 1, got {self.energy_band_factor}"
            raise TargetError(f"{law} in device {self.name!r}")
        if self.compiler_level not in LEVELS:
            law = f"compiler_level must be one of {', '.join(LEVELS)}, got {self.compiler_level!r}"
            raise TargetError(f"{law} in device {self.name!r}")
        self._check_npu()
        if not self.weight_types or not set(self.weight_types) <= set(WEIGHT_TYPES):
            law = f"weight_types must be some of {', '.join(WEIGHT_TYPES)}"
            raise TargetError(f"{law}, got {list(self.weight_types)} in device {self.name!r}")
        for name in self.unverified:
            if getattr(self, name, None) is None:
                raise TargetError(f"unverified must name numbers of the file, got {name!r} in device {self.name!r}")

    def _check_npu(self) -> None:
        """Raises TargetError unless an NPU comes with what its maker's tool must be told, and nothing else does."""
        configured = ("npu_system_config", "npu_memory_mode")
        given = tuple(name for name in (*configured, "npu_clock_hz") if getattr(self, name) is not None)
        if self.npu is None:
            wanted: tuple[str, ...] = ()
        elif ETHOS.fullmatch(self.npu):
            wanted = configured
        elif RKNN.fullmatch(self.npu):
            wanted = ("npu_clock_hz",)
        else:
            raise TargetError(f"npu must be like ethos-u55-128 or rv1106, got {self.npu!r} in device {self.name!r}")
        if given != wanted:
            law = "npu_system_config and npu_memory_mode come with an Ethos-U, npu_clock_hz with an rv1106"
            raise TargetError(f"{law}, got {', '.join(given) or 'none of them'} in device {self.name!r}")

    @property
    def kernel_core(self) -> Core:
        """The core's kernel prices.

        Raises:
            TargetError: the device has none.
        """
        if self.kernels is None:
            raise TargetError(f"device {self.name!r} has no kernel prices, so it has no bill")
        return load_core(self.kernels)

    def prices(self, path: str | None = None) -> BoardPrices:
        """What the chip adds to calls of a code path, or to a whole network's.

        Raises:
            TargetError: nothing is known of that.
        """
        return self.paths.get(path, self._pooled) if path else self._pooled

    @cached_property
    def _pooled(self) -> BoardPrices:
        if self.cycles_scale is None:
            raise TargetError(f"device {self.name!r} has no cycles_scale, so it has no latency")
        return BoardPrices(self.cycles_scale, self.cycles_per_weight_load, self.cycles_per_call)

    @property
    def priced(self) -> frozenset[str]:
        """The quantities of `targets.cost.Cost` that depend on the device and can be priced for it."""
        if self.kernels is None:
            return frozenset()
        timed = {"latency_ms"} if self.clock_hz and self.cycles_scale else set()
        powered = {"energy_uj"} if timed and self.active_power_mw else set()
        return frozenset({"flash_bytes", "ram_bytes", *timed, *powered})


def devices() -> list[str]:
    """Names of the devices the engine brings, sorted."""
    return sorted(file.stem for file in DEVICES.glob("*.toml"))


def load_device(name_or_path: str | Path) -> Device:
    """A device by name, or from a TOML file of yours.

    Raises:
        TargetError: there is no such device or file, or it lacks a number, has one too many, or a wrong one.
    """
    file = device_file(name_or_path)
    try:
        found = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TargetError(f"{file} is not TOML: {error}") from error
    keys = {each.name: str(each.type).split()[0] for each in fields(Device) if each.name != "name"}
    for key in found:
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            raise TargetError(f"{file.name} has no use for {key!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    missing = [key for key in ("title", "core") if key not in found]
    if missing:
        raise TargetError(f"{file.name} lacks {', '.join(missing)}")
    for key, value in found.items():
        if key in LISTS:
            if not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
                raise TargetError(f"{key} must be a list of texts, got {value!r} in {file.name}")
            found[key] = tuple(value)
        elif key == "paths":
            found[key] = _paths(value, file)
        elif type(value).__name__ not in (keys[key], "int" if keys[key] == "float" else keys[key]):
            raise TargetError(f"{key} must be {keys[key]}, got {value!r} in {file.name}")
    device = Device(file.stem, **found)
    if device.kernels is not None:
        load_core(device.kernels)
    return device


def _paths(tables: Any, file: Path) -> dict[str, BoardPrices]:
    """The tables `[paths.<code path>]` of a device file."""
    keys = [each.name for each in fields(BoardPrices)]
    found = {}
    for path, table in tables.items() if isinstance(tables, dict) else [("", tables)]:
        numbers = isinstance(table, dict) and all(type(value) in (int, float) for value in table.values())
        if not numbers or not {"cycles_scale"} <= table.keys() <= set(keys):
            law = f"[paths.{path or 'conv'}] must have the number cycles_scale and may have {' and '.join(keys[1:])}"
            raise TargetError(f"{law}, got {table!r} in {file.name}")
        found[path] = BoardPrices(**table)
    return found


def _check_positive(record: Any, place: str) -> None:
    for each in fields(record):
        value = getattr(record, each.name)
        if type(value) not in (int, float):
            continue
        if not isfinite(value):
            raise TargetError(f"{each.name} must be a finite number, got {value} in {place}")
        if value < 0 or (value == 0 and each.name not in MAY_BE_ZERO):
            raise TargetError(f"{each.name} must be > 0, got {value} in {place}")


def device_file(name_or_path: str | Path) -> Path:
    """The TOML file of a device.

    Raises:
        TargetError: there is none; the message has the nearest names.
    """
    file = Path(name_or_path)
    if file.suffix != ".toml":
        file = DEVICES / f"{str(name_or_path).lower()}.toml"
    if not file.is_file():
        near = get_close_matches(str(name_or_path).lower(), devices(), n=3, cutoff=0.5)
        known = f"nearest: {', '.join(near)}" if near else "`nas targets` lists them"
        raise TargetError(f"no device {str(name_or_path)!r}; {known} (or give a .toml file)")
    return file
