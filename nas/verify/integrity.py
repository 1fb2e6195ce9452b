"""Is a run's folder what the run left behind? `manifest.json` holds the SHA-256 of everything that must not change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nas.inputs import file_digest
from nas.manifest import MANIFEST_FILE
from search_spaces.errors import RunFolderError


def check_files(folder: Path) -> dict[str, str]:
    """Compares every file of the manifest.

    Returns:
        SHA-256 of what the run was given, by name: the model and the arrays of the data.

    Raises:
        RunFolderError: the manifest or a file is missing or changed; the message names the first.
    """
    manifest = _read(folder / MANIFEST_FILE)
    damaged = []
    for path, digest in manifest["artefacts"].items():
        if not (folder / path).is_file():
            damaged.append(f"{path} is missing")
        elif (found := file_digest(folder / path)) != digest:
            damaged.append(f"{path} must have SHA-256 {digest[:12]}..., has {found[:12]}...")
    if damaged:
        more = f", and {len(damaged) - 1} more files are damaged" if len(damaged) > 1 else ""
        raise RunFolderError(f"{folder}: {damaged[0]}{more}; restore the folder or run again")
    inputs: dict[str, str] = manifest["inputs"]
    return inputs


def check_inputs(wanted: dict[str, str], found: dict[str, str]) -> None:
    """Compares what the run was given with what its config names now.

    Raises:
        RunFolderError: it is another model or other data.
    """
    changed = [name for name in wanted if found.get(name) != wanted[name]]
    if changed:
        advice = "verify with what the run was given, or run again"
        raise RunFolderError(f"{', '.join(changed)} changed since the run (SHA-256 in {MANIFEST_FILE}); {advice}")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for key in ("inputs", "artefacts"):
            if not all(isinstance(digest, str) for digest in found[key].values()):
                raise TypeError(f"{key} must map names to SHA-256")
    except FileNotFoundError:
        raise RunFolderError(f"{path.parent} holds no {path.name}: give the folder of a finished run") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{path} cannot be read ({type(error).__name__}: {error}); restore it") from None
    if not isinstance(found, dict) or not found["artefacts"]:
        raise RunFolderError(f"{path} names no file; run again")
    return found
