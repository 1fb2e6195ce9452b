"""Arrays that are too large for memory: files inside the run folder, which live as long as the run.

Workers of the same machine (and of others, where the run folder is shared) open the file instead of getting a copy: the
system's page cache holds it once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from search_spaces.errors import RunFolderError

PREFIX = ".pixels-"


class Scratch:
    """A place for large arrays; use as a context manager, which takes away whatever was made.

    Args:
        home: the run folder. It is made when the first array is, and taken away again if nothing else came into it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder: Path | None = None
        self._made: list[Path] = []

    def empty(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A uint8 array in a file of its own; the room on the disk is taken at once.

        Raises:
            RunFolderError: there is no room, or the folder cannot be written.
        """
        size = int(np.prod(shape))
        try:
            path = self._ensured() / f"{name}.npy"
            array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
            if hasattr(os, "posix_fallocate"):  # writing into a file with holes on a full disk would kill the process
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            law = f"{size >> 20} MB of decoded pictures must have room in {self._home}"
            raise RunFolderError(f"{law}: {error.strerror}; free space or choose another --out") from None
        return array

    def sweep(self) -> None:
        """Takes away what killed runs left in the folder; only who holds the folder's ledger may."""
        for folder in self._home.glob(f"{PREFIX}*"):
            if folder != self._folder:
                shutil.rmtree(folder, ignore_errors=True)

    def _ensured(self) -> Path:
        if self._folder is None:
            missing = [path for path in (self._home, *self._home.parents) if not path.exists()]
            self._home.mkdir(parents=True, exist_ok=True)
            self._made = missing
            self._folder = Path(tempfile.mkdtemp(dir=self._home, prefix=PREFIX))
        return self._folder

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        for path in self._made:
            try:
                path.rmdir()
            except OSError:
                break  # something is in it


@dataclass(frozen=True)
class Mapped:
    """Where an array lies in a file."""

    path: Path
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]


def portable(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | Mapped]:
    """The arrays as they are sent to another process: those that are a whole file by its name."""
    return {name: _mapped(array) or array for name, array in arrays.items()}


def opened(arrays: Mapping[str, np.ndarray | Mapped]) -> dict[str, np.ndarray]:
    """What `portable` was given, files opened for reading."""
    return {
        name: np.memmap(array.path, array.dtype, "r", array.offset, array.shape) if isinstance(array, Mapped) else array
        for name, array in arrays.items()
    }


def _mapped(array: np.ndarray) -> Mapped | None:
    """Where an array lies, if it is all of a file; a part of one does not know where it begins."""
    if not isinstance(array, np.memmap) or array.filename is None or not array.flags.c_contiguous:
        return None
    path = Path(array.filename).resolve()
    if array.offset + array.nbytes != path.stat().st_size:
        return None
    return Mapped(path, array.dtype, array.offset, array.shape)
