"""Pictures that are not decoded yet: files whose headers were read, of one size once they are decoded.

A picture of another size is scaled to cover the model's input, then cut at the centre. Files are decoded by threads,
straight into one array; no two large pictures are ever in memory at once.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nas.config import available_cores
from nas.data.scratch import Scratch
from search_spaces.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # by content; EPS, for one, would start a program

KEPT_BYTES = 256 << 20
"""Decoded pictures up to this size are kept in memory, larger ones in a file of the run folder."""

MOST_PIXELS = 89_478_485  # Pillow's own line between a picture and a bomb: a quarter of a gigabyte at 24 bits
LARGE_PIXELS = 8_000_000  # pictures above this are decoded one at a time
MOST_THREADS = 16  # each holds a picture of up to `LARGE_PIXELS`, twice, at 4 bytes a pixel: 1 GB in all

Told = Callable[[str, float], None]
"""Hears what is being done, and the share of it that is done."""

T = TypeVar("T")


@dataclass(frozen=True)
class Pictures:
    """Picture files that stand for an array uint8 `N x C x H x W`.

    Attributes:
        files: `N` paths, as an array of objects.
        size: `(C, H, W)` that they are decoded to, C is 1 (grey) or 3 (RGB).
    """

    files: np.ndarray
    size: tuple[int, int, int]

    dtype = np.dtype(np.uint8)
    ndim = 4

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.files), *self.size)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: np.ndarray) -> Pictures:
        return Pictures(self.files[rows], self.size)

    def decode(self, into: np.ndarray) -> Iterator[int]:
        """Decodes all of them into an array of their shape, and yields how many are done.

        Raises:
            DataError: one cannot be decoded.
        """
        turn = threading.Lock()

        def one(row: int) -> None:
            into[row] = _decoded(self.files[row], self.size, turn)

        for done, _ in enumerate(_in_threads(one, range(len(self))), start=1):
            yield done


def read_headers(files: list[Path], size: tuple[int, ...] | None) -> tuple[Pictures, list[str]]:
    """The pictures, and a sentence on what will be done to them; nothing is decoded.

    Args:
        files: at least one.
        size: `(C, H, W)` that the model takes; None for that of the first picture.

    Raises:
        DataError: a file is no picture, or one that cannot be used.
    """
    headers = list(_in_threads(_header, files))
    if size is None:
        mode, width, height = headers[0]
        size = (1 if mode in ("1", "L") else 3), height, width
    channels, height, width = size
    wanted = "L" if channels == 1 else "RGB"
    scaled = sum(header[1:] != (width, height) for header in headers)
    modes = [mode for mode, _, _ in headers if mode not in (wanted, "1" if channels == 1 else wanted)]
    notes = []
    if scaled:
        notes.append(
            f"{scaled} of {len(files)} images were scaled to cover {height} x {width} and cut at the centre: "
            "the original must have been trained on images made alike."
        )
    if modes:
        kinds = ", ".join(sorted(set(modes)))
        notes.append(f"{len(modes)} of {len(files)} images were converted from {kinds} to {wanted}.")
    found = np.empty(len(files), object)
    found[:] = files
    return Pictures(found, (channels, height, width)), notes


def decode_all(
    splits: dict[str, Pictures], scratch: Scratch | None, told: Told = lambda text, share: None
) -> dict[str, np.ndarray]:
    """The splits as arrays: in memory where all of them take at most `KEPT_BYTES`, else in files.

    Raises:
        DataError: a picture cannot be decoded.
        RunFolderError: the files have no room.
    """
    large = sum(split.nbytes for split in splits.values()) > KEPT_BYTES
    count = sum(len(split) for split in splits.values())
    found: dict[str, np.ndarray] = {}
    for name, split in splits.items():
        before = sum(map(len, found.values()))
        found[name] = scratch.empty(name, split.shape) if scratch and large else np.empty(split.shape, np.uint8)
        for done in split.decode(found[name]):
            told(f"decoding {count} pictures", (before + done) / count)
    return found


def _in_threads(work: Callable[[Any], T], items: Any) -> Iterator[T]:
    """What `work` returns for each item, in order; the first error ends it and the rest is dropped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow thinks of odd metadata; what matters to us is refused
        pool = ThreadPoolExecutor(min(MOST_THREADS, available_cores()))
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(cancel_futures=True)


def _header(file: Path) -> tuple[str, int, int]:
    """Mode, width and height of a picture that can be used, as far as its header tells."""
    with _opened(file) as picture:
        return _checked(file, picture)


def _checked(file: Path, picture: Any) -> tuple[str, int, int]:
    mode, width, height = picture.mode, picture.width, picture.height
    if mode.startswith(("I", "F")):
        raise DataError(f"{file} must be an 8-bit image, got mode {mode}; convert it")
    if width * height > MOST_PIXELS:
        law = f"must have at most {MOST_PIXELS // 10**6} million pixels"
        raise DataError(f"{file} {law}, its header says {width} x {height}; scale it down")
    return mode, width, height


def _decoded(file: Path, size: tuple[int, int, int], turn: threading.Lock) -> np.ndarray:
    """One picture, `C x H x W`."""
    from PIL import Image, ImageOps

    channels, height, width = size
    with _opened(file) as picture:
        _, wide, high = _checked(file, picture)
        with turn if wide * high > LARGE_PIXELS else nullcontext():
            picture.draft("RGB", (2 * width, 2 * height))  # a JPEG is then decoded at a fraction of its size
            picture = picture.convert("L" if channels == 1 else "RGB")
            if picture.size != (width, height):
                picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """A Pillow image; whatever is wrong with it is said in one line."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError("image folders need Pillow: pip install pillow") from None
    try:
        with Image.open(file, formats=FORMATS) as opened:
            yield opened
    except DataError:
        raise
    except Exception as error:  # what damage looks like is up to the decoders
        reason = (str(error) or type(error).__name__).replace(repr(str(file)), "it")
        raise DataError(f"{file} is not a readable image: {reason}; replace or remove it") from None
