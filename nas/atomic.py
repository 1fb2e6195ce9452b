"""Files that are either the old one or the new one, never half of either."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from search_spaces.errors import RunFolderError


def write_bytes(path: Path, content: bytes) -> None:
    """Writes beside `path`, flushes to the disk, and renames over it; the folder is made where it is missing.

    Raises:
        RunFolderError: the disk is full, the folder is read-only, or a file stands where a folder should.
    """
    ensure_folder(path.parent)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # a temporary file is private; results are not
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise RunFolderError(
            f"{path} cannot be written: {error.strerror}; free space or choose another --out"
        ) from None


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_text` of indented JSON; NaN and infinity are refused, since JSON has neither.

    Raises:
        ValueError: `value` holds one of them.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def ensure_folder(path: Path) -> None:
    """Makes a folder and those above it.

    Raises:
        RunFolderError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"folder {path} cannot be made: {error.strerror}; choose another --out") from None
