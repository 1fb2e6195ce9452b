"""Workers on Ray. One instance serves all tests of this module; it takes about ten seconds to start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import study
from nas.evaluation import Evaluation, Job
from nas.ledger import LEDGER_FILE, Ledger
from nas.ray_pool import Cluster, RayPool, gpu_share
from nas.workers import Build, Serial
from search_spaces.errors import DataError, InputError, RunFolderError
from search_spaces.genes import Genome
from tests.toy_problem import ToyProblem, ToyStrategy, build

ROOT = Path(__file__).parents[2]
Hire = Callable[..., RayPool]

pytestmark = pytest.mark.slow

JOB = Job.make(Genome((8, 16, 1)), 1, 50, run_seed=3)
OTHER = Job.make(Genome((4, 8, 0)), 1, 50, run_seed=3)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    started = Cluster(2, gpus=1)  # which nobody here has: Ray counts what it is told
    yield started
    started.close()


@pytest.fixture
def hire(cluster: Cluster) -> Iterator[Hire]:
    """Makes pools on the shared instance and closes them with the test, so that the next one finds its CPUs free."""
    pools: list[RayPool] = []

    def made(build: Build, arrays: Mapping[str, np.ndarray] | None = None, *, count: int = 1) -> RayPool:
        pools.append(RayPool(build, arrays, count=count, cluster=cluster))
        return pools[-1]

    yield made
    for pool in pools:
        pool.close()


def begun(log: Path) -> list[str]:
    """The ids of the jobs that were begun, in order, repeats included."""
    return [line.split()[0] for line in log.read_text().splitlines()]


def processes(log: Path) -> list[int]:
    """Who began each of them."""
    return [int(line.split()[1]) for line in log.read_text().splitlines()]


def nosy(arrays: Mapping[str, np.ndarray]) -> Any:
    """A problem that reports how its process is set up."""

    class Nosy:
        def evaluate(self, job: Job) -> Evaluation:
            import torch

            facts = (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], arrays["offset"].flags.writeable)
            facts += (os.environ.get("CUDA_VISIBLE_DEVICES"),)
            return Evaluation(job, kl=0.0, note=repr(facts))

    return Nosy()


def broken(arrays: Mapping[str, np.ndarray]) -> ToyProblem:
    raise DataError("no such data")


def test_two_workers_work_side_by_side(hire: Hire, tmp_path: Path) -> None:
    made = partial(build, seconds=1.0, log=tmp_path / "log")
    pool = hire(made, {"offset": np.full(4, 2.0)}, count=2)
    assert (pool.free, pool.next()) == (2, None)
    for job in (Job.make(Genome((4, 8, 1)), 1, 50, run_seed=0), Job.make(Genome((8, 8, 1)), 1, 50, run_seed=0)):
        pool.submit(job)
    assert [pool.next() is None, pool.next() is None] == [False, False]  # both are built by now
    started = time.monotonic()
    pool.submit(JOB)
    pool.submit(OTHER)
    assert pool.free == 0
    with pytest.raises(RuntimeError, match="needs a free worker"):
        pool.submit(JOB)
    assert pool.next(timeout=0.05) is None
    found = [pool.next(), pool.next()]
    assert time.monotonic() - started < 1.9
    assert {e.job for e in found if e} == {JOB, OTHER}
    assert {e.worker for e in found if e} == {0, 1}
    expected = ToyProblem(offset=2.0, seconds=1.0)
    assert all(e and e.outcome == expected.evaluate(e.job).outcome for e in found)
    assert len(set(processes(tmp_path / "log"))) == 2


def test_workers_have_one_thread_arrays_they_cannot_write_and_share_the_gpu(hire: Hire) -> None:
    pool = hire(nosy, {"offset": np.zeros(1000)}, count=2)
    pool.submit(JOB)
    pool.submit(OTHER)
    for found in (pool.next(), pool.next()):
        assert found is not None
        assert found.note == repr((1, "1", False, "0"))


@pytest.mark.parametrize(
    ("gpus", "workers", "share"),
    [(0, 4, 0), (1, 1, 1), (2, 1, 1), (1, 2, 0.5), (4, 8, 0.5), (2, 3, 0.5), (1, 3, 0.3333), (8, 3, 1)],
)
def test_a_gpu_is_shared_so_that_all_workers_find_room(gpus: int, workers: int, share: float) -> None:
    """Of three workers on two GPUs two share one: at two thirds each, the third would find no room."""
    assert gpu_share(gpus, workers) == share
    assert share == 0 or gpus * int(1 / share) >= workers


def test_a_cluster_without_a_gpu_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = cluster.ready()
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    other = Cluster(2, gpus=1)  # joins the Ray that this program has
    with pytest.raises(InputError, match=r"^workers that train on a GPU need one, .* or use --device cpu$"):
        other.ready()
    other.close()


def test_a_ray_of_the_programs_own_with_too_few_cpus_is_refused(cluster: Cluster) -> None:
    cluster.ready()
    other = Cluster(99)
    with pytest.raises(InputError, match=r"^99 workers need as many CPUs, this program's Ray has 2; ask for fewer"):
        other.ready()
    other.close()


def test_failures_come_back_and_fatal_errors_are_raised_as_they_were(hire: Hire) -> None:
    made = partial(build, raises=frozenset({JOB.genome}), full_disk=frozenset({OTHER.genome}))
    pool = hire(made)
    pool.submit(JOB)
    found = pool.next()
    assert found is not None
    assert found.status == "failed"
    assert found.note.startswith("ValueError: a toy that broke (toy_problem.py:")
    pool.submit(OTHER)
    with pytest.raises(RunFolderError, match=r"^no room for the checkpoint$"):
        pool.next()


def test_a_problem_that_cannot_be_built_stops_the_run(hire: Hire) -> None:
    pool = hire(broken)
    pool.submit(JOB)
    with pytest.raises(DataError, match=r"^no such data$"):
        pool.next()


def test_a_job_whose_worker_dies_is_done_by_another(hire: Hire, tmp_path: Path) -> None:
    death = tmp_path / "death"
    death.touch()
    log = tmp_path / "log"
    pool = hire(partial(build, kills=death, log=log))
    pool.submit(JOB)
    assert pool.next() == ToyProblem().evaluate(JOB)
    assert begun(log) == [JOB.id, JOB.id]
    assert len(set(processes(log))) == 2


def fatal(arrays: Mapping[str, np.ndarray], log: Path) -> ToyProblem:
    """A problem whose every job takes its worker along."""
    log.with_suffix(".death").touch()
    return ToyProblem(log=log, kills=log.with_suffix(".death"))


def test_a_job_that_keeps_losing_its_worker_has_failed(hire: Hire, tmp_path: Path) -> None:
    log = tmp_path / "log"
    pool = hire(partial(fatal, log=log))
    pool.submit(JOB)
    found = pool.next()
    assert found is not None
    assert (found.status, found.note) == ("failed", "its worker was lost 3 times (killed, or out of memory)")
    assert begun(log) == [JOB.id] * 3
    assert pool.free == 1


def test_workers_killed_at_three_points_cost_one_job_each_and_change_no_answer(hire: Hire, tmp_path: Path) -> None:
    points = np.random.default_rng(20240229).choice(np.arange(2, 20), 3, replace=False)
    log = tmp_path / "log"
    pool = hire(partial(build, seconds=0.05, log=log), count=2)
    strategy = ToyStrategy(seed=0, total=24)

    def kill(event: study.Event) -> None:
        """The worker that began last; at a busy moment its job is lost, at an idle one the next."""
        if event.kind == "evaluated" and len(strategy.told) in points:
            os.kill(processes(log)[-1], signal.SIGKILL)

    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        assert study.run(strategy, pool, ledger, on_event=kill) == "finished"
        assert [e.status for e in ledger.evaluations] == ["ok"] * 24
        assert all(e.outcome == ToyProblem(seconds=0.05).evaluate(e.job).outcome for e in ledger.evaluations)
        assert study.replay(ToyStrategy(seed=0, total=24), ledger.entries) == []
    assert len(set(begun(log))) == 24
    assert len(begun(log)) <= 24 + 3


def test_what_ray_finds_is_what_one_process_finds(hire: Hire, tmp_path: Path) -> None:
    """One job ahead at most, so that both ask for the same jobs."""
    found = []
    for name, workers in (("ray", hire(build)), ("serial", Serial(build))):
        with Ledger.open(tmp_path / name, "toy") as ledger:
            study.run(ToyStrategy(seed=0, total=12, ahead=1), workers, ledger)
            found.append([evaluation.outcome for evaluation in ledger.evaluations])
    assert found[0] == found[1]


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:9"])
def test_an_address_nobody_answers_at_is_one_line(address: str) -> None:
    """In a process of its own: a pool joins the instance its process has, whatever the address."""
    code = f"from nas.ray_pool import RayPool; RayPool(dict, count=2, address={address!r})"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    law = f"InputError: no Ray cluster answers at {address!r}"
    assert found.stderr.splitlines()[-1].startswith(f"search_spaces.errors.{law}")
