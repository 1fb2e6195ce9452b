"""A CSV file of samples, read in pieces: some columns of words, and all others as one float32 matrix."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from search_spaces.errors import DataError, printable

MOST_BYTES = 512 << 20  # of the file, and of its values as float32
MOST_COLUMNS = 65_536
PIECE = 4_000_000  # cells read at a time


def read_table(
    path: Path, words: tuple[str, ...], optional: tuple[str, ...] = ()
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of words by name, whole numbers as int64 and others as float64 where they are numbers; and the values.

    Args:
        path: a file with one line of names.
        words: columns that must be there and are no values.
        optional: those that may be there.

    Raises:
        DataError: the file cannot be read, is too large, or a cell is empty or no number.
    """
    name = printable(path)
    if (size := path.stat().st_size) > MOST_BYTES:
        law = f"must have at most {MOST_BYTES >> 20} MB"
        raise DataError(f"{name} {law}, it has {size >> 20}; keep the arrays in an .npz")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas' thoughts on columns; what matters to us is refused
            return _read(path, name, words, optional)
    except DataError:
        raise
    except (OSError, ValueError, MemoryError) as error:  # pandas' own errors are ValueErrors
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])
        raise DataError(f"{name} is not a readable CSV file: {reason}") from None


def _read(
    path: Path, name: str, words: tuple[str, ...], optional: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    columns = [str(column) for column in pd.read_csv(path, nrows=0).columns]
    if missing := [word for word in words if word not in columns]:
        raise DataError(f"{name} must have the columns {' and '.join(words)}, {' and '.join(missing)} is missing")
    if len(columns) > MOST_COLUMNS:
        raise DataError(f"{name} must have at most {MOST_COLUMNS} columns, it has {len(columns)}; keep it in an .npz")
    texts = [column for column in columns if column in (*words, *optional)]
    found: dict[str, list[np.ndarray]] = {column: [] for column in texts}
    values: list[np.ndarray] = []
    piece = max(1, PIECE // len(columns))
    with pd.read_csv(path, chunksize=piece, low_memory=False, dtype=dict.fromkeys(texts, str)) as reader:
        for table in reader:
            _check(table, texts, name)
            for column in texts:
                found[column].append(table.pop(column).to_numpy(object))
            values.append(table.to_numpy(np.float32))
            if sum(part.nbytes for part in values) > MOST_BYTES:
                raise DataError(f"{name} must hold at most {MOST_BYTES >> 20} MB as float32; keep it in an .npz")
    if not values:
        raise DataError(f"{name} must have rows below the names of the columns, it has none")
    return {column: _numbers(np.concatenate(parts)) for column, parts in found.items()}, np.concatenate(values)


def _check(table: pd.DataFrame, texts: list[str], name: str) -> None:
    """Raises DataError unless each row has a number in each column that is not of words."""
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{name} must have as many cells in each row as in the first, rows have more; check the commas")
    if (empty := table.isna().to_numpy()).any():
        row, column = np.argwhere(empty)[0]
        law = f"must have no empty cells, row {table.index[row] + 1} lacks {printable(table.columns[column])!r}"
        raise DataError(f"{name} {law}")
    values = [column for column in table.columns if column not in texts]
    bad = [column for column in values if table[column].dtype.kind not in "iufb"]
    if bad or not values:
        which = printable(bad[0]) if bad else "none"
        raise DataError(f"{name} must hold numbers beside split, label and group, column {which!r} does not")


def _numbers(words: np.ndarray) -> np.ndarray:
    """The words as numbers where all of them are."""
    texts = words.astype(str)
    for kind in (np.int64, np.float64):
        try:
            return texts.astype(kind)
        except (ValueError, OverflowError):
            continue
    return texts
