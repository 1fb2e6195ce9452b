"""Kill -9 of a running search, and other hash seeds: real processes, nothing simulated."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nas.evaluation import Evaluation
from nas.ledger import LEDGER_FILE, evaluations, read

ROOT = Path(__file__).parents[2]
TOTAL = 24


def driver(folder: Path, *flags: str, hash_seed: str = "random") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.nas.toy_driver", str(folder), "--total", str(TOTAL), *flags]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def finish(folder: Path, *flags: str, hash_seed: str = "random") -> list[Evaluation]:
    process = driver(folder, *flags, hash_seed=hash_seed)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return [evaluation.outcome for evaluation in evaluations(read(folder / LEDGER_FILE))]


def kill_after(folder: Path, lines: int, *flags: str, pause: float = 0.0) -> None:
    """Starts the driver and kills it once the ledger has that many lines and a moment has passed."""
    process = driver(folder, *flags)
    ledger = folder / LEDGER_FILE
    while not (ledger.exists() and ledger.read_bytes().count(b"\n") >= lines):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.001)
    time.sleep(pause)
    process.kill()
    process.communicate()


def begun(folder: Path) -> list[str]:
    """The ids of the jobs that were begun, in order, repeats included."""
    return [line.split()[0] for line in (folder / "log").read_text().splitlines()]


def test_killed_at_three_points_a_serial_run_loses_one_job_each_time_at_most(tmp_path: Path) -> None:
    expected = finish(tmp_path / "undisturbed")
    rng = np.random.default_rng(20240229)
    folder = tmp_path / "killed"
    for lines in sorted(rng.choice(np.arange(2, TOTAL - 2), 3, replace=False)):
        kill_after(folder, int(lines), "--seconds", "0.03", pause=float(rng.uniform(0, 0.03)))
        whole = evaluations(read(folder / LEDGER_FILE))
        assert len(begun(folder)) - len(set(begun(folder))) <= 3
        assert set(begun(folder)) - {evaluation.job.id for evaluation in whole} <= {begun(folder)[-1]}
    assert finish(folder) == [*expected]
    assert TOTAL <= len(begun(folder)) <= TOTAL + 3


def test_the_hash_seed_of_python_changes_nothing(tmp_path: Path) -> None:
    runs = [finish(tmp_path / seed, hash_seed=seed) for seed in ("0", "1", "4242")]
    assert len(runs[0]) == TOTAL
    assert runs[0] == runs[1] == runs[2]


def alive(pid: int) -> bool:
    """Whether the process exists and is not only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_killed_at_three_points_on_ray_it_loses_one_job_a_worker_and_leaves_none_behind(tmp_path: Path) -> None:
    rng = np.random.default_rng(20240229)
    for lines in sorted(rng.choice(np.arange(4, TOTAL - 4), 3, replace=False)):
        kill_after(tmp_path, int(lines), "--workers", "2", "--seconds", "0.1", pause=float(rng.uniform(0, 0.1)))
        pids = {int(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines()}
        end = time.monotonic() + 20
        while any(alive(pid) for pid in pids) and time.monotonic() < end:
            time.sleep(0.1)
        assert not any(alive(pid) for pid in pids)
        lost = set(begun(tmp_path)) - {e.job.id for e in evaluations(read(tmp_path / LEDGER_FILE))}
        assert len(lost) <= 2
    found = finish(tmp_path)
    assert len({evaluation.job.id for evaluation in found}) == TOTAL
    assert len(begun(tmp_path)) <= TOTAL + 3 * 2
