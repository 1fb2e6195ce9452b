"""Arrays by name ⇄ the bytes of a safetensors file: how weights and optimiser states rest on disk. Never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as _load
from safetensors.numpy import save as _save

from search_spaces.errors import RunFolderError


def dump(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The file's bytes; equal arrays give equal bytes whatever order they come in."""
    return bytes(_save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}))


def load(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a file.

    Raises:
        RunFolderError: there is no such file, or it is not a whole safetensors file.
    """
    try:
        return dict(_load(path.read_bytes()))
    except FileNotFoundError:
        raise RunFolderError(f"checkpoint {path} is missing; start the run again without --resume") from None
    except (SafetensorError, ValueError) as error:
        raise RunFolderError(f"checkpoint {path} cannot be read ({error}); start again without --resume") from None
