"""`manifest.json` and `environment.json`: what exactly was used and made, so that a folder can be checked later.

The manifest names what a run leaves behind for good: the models with their genomes, the result, the config, and an
original that was exported here. Tables, pictures and the report are made from these again; the ledger grows when a run
goes on.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version

from nas import atomic
from nas.artefacts import RunFolder
from nas.config import CONFIG_FILE
from nas.inputs import EXPORTED_FILE, Inputs, file_digest
from nas.result import RESULT_FILE, RunResult
from nas.version import VERSION

MANIFEST_FILE = "manifest.json"
PACKAGES = (
    "torch", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pymoo", "ray", "optuna", "pandas", "safetensors",
)  # fmt: skip


def write(folder: RunFolder, inputs: Inputs, result: RunResult) -> None:
    """SHA-256 of the original, every data array and every file that stays."""
    paths = [path for name in (CONFIG_FILE, RESULT_FILE, EXPORTED_FILE) if (path := folder.root / name).exists()]
    for point in result.points:
        paths += sorted(path for path in (folder.models / point.id).iterdir() if path.is_file())
    made = {path.relative_to(folder.root).as_posix(): file_digest(path) for path in paths}
    content = {"version": VERSION, "fingerprint": inputs.fingerprint, "inputs": inputs.digests, "artefacts": made}
    atomic.write_text(folder.root / MANIFEST_FILE, json.dumps(content, indent=1) + "\n")


def write_environment(folder: RunFolder, trained_on: str) -> None:
    """Versions and machine of this run.

    Args:
        trained_on: the device that students are trained on, by its name.
    """
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    machine = {
        "python": platform.python_version(), "system": platform.platform(), "processor": platform.machine(),
        "trained_on": trained_on,
    }  # fmt: skip
    atomic.write_text(folder.root / "environment.json", json.dumps(machine | {"packages": found}, indent=1) + "\n")
