"""Damaged files are read or refused in one line: 200 cases of `tests.search_spaces.fuzz`, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.search_spaces.fuzz import DAMAGES

ROOT = Path(__file__).parents[2]


def test_two_hundred_damaged_files_are_read_or_refused_in_one_line() -> None:
    command = [sys.executable, "-m", "tests.search_spaces.fuzz", "200", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {damage.__name__ for damage in DAMAGES}
    assert {said for counts in found.values() for said in counts} == {"read", "refused"}, done.stderr
    assert sum(counts.get("refused", 0) for counts in found.values()) > 100
