"""Damaged ONNX files are read or refused in one line: 200 cases of `tests.search_spaces.fuzz`, in another process."""

from __future__ import annotations

from tests import fuzzing
from tests.search_spaces.fuzz import DAMAGES


def test_two_hundred_damaged_files_are_read_or_refused_in_one_line() -> None:
    rows = fuzzing.table("tests.search_spaces.fuzz", 200, 1)
    assert [row["damage"] for row in rows] == [damage.__name__ for damage in DAMAGES]
    assert sum(int(row["refused"]) for row in rows) > 100
