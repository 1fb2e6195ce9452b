"""`nas calibrate`: measurements of a board become a device file of their own, which says what it was made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from nas import measurements, wording
from nas.atomic import write_text
from search_spaces.errors import RunFolderError
from targets.calibration import Calibration, calibrate, errors_percent
from targets.device import Device, device_file, load_device
from targets.program import Runtime

UNCALIBRATED_PERCENT = 30.0
"""The band of a device that so few measurements were made of that none could be left out."""

FITTED = ("cycles_scale", "cycles_per_weight_load", "cycles_per_call", "latency_band_percent")


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
    """

    base: Device
    file: str
    table: str
    digest: str
    rows: int
    before_percent: tuple[float, ...]
    found: Calibration

    def text(self) -> str:
        """The errors before and after, and the numbers, as a table."""
        found, rows = self.found, [("", "mean error", "95 % within", "mean signed")]
        rows.append((f"before, by {self.file}", *_errors(self.before_percent)))
        rows.append(("after, each row left out of its fit", *_errors(found.left_out_percent)))
        numbers = [
            ("cycles_scale", f"{found.cycles_scale:.4g}"),
            ("cycles_per_weight_load", f"{found.cycles_per_weight_load:.4g}"),
            ("cycles_per_call", f"{found.cycles_per_call:.4g}"),
            ("latency_band_percent", f"{self.band_percent:g}"),
        ]
        return f"{self.rows} measurements\n\n{wording.columns(rows)}\n\n{wording.columns(numbers)}"

    @property
    def band_percent(self) -> float:
        """Of the new device's latency."""
        return self.found.band_percent or self.base.latency_band_percent or UNCALIBRATED_PERCENT

    def toml(self) -> str:
        """The device file."""
        base, found = self.base, self.found
        known = [f"mean {_errors(errors)[0]} {words}" for errors, words in (
            (self.before_percent, f"with the numbers of {self.file}"),
            (found.left_out_percent, "with these, each row left out of its fit"),
        ) if errors]  # fmt: skip
        lines = [
            f"# {base.title}, calibrated by `nas calibrate` from {self.rows} measurements: {self.table},",
            f"# SHA-256 {self.digest}.",
            *([f"# Error of a row: {'; '.join(known)}."] if known else []),
        ]
        for field in fields(Device):
            value, name = getattr(base, field.name), field.name
            if name in ("name", "unverified", *FITTED) or value is None:
                continue
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}  # as in {self.file}")
        lines.append(f"# Cycles on the board: times what {base.kernels} counts, loads from the weights, and calls.")
        lines += [f"{name} = {float(f'{getattr(found, name):.4g}')!r}" for name in FITTED[:3]]
        left_out = found.band_percent is not None
        why = "95 % of rows left out of the fit stay within it" if left_out else "too few rows to say it from them"
        lines.append(f"latency_band_percent = {self.band_percent!r}  # {why}")
        if doubtful := [name for name in base.unverified if name not in FITTED]:
            lines.append(f"unverified = {json.dumps(doubtful)}  # as in {self.file}")
        return "\n".join(lines) + "\n"


def calibrated(board: str, table: Path, runtime: Runtime) -> Calibrated:
    """A board's calibration from a table of measurements (`nas.measurements`).

    Raises:
        TargetError: the board is unknown or has no kernel prices.
        DataError: a row cannot be used.
    """
    base, content = load_device(board), table.read_bytes()
    rows = measurements.read(table, base, runtime)
    before: list[float] = []
    if base.cycles_scale is not None:
        before = errors_percent(rows, base.cycles_scale, base.cycles_per_weight_load, base.cycles_per_call)
    digest = hashlib.sha256(content).hexdigest()
    file = device_file(board).name
    return Calibrated(base, file, table.name, digest, len(rows), tuple(before), calibrate(rows))


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
