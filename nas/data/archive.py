"""Arrays of an `.npz`: headers first, so that what they announce is known before memory is taken for it.

Only the named arrays are read; nothing is unpickled.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Container
from pathlib import Path

import numpy as np

from search_spaces.errors import DataError

MOST_BYTES = 1 << 30
"""Of all arrays together. Reading, converting and splitting them takes up to as much again."""


def read_arrays(path: Path, wanted: Container[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The wanted arrays by name, and the names of all others.

    Raises:
        DataError: the file is damaged, too large, or holds objects.
    """
    name = str(path)
    if not zipfile.is_zipfile(path):
        raise DataError(f"{name} is not an .npz, or is cut short; write it with numpy.savez(x_train=..., ...)")
    try:
        with zipfile.ZipFile(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on headers that Python 2 wrote
            members = {info.filename.removesuffix(".npy"): info for info in file.infolist()}
            chosen = {key: info for key, info in members.items() if key in wanted}
            _check_sizes(name, {key: _announced(file, info, name) for key, info in chosen.items()})
            found = {key: _array(file, info) for key, info in chosen.items()}
    except DataError:
        raise
    except Exception as error:  # what damage looks like is up to zipfile, zlib and NumPy
        reason = (str(error) or type(error).__name__)[:200]
        raise DataError(f"{name} is damaged ({reason}); write it again with numpy.savez") from None
    return found, sorted(key for key in members if key not in wanted)


def _check_sizes(name: str, announced: dict[str, int]) -> None:
    total = sum(announced.values())
    if total > MOST_BYTES:
        largest = max(announced, key=lambda key: announced[key])
        law = f"must hold at most {MOST_BYTES >> 20} MB of arrays"
        advice = "give a folder of images, or a function that returns memory-mapped arrays"
        raise DataError(f"{name} {law}, {largest} alone has {announced[largest] >> 20} of {total >> 20} MB; {advice}")


def _announced(file: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> int:
    """Bytes of the array that a member's header announces."""
    with file.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    if dtype.hasobject:
        key = info.filename.removesuffix(".npy")
        raise DataError(f"{name} must hold plain number arrays, never pickled objects, which {key} holds")
    size = dtype.itemsize
    for side in shape:
        size *= int(side)  # Python's integers do not overflow
    if min(shape, default=0) < 0 or size > info.file_size:
        raise ValueError(f"{info.filename} announces {shape} of {dtype}, which it does not hold")
    return size


def _array(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with file.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)
