"""The run's memory: an append-only file of JSON lines, `ledger.jsonl`, written by one process.

Every line is one object with an `"entry"` that says what it is: `run` first (format, fingerprint and facts of the run),
then `loop` (a start of the loop), `plan`, `evaluation` (with the `time` at which it arrived), `final` and whatever else
the run wants to remember. A line is on the disk when `append` returns, so a kill loses only what was still being worked
on. What a kill tears is the last line, and that is cut off when the ledger is next opened.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from nas.evaluation import Evaluation
from search_spaces.errors import RunFolderError

LEDGER_FILE = "ledger.jsonl"
FORMAT = 1

Entry = dict[str, Any]


def read(path: Path) -> list[Entry]:
    """The complete entries of a ledger, the run's own first. Only reads: safe beside a process that writes.

    Raises:
        RunFolderError: there is no such file, or a line before the last is not an entry.
    """
    try:
        return _scan(path.read_bytes(), path)[0]
    except OSError as error:
        raise RunFolderError(f"cannot read the ledger {path}: {error.strerror}") from error


def evaluations(entries: list[Entry]) -> list[Evaluation]:
    """The evaluations among the entries, in order of arrival.

    Raises:
        RunFolderError: one cannot be read back.
    """
    return [evaluation_of(entry) for entry in entries if entry["entry"] == "evaluation"]


def evaluation_of(entry: Entry) -> Evaluation:
    """The evaluation an entry holds.

    Raises:
        RunFolderError: it cannot be read back.
    """
    try:
        return Evaluation.from_json({name: value for name, value in entry.items() if name not in ("entry", "time")})
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"the ledger holds an evaluation of another version: {error}; start a new run") from error


class Ledger:
    """An open ledger. Use `Ledger.open`; a context manager closes it.

    Attributes:
        path: the file.
        entries: everything in it, kept in step with the file.
    """

    def __init__(self, path: Path, descriptor: int, entries: list[Entry], length: int) -> None:
        self.path = path
        self.entries = entries
        self._descriptor = descriptor
        self._length = length

    @classmethod
    def open(
        cls, path: Path, fingerprint: str, *, facts: Mapping[str, Any] | None = None, resume: bool = False
    ) -> Ledger:
        """Begins a ledger, or goes on with the one that is there.

        Args:
            path: the file; its folder is made.
            fingerprint: of everything that defines the run; a ledger is only ever continued by the same run.
            facts: further fields of the `run` entry of a new ledger.
            resume: go on with an existing ledger. Without one this starts a run like any other.

        Raises:
            RunFolderError: the folder cannot be written, the file holds another run, or this one and `resume` was not
                asked for, or another process is writing it.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RunFolderError(f"cannot write {path}: {error.strerror}; choose another --out") from error
        try:
            return cls._opened(path, descriptor, fingerprint, facts or {}, resume)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def _opened(cls, path: Path, descriptor: int, fingerprint: str, facts: Mapping[str, Any], resume: bool) -> Ledger:
        _lock(descriptor, path)
        entries, length = _scan(path.read_bytes(), path)
        ledger = cls(path, descriptor, entries, length)
        if not entries:
            ledger._cut()
            ledger.append("run", {"format": FORMAT, "fingerprint": fingerprint, **facts})
            _sync_folder(path.parent)
            return ledger
        run = entries[0]
        if run["entry"] != "run" or run.get("format") != FORMAT:
            raise RunFolderError(f"{path} is not a ledger of format {FORMAT}; choose another --out")
        if run["fingerprint"] != fingerprint:
            law = "holds another run (other model, data, limits or settings)"
            raise RunFolderError(f"{path} {law}; choose another --out or repeat that run's flags")
        if not resume:
            raise RunFolderError(f"{path} holds this run already; go on with --resume or choose another --out")
        ledger._cut()
        return ledger

    @property
    def run(self) -> Entry:
        """The first entry: format, fingerprint and facts."""
        return self.entries[0]

    @property
    def evaluations(self) -> list[Evaluation]:
        """The evaluations so far, in order of arrival."""
        return evaluations(self.entries)

    def append(self, entry: str, fields: Mapping[str, Any]) -> None:
        """Writes one entry and returns when it is on the disk.

        Raises:
            RunFolderError: it could not be written whole; the earlier lines are intact.
            ValueError: a number is not finite.
        """
        record: Entry = {"entry": entry, **fields}
        line = json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        before = self._length
        try:
            self._write(line)
        except KeyboardInterrupt:
            if self._length == before:  # the same bytes to the same place: whole, wherever Ctrl-C hit
                self._write(line)
            raise

    def _write(self, line: bytes) -> None:
        try:
            _write_all(self._descriptor, line, self._length)
            os.fsync(self._descriptor)
        except OSError as error:
            self._cut()
            advice = "what was written before is intact, make room and go on with --resume"
            raise RunFolderError(f"cannot write {self.path}: {error.strerror}; {advice}") from error
        self._length += len(line)
        self.entries.append(json.loads(line))  # as a reader will see it: tuples have become lists

    def _cut(self) -> None:
        """Takes off whatever follows the last complete line."""
        try:
            os.ftruncate(self._descriptor, self._length)
        except OSError as error:
            raise RunFolderError(f"cannot write {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Closes the file and gives up the lock; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _scan(content: bytes, path: Path) -> tuple[list[Entry], int]:
    """The complete entries and the length in bytes up to the end of the last of them.

    Raises:
        RunFolderError: a line that has others behind it is not an entry, so no kill can have torn it.
    """
    entries: list[Entry] = []
    length = 0
    *lines, torn = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or "entry" not in entry:
            if number == len(lines) and not torn:
                break  # a power cut can leave a last line whose bytes never arrived
            law = f"is damaged: line {number} is not an entry"
            raise RunFolderError(f"{path} {law}; restore it or choose another --out")
        entries.append(entry)
        length += len(line) + 1
    return entries, length


def _lock(descriptor: int, path: Path) -> None:
    """Keeps a second writer out. The lock goes with the process, also when it is killed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunFolderError(f"another process is writing {path}; wait for it or choose another --out") from error
    except OSError:
        pass  # a file system without locks; whoever uses one sees to it that one run has one folder


def _write_all(descriptor: int, line: bytes, offset: int) -> None:
    """Every byte of the line, also where the system takes it in pieces."""
    while line:
        written = os.pwrite(descriptor, line, offset)
        line, offset = line[written:], offset + written


def _sync_folder(folder: Path) -> None:
    """Puts a new file's name on the disk; its content alone would not survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
