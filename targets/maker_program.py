"""A chip maker's program, run as a process of its own in a folder that its files stay in."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from search_spaces.errors import TargetError

TIMEOUT_SECONDS = 300.0  # of one call; MobileNetV1 x1.0 takes Vela one second and rknn-toolkit2 five
_ERROR = re.compile(r"[\w.]*(?:error|exception): \S.*|\w+: error: .*", re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def run(command: Sequence[str], folder: Path, *, name: str, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """Standard output of a call that went well. It goes to a file, since a pipe would outlive a killed process.

    Args:
        folder: where it runs.
        name: as messages call it.

    Raises:
        TargetError: it cannot be run, fails, or takes longer than `timeout_seconds`.
    """
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    out, err = folder / "stdout", folder / "stderr"
    try:
        with out.open("wb") as stdout, err.open("wb") as stderr:
            code = subprocess.run(
                list(command),
                cwd=folder, env=environment, timeout=timeout_seconds,
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, check=False,
            ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TargetError(f"{name} was stopped: it must answer within {timeout_seconds:g} s") from None
    except OSError as error:
        raise TargetError(f"{name} cannot be run: {error.strerror}") from None
    if code:
        raise TargetError(f"{name} failed: {first_error(err.read_text(errors='replace'), code)}")
    return out.read_text(errors="replace")


def first_error(text: str, code: int) -> str:
    """The first line of what a failed program said that names an error, else its last line, else its exit code."""
    lines = [line for line in _COLOURS.sub("", text).splitlines() if line.strip()]
    named = (line for line in lines if _ERROR.match(line))
    return next(named, lines[-1].strip() if lines else f"exit code {code}")
