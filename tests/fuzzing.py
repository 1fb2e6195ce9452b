"""What every fuzz test does with its cases: each is read, or refused in one line, within seconds and 2 GB.

The process may take twice the memory before the system stops it, so that taking more than 2 GB is seen and not mistaken
for a refusal. A case that takes too long ends the process, whoever catches errors. Seconds are of the processor, since
the machine may be busy; one that only waits is ended by the clock.
"""

from __future__ import annotations

import csv
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from search_spaces.errors import EngineError

ROOT = Path(__file__).parents[1]
MEMORY = 2 << 30
SECONDS = 20
PATIENCE = 120  # seconds by the clock

COLUMNS = ("damage", "cases", "read", "refused", "refused_by", "findings", "worst_seconds", "peak_mb")
NO_MEMORY = ("MemoryError", "Unable to allocate", "out of memory", "bad_alloc")


def outcome(work: Callable[[], object]) -> str:
    """`read`, the class of the refusal, or in a sentence what went wrong."""
    try:
        work()
    except EngineError as error:
        text = str(error)
        if not text.isprintable():
            return f"not one printable line: {error!r}"
        return f"out of memory: {text}" if any(sign in text for sign in NO_MEMORY) else type(error).__name__
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "read"


def run(cases: Iterator[tuple[str, Callable[[], object]]]) -> None:
    """Does the cases, each the name of a damage and the work, and prints a row for each damage as CSV."""
    resource.setrlimit(resource.RLIMIT_DATA, (2 * MEMORY, 2 * MEMORY))
    said: dict[str, Counter[str]] = {}
    seconds: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for number, (kind, work) in enumerate(cases):
        for bell in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(bell, lambda *_, at=f"case {number} ({kind})": _late(at))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(PATIENCE)
        _forget_peak()
        start = time.process_time()
        found = outcome(work)
        seconds[kind] = max(seconds[kind], time.process_time() - start)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        memory[kind] = max(memory[kind], _peak())
        if memory[kind] > MEMORY:
            found = f"{memory[kind] >> 20} MB"
        said.setdefault(kind, Counter())[found] += 1
        if not found.isidentifier():
            print(f"case {number} ({kind}): {found}", file=sys.stderr)
    write = csv.writer(sys.stdout, lineterminator="\n")
    write.writerow(COLUMNS)
    for kind, counts in said.items():
        by = {name: n for name, n in sorted(counts.items()) if name.isidentifier() and name != "read"}
        refused = sum(by.values())
        findings = counts.total() - counts["read"] - refused
        classes = " ".join(f"{name}:{n}" for name, n in by.items())
        spent = f"{seconds[kind]:.2f}"
        write.writerow([kind, counts.total(), counts["read"], refused, classes, findings, spent, memory[kind] >> 20])


def table(module: str, count: int, seed: int) -> list[dict[str, str]]:
    """The rows that `python -m module count seed` prints, in a process of its own.

    Raises:
        AssertionError: something was found.
    """
    command = [sys.executable, "-m", module, str(count), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert sum(int(row["cases"]) for row in rows) == count
    assert all(row["findings"] == "0" for row in rows), done.stderr
    return rows


def _late(at: str) -> None:
    print(f"{at}: more than {SECONDS} seconds of work, or {PATIENCE} of waiting", file=sys.stderr, flush=True)
    os._exit(1)


def _forget_peak() -> None:
    """Lets the process's largest memory be what it is now; see proc(5)."""
    if (peak := Path("/proc/self/clear_refs")).exists():
        peak.write_text("5")


def _peak() -> int:
    """Bytes of the process's largest resident memory so far."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
