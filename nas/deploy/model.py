"""From a model's folder or a `.tflite` file to exported C, and to its proof on an emulated core."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from nas.deploy.bill import bill_of
from nas.deploy.emulate import EmulationReport, emulate
from nas.deploy.export_c import CORES, export_c
from nas.deploy.layers import network_of
from nas.deploy.tflite_reader import read
from search_spaces.errors import InputError, TargetError
from targets.device import Device

FILE = "model.tflite"
DEFAULT_CORE = "m4"


def tflite_of(what: Path) -> Path:
    """The `.tflite` file of a model's folder, or the file itself.

    Raises:
        InputError: there is none.
    """
    file = what / FILE if what.is_dir() else what
    if not file.is_file():
        raise InputError(f"{what} must be a .tflite file or a folder with {FILE}, such as DIR/models/ID")
    return file


def export(what: Path, out: Path | None, *, core: str = DEFAULT_CORE, name: str = "model", force: bool = False) -> str:
    """Writes the C of a model, without `out` to a folder beside its file; returns what to tell the user."""
    file = tflite_of(what)
    folder = out or file.parent / ("c" if what.is_dir() else f"{file.stem}-c")
    made = export_c(file.read_bytes(), folder, core=core, name=name, force=force)
    return (
        f"{folder}: {len(made.sources)} C files for Cortex-{core.upper()}; static RAM {made.arena_bytes:,} bytes, "
        f"constants {made.constant_bytes:,} bytes of flash, no heap\nprove it on an emulated core: nas emulate {what}"
    )


def prove(
    what: Path,
    *,
    core: str | None = None,
    count: int = 20,
    seed: int = 0,
    device: Device | None = None,
    emulator: str | None = None,
    compiler: str | None = None,
) -> EmulationReport:
    """A model's C on an emulated core, fed random bytes: what a kernel costs hardly depends on them.

    Args:
        core: without it the device's, else a Cortex-M4.
        device: whose flash and RAM the firmware must fit.
    """
    if count < 1:
        raise InputError(f"--images must be 1 at least, got {count}")
    core = core or core_of(device)
    content = tflite_of(what).read_bytes()
    bill = bill_of(network_of(read(content)), core, len(content)) if core in CORES else None
    with tempfile.TemporaryDirectory(prefix="c-") as temporary:
        folder = Path(temporary) / "c"
        exported = export_c(content, folder, core=core)
        shape = (count, *exported.input_shape)
        images = np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int8)
        return emulate(folder, core, images, device=device, bill=bill, emulator=emulator, compiler=compiler)


def core_of(device: Device | None) -> str:
    """The core whose code a device runs.

    Raises:
        TargetError: generated C is not for it.
    """
    if device is None:
        return DEFAULT_CORE
    core = (device.kernels or "").removeprefix("cortex_")
    if core not in CORES:
        raise TargetError(f"C on CMSIS-NN is for Cortex-M cores, {device.name} has {device.core}; name one with --core")
    return core
