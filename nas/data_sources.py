"""Where arrays come from: the quickstart, an `.npz`, a folder of class folders, a function, or the caller.

Nothing here is checked against a model but the size of image files; `nas.data` does the rest. Nothing is unpickled.
"""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.functions import FUNCTION
from nas.splits import PARTS, deal
from search_spaces.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})


@dataclass(frozen=True)
class Source:
    """Arrays as they were found.

    Attributes:
        arrays: `x_<part>` and `y_<part>`.
        name: for the report.
        notes: what a reader must know of how they were read.
    """

    arrays: Mapping[str, Any]
    name: str
    notes: tuple[str, ...] = ()


Spec = str | Mapping[str, Any] | Source | None
"""What `--data` names, the arrays themselves, or what was read before; None is the quickstart."""


def read(spec: Spec, input_shape: tuple[int, ...] | None, *, seed: int) -> Source:
    """The arrays behind `--data`; see `nas.data.load_data`.

    Args:
        spec: what to read.
        input_shape: the model's input without the batch axis; None where the data is what tells it.
        seed: of the split, where one has to be made.

    Raises:
        DataError: nothing readable is there.
    """
    if isinstance(spec, Source):
        return spec
    if spec is None:
        from nas import quickstart  # its arrays take half a second to unpack

        return Source(quickstart.arrays(), "Fashion-MNIST")
    if isinstance(spec, Mapping):
        return _named(spec, "arrays")
    if FUNCTION.fullmatch(spec):
        return _named(_call(spec), spec)
    path = Path(spec)
    if path.is_dir():
        return _folder(path, input_shape, seed=seed)
    if not path.exists():
        law = "give a folder, an .npz, a .csv, or package.module:function"
        raise DataError(f"data {spec!r} does not exist; {law}")
    return _csv(path, input_shape) if path.suffix.lower() == ".csv" else _npz(path)


def _named(arrays: Mapping[str, Any], name: str) -> Source:
    known = {f"{axis}_{part}" for axis in ("x", "y", "groups") for part in PARTS}
    unknown = sorted(key for key in arrays if key not in known)
    notes = (f"ignored in {name}: {', '.join(unknown)}.",) if unknown else ()
    if not any(f"x_{part}" in arrays for part in PARTS):
        raise DataError(f"{name} must hold x_train, y_train, x_val, ..., got {', '.join(unknown) or 'nothing'}")
    return Source(arrays, name, notes)


def _npz(path: Path) -> Source:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not an .npz, or is cut short; write it with numpy.savez(x_train=..., ...)")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except ValueError as error:
        law = "must hold plain number arrays, never pickled objects"
        raise DataError(f"{path} {law} ({str(error).splitlines()[0]})") from None
    except Exception as error:  # what damage looks like is up to zipfile, zlib and NumPy
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} is damaged ({reason}); write it again with numpy.savez") from None
    return _named(arrays, path.name)


def _csv(path: Path, input_shape: tuple[int, ...] | None) -> Source:
    """One row a sample: columns `split` (train, val or test), `label`, perhaps `group`, and all others the values.

    The values of a series stand channel by channel, as N x C x length does when it is flattened.
    """
    from nas.tables import read_columns  # imports pandas

    columns = read_columns(path)
    missing = [name for name in ("split", "label") if name not in columns]
    if missing:
        raise DataError(f"{path} must have the columns split and label, {' and '.join(missing)} is missing")
    split = columns.pop("split").astype(str)
    label, group = columns.pop("label"), columns.pop("group", None)
    if label.dtype.kind not in "iu":
        names, label = np.unique(label.astype(str), return_inverse=True)
        notes: tuple[str, ...] = (_numbering(names.tolist(), "labels"),)
    else:
        notes = ()
    words = [name for name, values in columns.items() if values.dtype.kind not in "iufb"]
    if words or not columns:
        raise DataError(
            f"{path} must hold numbers beside split, label and group, column {(words or ['none'])[0]!r} does not"
        )
    unknown = sorted(set(split) - set(PARTS))
    if unknown:
        raise DataError(f"{path}: split must be one of {', '.join(PARTS)}, got {str(unknown[0])!r}")
    x = np.stack(list(columns.values()), 1).astype(np.float32)
    if input_shape is not None and x.shape[1] == int(np.prod(input_shape)):
        x = x.reshape(-1, *input_shape)
    arrays: dict[str, np.ndarray] = {}
    for part in dict.fromkeys(split.tolist()):
        rows = split == part
        arrays[f"x_{part}"], arrays[f"y_{part}"] = x[rows], label[rows]
        if group is not None:
            arrays[f"groups_{part}"] = group[rows]
    return Source(arrays, path.name, notes)


def _call(spec: str) -> Mapping[str, Any]:
    """What the function returns; the working folder is importable, as it is for `python -m`."""
    module_name, function_name = spec.split(":")
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except ImportError as error:
        raise DataError(f"data {spec!r} cannot be imported: {error}") from None
    except AttributeError:
        raise DataError(f"data {spec!r}: module {module_name} has no function {function_name}") from None
    try:
        found = function()
    except Exception as error:
        raise DataError(f"data {spec!r} raised {type(error).__name__}: {error}") from error
    if not isinstance(found, Mapping):
        raise DataError(f"data {spec!r} must return a dict of arrays, got {type(found).__name__}")
    return found


def _folder(path: Path, input_shape: tuple[int, ...] | None, *, seed: int) -> Source:
    """`<part>/<class>/<image>`, or `<class>/<image>` with a split made here; classes are numbered alphabetically."""
    found = {part: path / part for part in PARTS if (path / part).is_dir()}
    if found:
        names = _classes(next(iter(found.values())))
        for folder in found.values():
            if _classes(folder) != names:
                raise DataError(f"{folder} must hold the class folders {', '.join(names)}, got {_classes(folder)}")
        arrays: dict[str, np.ndarray] = {}
        done: dict[str, None] = {}
        for part, folder in found.items():
            arrays[f"x_{part}"], arrays[f"y_{part}"], notes = _images(folder, names, input_shape)
            done |= dict.fromkeys(f"{part}: {note}" for note in notes)
        return Source(arrays, path.name, (_numbering(names), *done))
    names = _classes(path)
    x, y, notes = _images(path, names, input_shape)
    first, second, third, val, test = deal(y, 5, seed=seed)
    rows = {"train": np.sort(np.concatenate([first, second, third])), "val": val, "test": test}
    arrays = {f"{axis}_{part}": a[chosen] for part, chosen in rows.items() for axis, a in (("x", x), ("y", y))}
    note = (
        f"{path.name} has no train/val/test folders and was split 60/20/20 here: if the original was trained on these "
        "images, drops look other than they are."
    )
    return Source(arrays, path.name, (_numbering(names), *notes, note))


def _numbering(names: list[str], what: str = "class folders") -> str:
    shown = ", ".join(f"{i} = {name}" for i, name in enumerate(names[:4])) + (", ..." if len(names) > 4 else "")
    return f"{what} are numbered alphabetically: {shown}."


def _classes(folder: Path) -> list[str]:
    names = sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    if not names:
        raise DataError(f"{folder} must hold one folder of images per class, it holds no folders")
    return names


def _images(
    folder: Path, names: list[str], input_shape: tuple[int, ...] | None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """All images below `folder` as uint8 `N x C x H x W`, their class numbers, and what was done to them."""
    if input_shape is not None and (len(input_shape) != 3 or input_shape[0] not in (1, 3)):
        raise DataError(f"image folders need a model with 1 or 3 x H x W input, it takes {input_shape}; give an .npz")
    files = [
        (file, label)
        for label, name in enumerate(names)
        for file in sorted((folder / name).rglob("*"))
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not files:
        raise DataError(f"{folder} holds no images in its class folders; known are {', '.join(sorted(IMAGE_SUFFIXES))}")
    if input_shape is None:
        input_shape = _image_shape(files[0][0])
    images = np.empty((len(files), *input_shape), np.uint8)
    resized = 0
    for row, (file, _) in enumerate(files):
        images[row], changed = _image(file, input_shape)
        resized += changed
    note = (
        f"{resized} of {len(files)} images were scaled to cover {input_shape[1]} x {input_shape[2]} and cut at the "
        "centre: the original must have been trained on images made alike."
    )
    return images, np.array([label for _, label in files], np.int64), (note,) if resized else ()


def _image_shape(file: Path) -> tuple[int, int, int]:
    """`(C, H, W)` of one image: one channel if it is grey, else three."""
    with _opened(file) as opened:
        return (1 if opened.mode in ("1", "L") else 3), opened.height, opened.width


def _image(file: Path, input_shape: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """One 8-bit image, grey or RGB and of the size that the model wants, and whether it had another size.

    One of another size is scaled to cover the model's input, then cut at the centre.
    """
    channels, height, width = input_shape
    resized = False
    with _opened(file) as opened:
        if opened.mode.startswith(("I", "F")):
            raise DataError(f"{file} must be an 8-bit image, got mode {opened.mode}")
        opened.draft("RGB", (2 * width, 2 * height))  # a JPEG is then decoded at a fraction of its size
        picture = opened.convert("L" if channels == 1 else "RGB")
        if picture.size != (width, height):
            from PIL import Image, ImageOps

            picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
            resized = True
        pixels = np.asarray(picture)
    return (pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)), resized


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """A Pillow image; whatever is wrong with it is said in one line."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError("image folders need Pillow: pip install pillow") from None
    try:
        with Image.open(file) as opened:
            yield opened
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{file} is not a readable image: {error}") from None
