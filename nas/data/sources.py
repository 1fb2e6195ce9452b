"""Where arrays come from: the quickstart, an `.npz`, a folder of class folders, a function, or the caller.

Nothing here is checked against a model but the size of image files; `nas.data.dataset` does the rest. Nothing is
unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas import functions
from nas.data.archive import read_arrays
from nas.data.csv_table import read_table
from nas.data.folders import numbering, read_folder
from nas.data.splits import PARTS
from search_spaces.errors import DataError, printable

KNOWN = frozenset(f"{axis}_{part}" for axis in ("x", "y", "groups") for part in PARTS)
SHOWN = 8  # names that a sentence holds


@dataclass(frozen=True)
class Source:
    """Arrays as they were found.

    Attributes:
        arrays: `x_<part>`, of image files as `nas.data.pictures.Pictures`, and `y_<part>`.
        name: for the report.
        notes: what a reader must know of how they were read.
    """

    arrays: Mapping[str, Any]
    name: str
    notes: tuple[str, ...] = ()


Spec = str | Mapping[str, Any] | Source | None
"""What `--data` names, the arrays themselves, or what was read before; None is the quickstart."""


def read(spec: Spec, input_shape: tuple[int, ...] | None, *, seed: int) -> Source:
    """The arrays behind `--data`; see `nas.data.dataset.load_data`.

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
    if functions.FUNCTION.fullmatch(spec):
        found = functions.load(spec, "data", DataError)()
        if not isinstance(found, Mapping):
            raise DataError(f"data {spec!r} must return a dict of arrays, got {type(found).__name__}")
        return _named(found, spec)
    path = Path(spec)
    try:
        if path.is_dir():
            arrays, notes = read_folder(path, input_shape, seed=seed)
            return Source(arrays, printable(path.name), notes)
        if not path.exists():
            law = "give a folder, an .npz, a .csv, or package.module:function"
            raise DataError(f"data {spec!r} does not exist; {law}")
        if not path.is_file():
            raise DataError(f"data {spec!r} must be a file or a folder; a pipe or a device cannot be read twice")
        return _csv(path, input_shape) if path.suffix.lower() == ".csv" else _npz(path)
    except OSError as error:
        raise DataError(f"data {error.filename or path} cannot be read: {error.strerror or error}") from None


def _named(arrays: Mapping[str, Any], name: str) -> Source:
    unknown = sorted(printable(key) for key in arrays if key not in KNOWN)
    shown = ", ".join(unknown[:SHOWN]) + (f", ... ({len(unknown)})" if len(unknown) > SHOWN else "")
    if not any(f"x_{part}" in arrays for part in PARTS):
        raise DataError(f"{name} must hold x_train, y_train, x_val, ..., got {shown or 'nothing'}")
    notes = (f"ignored in {name}: {shown}.",) if unknown else ()
    return Source({key: array for key, array in arrays.items() if key in KNOWN}, name, notes)


def _npz(path: Path) -> Source:
    arrays, others = read_arrays(path, KNOWN)
    return _named(arrays | dict.fromkeys(others), printable(path.name))


def _csv(path: Path, input_shape: tuple[int, ...] | None) -> Source:
    """One row a sample: columns `split` (train, val or test), `label`, perhaps `group`, and all others the values.

    The values of a series stand channel by channel, as N x C x length does when it is flattened.
    """
    columns, x = read_table(path, ("split", "label"), ("group",))
    split, label, group = columns["split"], columns["label"], columns.get("group")
    if label.dtype == object:
        names, label = np.unique(label, return_inverse=True)
        notes: tuple[str, ...] = (numbering(names.tolist(), "labels"),)
    else:
        notes = ()
    unknown = sorted(set(map(str, split)) - set(PARTS))
    if unknown:
        raise DataError(f"{path}: split must be one of {', '.join(PARTS)}, got {unknown[0][:40]!r}")
    if input_shape is not None and x.shape[1] == int(np.prod(input_shape)):
        x = x.reshape(-1, *input_shape)
    arrays: dict[str, np.ndarray] = {}
    for part in dict.fromkeys(split.tolist()):
        rows = split == part
        arrays[f"x_{part}"], arrays[f"y_{part}"] = x[rows], label[rows]
        if group is not None:
            arrays[f"groups_{part}"] = group[rows]
    return Source(arrays, printable(path.name), notes)
