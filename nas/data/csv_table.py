"""A CSV file of samples: some columns of words, and all others as one float32 matrix.

Row by row with Python's own reader: a row may have tens of thousands of values, for which data frames are not made.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from search_spaces.errors import DataError

MOST_BYTES = 256 << 20
LONGEST_LINE = 16 << 20


def read_table(
    path: Path, words: tuple[str, ...], optional: tuple[str, ...] = ()
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of words by name, as int64 or float64 where all of them are numbers, else strings; and the values.

    Args:
        path: UTF-8, with one line of names.
        words: columns that must be there and are no values.
        optional: those that may be there.

    Raises:
        DataError: the file cannot be read, is too large, or a cell is empty or no number.
        OSError: the system refuses.
    """
    name = str(path)
    if (size := path.stat().st_size) > MOST_BYTES:
        law = f"must have at most {MOST_BYTES >> 20} MB"
        raise DataError(f"{name} {law}, it has {size >> 20}; keep the arrays in an .npz")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(csv.reader(_lines(file), strict=True), name, words, optional)
    except (csv.Error, UnicodeDecodeError) as error:
        law = "is not a readable CSV file: UTF-8, cells between commas"
        raise DataError(f"{name} {law} ({error})") from None


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"a line of more than {LONGEST_LINE >> 20} million characters")
        yield line


def _read(
    lines: Iterator[list[str]], name: str, words: tuple[str, ...], optional: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    names = next(lines, [])
    if missing := [word for word in words if word not in names]:
        raise DataError(f"{name} must have the columns {' and '.join(words)}, {' and '.join(missing)} is missing")
    texts = {word: names.index(word) for word in (*words, *optional) if word in names}
    if len(texts) == len(names):
        raise DataError(f"{name} must hold numbers beside {', '.join(texts)}, it has no other column")
    table = _Table(name, names, texts)
    for cells in lines:
        if cells:
            table.add(cells)
    if not table.rows:
        raise DataError(f"{name} must have rows below the names of the columns, it has none")
    matrix = np.frombuffer(table.values, np.float32).reshape(table.rows, -1)
    return {word: _numbers(np.array(column, object)) for word, column in table.words.items()}, matrix


@dataclass
class _Table:
    """Rows as they come, 4 bytes a value.

    Attributes:
        name: of the file, for messages.
        names: of the columns.
        texts: where the columns of words stand.
    """

    name: str
    names: list[str]
    texts: dict[str, int]
    rows: int = 0
    values: array[float] = field(default_factory=lambda: array("f"))
    words: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.words = {word: [] for word in self.texts}
        self._seen: dict[str, str] = {}
        self._last = sorted(self.texts.values(), reverse=True)

    def add(self, cells: list[str]) -> None:
        """One row; the list is used up.

        Raises:
            DataError: it has more or fewer cells than there are columns, an empty one, or no number where one belongs.
        """
        self.rows += 1
        if len(cells) != len(self.names):
            law = f"must have {len(self.names)} cells in each row, row {self.rows} has {len(cells)}"
            raise DataError(f"{self.name} {law}; check its commas and quotes")
        for word, place in self.texts.items():
            if not cells[place].strip():
                raise self._lacks(word)
            self.words[word].append(self._seen.setdefault(cells[place], cells[place]))
        for place in self._last:
            del cells[place]
        try:
            self.values.extend(map(float, cells))
        except ValueError:
            raise self._wrong(cells) from None

    def _wrong(self, cells: list[str]) -> DataError:
        """What to say of a row's first cell that is no number."""
        names = [name for k, name in enumerate(self.names) if k not in self._last]
        for column, cell in zip(names, cells, strict=True):
            try:
                float(cell)
            except ValueError:
                if not cell.strip():
                    return self._lacks(column)
                law = f"must hold numbers beside {', '.join(self.texts)}, column {column[:40]!r} does not"
                return DataError(f"{self.name} {law}: row {self.rows} has {cell[:40]!r}")
        raise AssertionError("every cell is a number")

    def _lacks(self, column: str) -> DataError:
        return DataError(f"{self.name} must have no empty cells, row {self.rows} lacks {column[:40]!r}")


def _numbers(words: np.ndarray) -> np.ndarray:
    """The words as numbers where all of them are."""
    for kind in (np.int64, np.float64):
        try:
            return words.astype(kind)
        except (ValueError, OverflowError):
            continue
    return words
