"""Arm's Ethos-U NPUs, estimated by Arm's own compiler: `ethos-u-vela`, driven by its command line.

Vela may live in an environment of its own; its Python interface changes between versions, the files it writes do not.
Read with version 5.2: `*_summary_*.csv` holds the network in one row, `*_per-layer.csv` its operators.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from search_spaces.errors import TargetError
from targets.device import Device
from targets.vendor import VendorCall, VendorEstimate

CONFIG = "Arm/vela.ini"  # comes with Vela: Arm's system configurations and memory modes
TIMEOUT_SECONDS = 300.0  # of one call; MobileNetV1 x1.0 takes one second
INSTALL = "pip install ethos-u-vela"
_ERROR = re.compile(r"[\w.]*(?:error|exception): .*|\w+: error: .*", re.IGNORECASE)


def executable(device: Device) -> str:
    """Where Vela is: the device's `vela`, else the one on PATH, else the one of this Python's environment.

    Raises:
        TargetError: it is nowhere.
    """
    if device.vela is not None:
        found = shutil.which(device.vela)
        if found is None:
            raise TargetError(f"vela must be a program, got {device.vela!r} in device {device.name!r}")
        return found
    found = shutil.which("vela") or shutil.which("vela", path=str(Path(sys.executable).parent))
    if found is None:
        law = f"{device.npu} is estimated by Arm's ethos-u-vela, which is not installed"
        raise TargetError(f'{law}: {INSTALL} (or set vela = "/its/path" in a device file of yours)')
    return found


def estimate(tflite: bytes, device: Device, *, timeout_seconds: float = TIMEOUT_SECONDS) -> VendorEstimate:
    """What Vela says of a `.tflite` file on the device's NPU. Its files lie in a temporary folder, and only meanwhile.

    Raises:
        TargetError: Vela is not installed, fails, takes longer than `timeout_seconds`, or writes what is not known
            here; or the device has no NPU.
    """
    if device.npu is None or device.npu_system_config is None or device.npu_memory_mode is None:
        raise TargetError(f"device {device.name!r} has no NPU that Vela compiles for")
    vela = executable(device)
    with tempfile.TemporaryDirectory(prefix="vela-") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(tflite)
        version = _run(vela, ["--version"], folder, timeout_seconds).strip()
        given = ["--accelerator-config", device.npu, "--config", CONFIG, "--system-config", device.npu_system_config]
        wanted = ["--memory-mode", device.npu_memory_mode, "--verbose-performance", "--output-dir", "out"]
        _run(vela, ["model.tflite", *given, *wanted], folder, timeout_seconds)
        return read(folder / "out", version)


def _run(vela: str, arguments: list[str], folder: Path, timeout_seconds: float) -> str:
    """Standard output of a call that went well. It goes to a file, since a pipe would outlive a killed process."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    out, err = folder / "stdout", folder / "stderr"
    try:
        with out.open("wb") as stdout, err.open("wb") as stderr:
            code = subprocess.run(
                [vela, *arguments],
                cwd=folder, env=environment, timeout=timeout_seconds,
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, check=False,
            ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TargetError(f"{vela} was stopped: it must answer within {timeout_seconds:g} s") from None
    except OSError as error:
        raise TargetError(f"{vela} cannot be run: {error.strerror}") from None
    if code:
        raise TargetError(f"{vela} failed: {first_error(err.read_text(errors='replace'), code)}")
    return out.read_text(errors="replace")


def first_error(text: str, code: int) -> str:
    """The first line of what a failed program said that names an error, else its last line, else its exit code."""
    lines = [line for line in text.splitlines() if line.strip()]
    named = (line for line in lines if _ERROR.match(line))
    return next(named, lines[-1].strip() if lines else f"exit code {code}")


def read(folder: Path, version: str) -> VendorEstimate:
    """The estimate that Vela wrote into a folder.

    Raises:
        TargetError: a file, a column or a number of it is missing.
    """
    try:
        (summary,) = _rows(folder, "*_summary_*.csv")
        calls = tuple(_call(row) for row in _rows(folder, "*_per-layer.csv"))
        chosen = [summary[name] for name in ("accelerator_configuration", "system_config", "memory_mode")]
        return VendorEstimate(
            tool="Vela",
            version=version,
            configuration=", ".join(chosen),
            clock_hz=int(float(summary["core_clock"])),
            cycles=int(float(summary["cycles_total"])),
            compute_cycles=int(float(summary["cycles_npu"])),
            latency_ms=1e3 * float(summary["inference_time"]),
            sram_bytes=_kib(summary["sram_memory_used"]),
            dram_bytes=_kib(summary["dram_memory_used"]),
            flash_bytes=_kib(summary["off_chip_flash_memory_used"]) + _kib(summary["on_chip_flash_memory_used"]),
            macs=int(float(summary["nn_macs"])),
            calls=calls,
        )
    except (KeyError, ValueError) as error:
        law = "the files of Vela must be those of version 5"
        raise TargetError(f"{law}, version {version or 'unknown'} lacks {error}; {INSTALL}") from None


def _rows(folder: Path, pattern: str) -> list[dict[str, str]]:
    """The rows of the one file of that name."""
    for file in folder.glob(pattern):
        with file.open(newline="") as lines:
            return list(csv.DictReader(lines))
    raise KeyError(pattern)


def _call(row: dict[str, str]) -> VendorCall:
    return VendorCall(
        row["Original Operator"], row["Target"] == "NPU", int(float(row["MAC Count"])), int(float(row["Op Cycles"]))
    )


def _kib(text: str) -> int:
    """Bytes of a figure in KiB."""
    return round(1024 * float(text))
