"""A folder of class folders of pictures: what is in it, checked before anything is decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.pictures import SUFFIXES, Pictures, read_headers
from nas.data.splits import PARTS, deal
from search_spaces.errors import DataError, printable

SHOWN = 4  # names that a sentence holds


def read_folder(
    path: Path, input_shape: tuple[int, ...] | None, *, seed: int
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """`x_<part>` as `Pictures` and `y_<part>`, and what a reader must know of them.

    `<part>/<class>/<image>`, or `<class>/<image>` with a split made here; classes are numbered alphabetically.

    Args:
        path: the folder.
        input_shape: `(C, H, W)` that the model takes; None for that of the first picture.
        seed: of the split.

    Raises:
        DataError: something in the folder cannot be used.
    """
    if input_shape is not None and (len(input_shape) != 3 or input_shape[0] not in (1, 3)):
        raise DataError(f"image folders need a model with 1 or 3 x H x W input, it takes {input_shape}; give an .npz")
    found = {part: path / part for part in PARTS if (path / part).is_dir()}
    arrays: dict[str, Any] = {}
    if found:
        names = _classes(next(iter(found.values())), path)
        done = []
        for part, folder in found.items():
            if (others := _classes(folder, path)) != names:
                raise DataError(f"{folder} must hold the class folders {_few(names)}, got {_few(others)}")
            pictures, arrays[f"y_{part}"], notes = _pictures(folder, names, path, input_shape)
            arrays[f"x_{part}"], input_shape = pictures, pictures.size
            done += [f"{part}: {note}" for note in notes]
        return arrays, (numbering(names), *done)
    names = _classes(path, path)
    x, y, notes = _pictures(path, names, path, input_shape)
    first, second, third, val, test = deal(y, 5, seed=seed)
    for part, rows in {"train": np.sort(np.concatenate([first, second, third])), "val": val, "test": test}.items():
        arrays[f"x_{part}"], arrays[f"y_{part}"] = x[rows], y[rows]
    note = (
        f"{printable(path.name)} has no train/val/test folders and was split 60/20/20 here: if the original was "
        "trained on these images, drops look other than they are."
    )
    return arrays, (numbering(names), *notes, note)


def numbering(names: list[str], what: str = "class folders") -> str:
    """A sentence on which number each name has."""
    shown = ", ".join(f"{i} = {printable(name)}" for i, name in enumerate(names[:SHOWN]))
    return f"{what} are numbered alphabetically: {shown}{', ...' if len(names) > SHOWN else ''}."


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f", ... ({len(names)})" * (len(names) > SHOWN))


def _classes(folder: Path, root: Path) -> list[str]:
    children = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    if not children:
        raise DataError(f"{folder} must hold one folder of images per class, it holds no folders")
    for child in children:
        _stays(child, root)
    return sorted(child.name for child in children)


def _pictures(
    folder: Path, names: list[str], root: Path, input_shape: tuple[int, ...] | None
) -> tuple[Pictures, np.ndarray, list[str]]:
    """The pictures below the class folders, their class numbers, and what will be done to them."""
    files = [(file, label) for label, name in enumerate(names) for file in sorted(_files(folder / name, root))]
    if not files:
        known = ", ".join(sorted(SUFFIXES))
        raise DataError(f"{folder} holds no images in its class folders; known are {known}")
    pictures, notes = read_headers([file for file, _ in files], input_shape)
    return pictures, np.array([label for _, label in files], np.int64), notes


def _files(folder: Path, root: Path) -> Iterator[Path]:
    """Picture files at any depth; hidden ones are passed over, and links are not followed out of the data."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}")

    for above, folders, files in os.walk(folder, onerror=refuse):
        for name in folders:
            if (linked := Path(above, name)).is_symlink():
                raise DataError(f"{linked} must be a folder, it is a link to one; put the folder there")
        for name in files:
            file = Path(above, name)
            if file.suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
            _stays(file, root)
            if not file.is_file():
                raise DataError(f"{file} must be a file, it is a broken link or something else; remove it")
            yield file


def _stays(path: Path, root: Path) -> None:
    """Raises DataError for a link that leads out of the data."""
    if path.is_symlink() and not (end := Path(os.path.realpath(path))).is_relative_to(os.path.realpath(root)):
        law = f"must lie in {root}, it is a link to {end}"
        raise DataError(f"{path} {law}; put a copy there")
