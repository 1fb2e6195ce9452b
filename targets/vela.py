"""Arm's Ethos-U NPUs, estimated by Arm's own compiler: `ethos-u-vela`, driven by its command line.

Vela may live in an environment of its own; its Python interface changes between versions, the files it writes do not.
Read with version 5.2: `*_summary_*.csv` holds the network in one row, `*_per-layer.csv` its operators.
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from search_spaces.errors import TargetError
from targets import maker_program
from targets.device import Device
from targets.vendor import Compiled, VendorCall, VendorEstimate

NAME = "Vela"
CONFIG = "Arm/vela.ini"  # comes with Vela: Arm's system configurations and memory modes
INSTALL = "pip install ethos-u-vela"


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


def compiled(tflite: bytes, device: Device, *, timeout_seconds: float = maker_program.TIMEOUT_SECONDS) -> Compiled:
    """A `.tflite` file as Vela compiles it for the device's NPU, and what Vela says of it.

    Its files lie in a temporary folder, and only meanwhile.

    Raises:
        TargetError: Vela is not installed, fails, takes longer than `timeout_seconds`, or writes what is not known
            here; or the device has no NPU that it compiles for.
    """
    if device.npu is None or device.npu_system_config is None or device.npu_memory_mode is None:
        raise TargetError(f"device {device.name!r} has no NPU that Vela compiles for")
    vela = executable(device)
    version = _version(vela, Path(vela).stat().st_mtime_ns)
    with tempfile.TemporaryDirectory(prefix="vela-") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(tflite)
        given = ["--accelerator-config", device.npu, "--config", CONFIG, "--system-config", device.npu_system_config]
        wanted = ["--memory-mode", device.npu_memory_mode, "--verbose-performance", "--output-dir", "out"]
        command = [vela, "model.tflite", *given, *wanted]
        maker_program.run(command, folder, name=vela, timeout_seconds=timeout_seconds)
        found = read(folder / "out", version)
        for file in (folder / "out").glob("*_vela.tflite"):
            return Compiled(found, file.read_bytes())
    raise TargetError(f"the files of Vela must be those of version 5, version {version} lacks *_vela.tflite; {INSTALL}")


@cache
def _version(vela: str, modified_ns: int) -> str:
    """What a Vela of that time calls itself; asked once, since it takes as long as compiling."""
    with tempfile.TemporaryDirectory(prefix="vela-") as folder:
        return maker_program.run([vela, "--version"], Path(folder), name=vela).strip()


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
            tool=NAME,
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
    on_npu = row["Target"] == "NPU"
    cycles = int(float(row["Op Cycles"])) if on_npu else None
    return VendorCall(row["Original Operator"], on_npu, int(float(row["MAC Count"])), cycles)


def _kib(text: str) -> int:
    """Bytes of a figure in KiB."""
    return round(1024 * float(text))
