"""`manifest.json` and `environment.json`: what exactly was used and made, so that a folder can be checked later."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version

from nas import atomic
from nas.artefacts import RunFolder
from nas.inputs import Inputs, file_digest
from nas.result import RunResult
from nas.version import VERSION

PACKAGES = ("torch", "onnx", "onnxruntime", "numpy", "pymoo", "ray", "optuna", "pandas", "safetensors")


def write(folder: RunFolder, inputs: Inputs, result: RunResult) -> None:
    """SHA-256 of the original, every data array and every exported file."""
    paths = [path for point in result.points for path in (point.onnx, point.tflite)]
    made = {path: file_digest(folder.root / path) for path in sorted(paths) if (folder.root / path).exists()}
    content = {"version": VERSION, "fingerprint": inputs.fingerprint, "inputs": inputs.digests, "artefacts": made}
    atomic.write_text(folder.root / "manifest.json", json.dumps(content, indent=1) + "\n")


def write_environment(folder: RunFolder) -> None:
    """Versions and machine of this run."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    machine = {"python": platform.python_version(), "system": platform.platform(), "processor": platform.machine()}
    atomic.write_text(folder.root / "environment.json", json.dumps(machine | {"packages": found}, indent=1) + "\n")
