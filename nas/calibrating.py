"""`nas calibrate`: measurements of a board become a device file of their own, which says what it was made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from nas import measurements, wording
from nas.atomic import write_text
from search_spaces.errors import RunFolderError, TargetError
from targets import x_cube_ai
from targets.calibration import Calibration, PowerCalibration, calibrate, calibrate_power, errors_percent
from targets.device import BoardPrices, Device, device_file, load_device
from targets.program import Runtime

UNCALIBRATED_PERCENT = 30.0
"""The least band of a device that so few measurements were made of that they say nothing of one."""

PLAUSIBLE_SCALES = (0.1, 20.0)
"""Board cycles per counted cycle or instruction; 0.79 to 1.46 on every board so far. What is beyond is another unit."""

UNCALIBRATED_POWER_PERCENT = 15.0
"""The band of a power from so few measurements: within one system it differs by 2 to 12 % from network to network."""

PRICES = tuple(field.name for field in fields(BoardPrices))
POWER = ("active_power_mw", "energy_band_percent", "energy_band_factor")


@dataclass(frozen=True)
class Calibrated:
    """A calibration and where it comes from.

    Attributes:
        base: the device whose kernels, clock, memories and power it keeps.
        file: the base's file name.
        table, digest: the measurements' file name and SHA-256.
        rows: how many measurements.
        before_percent: errors of the base's own numbers; empty if it has none.
        found: the fit.
        power: that of the rows that gave one; None without such.
    """

    base: Device
    file: str
    table: str
    digest: str
    rows: int
    before_percent: tuple[float, ...]
    found: Calibration
    power: PowerCalibration | None

    def text(self) -> str:
        """The errors before and after, and the numbers, as a table."""
        found, rows = self.found, [("", "mean error", "95 % within", "mean signed")]
        rows.append((f"before, by {self.file}", *_errors(self.before_percent)))
        rows.append(("after, each row left out of its fit", *_errors(found.left_out_percent)))
        if self.power is not None:
            rows.append(("power, each row left out of its fit", *_errors(self.power.left_out_percent)))
        prices = [("kernels", *PRICES), *[(path, *_numbers(found.prices(path))) for path in found.paths]]
        prices.append(("all others" if found.paths else "all", *_numbers(found.pooled)))
        bands = [("latency_band_percent", f"{self.band_percent:g}")]
        if self.power is not None:
            bands = [("active_power_mw", f"{self.power.active_power_mw:.4g}"), *bands]
            bands.append(("energy_band_percent", f"{self.power_band_percent:g}"))
        tables = [wording.columns(table) for table in (rows, prices, bands)]
        return "\n\n".join([wording.numbered(self.rows, "measurement"), *tables])

    @property
    def band_percent(self) -> float:
        """Of the new device's latency."""
        return self.found.band_percent or max(self.base.latency_band_percent or 0.0, UNCALIBRATED_PERCENT)

    @property
    def power_band_percent(self) -> float:
        """Of the new device's energy, its latency being right."""
        return (self.power and self.power.band_percent) or UNCALIBRATED_POWER_PERCENT

    def toml(self) -> str:
        """The device file."""
        base, found = self.base, self.found
        replaced = (*PRICES, "paths", "latency_band_percent", *(POWER if self.power is not None else ()))
        rows = wording.numbered(self.rows, "measurement")
        lines = [
            f"# {base.title}, calibrated by `nas calibrate` from {rows}: {self.table},",
            f"# SHA-256 {self.digest}.",
            *self._known(),
        ]
        for field in fields(Device):
            value, name = getattr(base, field.name), field.name
            if name in ("name", "unverified", *replaced) or value is None:
                continue
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}  # as in {self.file}")
        lines.append(f"# Cycles on the board: times what {base.kernels} counts, loads from the weights, and calls.")
        lines += _toml(found.pooled)
        left_out = "rows left out of the fit to all" if found.paths else "rows left out of the fit"
        lines.append(f"latency_band_percent = {self.band_percent!r}  # {_why(found.band_percent, left_out)}")
        if self.power is not None:
            lines.append("# Power while the rows ran that say it; the one number with the least relative error.")
            lines.append(f"active_power_mw = {_rounded(self.power.active_power_mw)!r}")
            why = _why(self.power.band_percent, "rows left out of it")
            lines.append(f"energy_band_percent = {self.power_band_percent!r}  # {why}")
        if doubtful := [name for name in base.unverified if name not in replaced]:
            lines.append(f"unverified = {json.dumps(doubtful)}  # as in {self.file}")
        for path, prices in found.paths.items():
            lines += [f"\n[paths.{path}]  # these kernels' own, from their rows alone", *_toml(prices)]
        return "\n".join(lines) + "\n"

    def _known(self) -> list[str]:
        """The comment on the errors before and after, as far as they are known."""
        known = [f"mean {_errors(errors)[0]} {words}" for errors, words in (
            (self.before_percent, f"with the numbers of {self.file}"),
            (self.found.left_out_percent, "with these, each row left out of its fit"),
        ) if errors]  # fmt: skip
        return [f"# Error of a row: {'; '.join(known)}."] if known else []


def calibrated(board: str, table: Path, runtime: Runtime) -> Calibrated:
    """A board's calibration from a table of measurements (`nas.measurements`).

    Raises:
        TargetError: the board is unknown or has no kernel prices, the runtime's kernels are closed, or the rows take
            more or less than any chip would.
        DataError: a row cannot be used.
    """
    if runtime == x_cube_ai.RUNTIME:
        raise TargetError(
            "calibration must be for kernels whose loops are known, x-cube-ai's are closed; use tflm or c"
        )
    base, content = load_device(board), table.read_bytes()
    _ = base.kernel_core  # a board without prices is told before its table is judged
    rows = measurements.read(table, base, runtime)
    before: list[float] = []
    if base.cycles_scale is not None:
        before = errors_percent(rows, base.prices)
    powers = [row.power_mw for row in rows if row.power_mw is not None]
    power = calibrate_power(powers) if powers else None
    digest = hashlib.sha256(content).hexdigest()
    file, found = device_file(board).name, calibrate(rows)
    least, most = PLAUSIBLE_SCALES
    if not least <= found.pooled.cycles_scale <= most:
        law = f"a board takes {least:g} to {most:g} of its cycles for one that is counted"
        raise TargetError(f"{law}, these rows {found.pooled.cycles_scale:.4g}; check the units of {table.name}")
    return Calibrated(base, file, table.name, digest, len(rows), tuple(before), found, power)


def write(found: Calibrated, out: Path, *, force: bool) -> None:
    """Writes the device file and reads it back.

    Raises:
        RunFolderError: it exists and `force` is not given, or it cannot be written.
    """
    if out.suffix != ".toml":
        raise RunFolderError(f"a device is a .toml file, got --out {out}")
    if out.exists() and not force:
        raise RunFolderError(f"{out} exists; give --force to replace it, or another --out")
    write_text(out, found.toml())
    load_device(out)


def _errors(percents: tuple[float, ...]) -> tuple[str, str, str]:
    """Mean, 95th percentile and mean signed error."""
    if not percents:
        return (wording.UNKNOWN,) * 3
    size, signed = np.abs(percents), wording.number(float(np.mean(percents)), 1)
    return f"{size.mean():.1f} %", f"{np.quantile(size, 0.95):.1f} %", f"{signed} %"


def _why(band_percent: float | None, rows: str) -> str:
    """What a band was taken from."""
    return "too few rows to say it from them" if band_percent is None else f"95 % of {rows} stay within it"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _numbers(prices: BoardPrices) -> list[str]:
    return [f"{getattr(prices, name):.4g}" for name in PRICES]


def _toml(prices: BoardPrices) -> list[str]:
    return [f"{name} = {_rounded(getattr(prices, name))!r}" for name in PRICES]
