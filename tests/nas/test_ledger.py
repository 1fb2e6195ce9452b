"""The ledger: what is appended stays, what is torn is cut, and nobody writes into somebody else's."""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nas import ledger
from nas.evaluation import Evaluation, Job
from nas.ledger import Ledger
from search_spaces.errors import RunFolderError
from search_spaces.genes import Genome
from tests.toy_problem import ToyProblem

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / ledger.LEDGER_FILE


def evaluation(width: int) -> Evaluation:
    return ToyProblem().evaluate(Job.make(Genome((width, 8, 1)), 1, 10, run_seed=0))


def two_evaluations(path: Path) -> bytes:
    """A closed ledger with a header and two evaluations; its content."""
    with Ledger.open(path, "me", facts={"model": "toy"}) as opened:
        opened.append("evaluation", evaluation(4).to_json())
        opened.append("evaluation", evaluation(8).to_json())
    return path.read_bytes()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk on which no file can grow beyond `size` bytes: the system writes up to there and then refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_new_ledger_begins_with_the_run(path: Path) -> None:
    with Ledger.open(path, "me", facts={"model": "toy", "shape": (1, 28, 28)}) as opened:
        assert opened.run == {"entry": "run", "format": 1, "fingerprint": "me", "model": "toy", "shape": [1, 28, 28]}
    assert json.loads(path.read_text()) == opened.run


def test_what_was_appended_comes_back(path: Path) -> None:
    two_evaluations(path)
    with Ledger.open(path, "me", resume=True) as opened:
        assert opened.evaluations == [evaluation(4), evaluation(8)]
        opened.append("final", {"chosen": "abc"})
        assert ledger.read(path) == opened.entries
    assert [entry["entry"] for entry in ledger.read(path)] == ["run", "evaluation", "evaluation", "final"]


def test_wherever_a_kill_tears_the_last_line_the_others_stay(path: Path) -> None:
    whole = two_evaluations(path)
    *_, last = whole.splitlines(keepends=True)
    for kept in (0, 1, *range(2, len(last), 9), len(last) - 1):
        path.write_bytes(whole[: len(whole) - len(last) + kept])
        assert len(ledger.read(path)) == 2
        with Ledger.open(path, "me", resume=True) as opened:
            assert opened.evaluations == [evaluation(4)]
            assert path.read_bytes() == whole[: -len(last)]
            opened.append("evaluation", evaluation(8).to_json())
        assert path.read_bytes() == whole


def test_a_last_line_whose_bytes_never_arrived_is_cut(path: Path) -> None:
    whole = two_evaluations(path)
    path.write_bytes(whole + b"\0" * 40 + b"\n")
    with Ledger.open(path, "me", resume=True) as opened:
        assert len(opened.entries) == 3
    assert path.read_bytes() == whole


def test_a_ledger_killed_at_its_first_line_is_begun_again(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"entry":"run","form')
    with Ledger.open(path, "me") as opened:
        assert [entry["entry"] for entry in opened.entries] == ["run"]
    assert len(path.read_bytes().splitlines()) == 1


@pytest.mark.parametrize("following", [b'{"entry":"final"}\n', b'{"entry":"fi'])
def test_damage_in_the_middle_is_not_passed_over(path: Path, following: bytes) -> None:
    lines = two_evaluations(path).splitlines(keepends=True)
    path.write_bytes(lines[0] + b"scribble\n" + following)
    for opening in (lambda: ledger.read(path), lambda: Ledger.open(path, "me", resume=True)):
        with pytest.raises(RunFolderError, match="damaged: line 2 is not an entry"):
            opening()


def test_an_existing_run_needs_resume(path: Path) -> None:
    before = two_evaluations(path)
    with pytest.raises(RunFolderError, match="holds this run already; go on with --resume"):
        Ledger.open(path, "me")
    assert path.read_bytes() == before


@pytest.mark.parametrize("resume", [False, True])
def test_another_runs_ledger_is_refused_and_untouched(path: Path, resume: bool) -> None:
    torn = two_evaluations(path) + b'{"entry":"eval'
    path.write_bytes(torn)
    with pytest.raises(RunFolderError, match="holds another run"):
        Ledger.open(path, "somebody else", resume=resume)
    assert path.read_bytes() == torn


def test_a_file_that_is_no_ledger_is_refused_and_untouched(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"entry":"plan"}\n')
    with pytest.raises(RunFolderError, match="not a ledger of format 1"):
        Ledger.open(path, "me", resume=True)
    assert path.read_text() == '{"entry":"plan"}\n'


def test_resume_without_a_ledger_begins_one(path: Path) -> None:
    with Ledger.open(path, "me", resume=True) as opened:
        assert opened.evaluations == []


def test_two_processes_cannot_write_one_ledger(path: Path) -> None:
    code = (
        f"from pathlib import Path; from nas.ledger import Ledger; Ledger.open(Path({str(path)!r}), 'me', resume=True)"
    )
    with Ledger.open(path, "me"):
        found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "another process is writing" in found.stderr
    Ledger.open(path, "me", resume=True).close()


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_leaves_the_earlier_lines(path: Path, room: int) -> None:
    before = two_evaluations(path)
    with Ledger.open(path, "me", resume=True) as opened:
        with largest_file(len(before) + room), pytest.raises(RunFolderError, match="is intact, make room") as caught:
            opened.append("evaluation", evaluation(12).to_json())
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before
        assert len(opened.entries) == 3
        opened.append("evaluation", evaluation(12).to_json())
    assert [found.job.genome.values[0] for found in ledger.evaluations(ledger.read(path))] == [4, 8, 12]


def test_an_entry_is_on_the_disk_when_append_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    with Ledger.open(path, "me") as opened:
        monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(path.read_bytes()))
        opened.append("plan", {"steps": 5})
    assert synced == [path.read_bytes()]


def test_ctrl_c_during_an_append_waits_for_the_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    with Ledger.open(path, "me") as opened:
        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            opened.append("evaluation", evaluation(4).to_json())
        opened.append("final", {})
        assert [entry["entry"] for entry in ledger.read(path)] == ["run", "evaluation", "final"]
        assert ledger.read(path) == opened.entries


def test_a_number_that_is_not_finite_is_not_written(path: Path) -> None:
    with Ledger.open(path, "me") as opened:
        with pytest.raises(ValueError, match="JSON"):
            opened.append("plan", {"seconds": math.nan})
        assert len(ledger.read(path)) == len(opened.entries) == 1


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot write .*ledger.jsonl: .*; choose another --out") as caught:
        Ledger.open(tmp_path / "file" / "ledger.jsonl", "me")
    assert "\n" not in str(caught.value)


def test_reading_what_is_not_there_is_one_line(path: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot read the ledger"):
        ledger.read(path)


def test_an_evaluation_of_another_version_is_refused(path: Path) -> None:
    with Ledger.open(path, "me") as opened:
        opened.append("evaluation", {**evaluation(4).to_json(), "mood": "fine"})
        with pytest.raises(RunFolderError, match="another version"):
            _ = opened.evaluations
