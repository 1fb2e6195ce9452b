"""The worker in this process: jobs in, evaluations out, failures as data."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest
import torch

from nas.evaluation import Evaluation, Job
from nas.workers import Serial
from search_spaces.errors import DataError, RunFolderError
from search_spaces.genes import Genome
from tests.toy_problem import ToyProblem, build

JOB = Job.make(Genome((8, 16, 1)), 1, 50, run_seed=3)


def answer(workers: Serial, job: Job = JOB) -> Evaluation:
    workers.submit(job)
    found = workers.next()
    assert found is not None
    return found


def test_a_job_goes_in_and_its_evaluation_comes_out() -> None:
    workers = Serial(build)
    assert (workers.count, workers.free, workers.next()) == (1, 1, None)
    workers.submit(JOB)
    assert workers.free == 0
    assert workers.next() == ToyProblem().evaluate(JOB)
    assert workers.free == 1


def test_a_busy_worker_takes_no_second_job() -> None:
    workers = Serial(build)
    workers.submit(JOB)
    with pytest.raises(RuntimeError, match="needs a free worker"):
        workers.submit(JOB)


def test_the_problem_is_built_from_the_arrays() -> None:
    plain, offset = Serial(build), Serial(build, {"offset": np.full(4, 2.5)})
    assert answer(offset).drop == pytest.approx((answer(plain).drop or 0) + 2.5)


def test_the_arrays_cannot_be_written_and_the_callers_can() -> None:
    def vandal(arrays: dict[str, np.ndarray]) -> ToyProblem:
        arrays["offset"][:] = 0
        return ToyProblem()

    offset = np.ones(4)
    with pytest.raises(ValueError, match="read-only"):
        Serial(vandal, {"offset": offset})  # type: ignore[arg-type]
    offset[:] = 2


def test_a_job_that_raises_has_failed_and_says_where_on_one_line() -> None:
    workers = Serial(partial(build, raises=frozenset({JOB.genome})))
    found = answer(workers)
    assert (found.status, found.job, found.accuracy) == ("failed", JOB, None)
    assert found.note.startswith("ValueError: a toy that broke (toy_problem.py:")
    other = Job.make(Genome((4, 8, 0)), 1, 50, run_seed=3)
    assert answer(workers, other).status == "ok"


def test_a_full_disk_stops_the_run() -> None:
    workers = Serial(partial(build, full_disk=frozenset({JOB.genome})))
    workers.submit(JOB)
    with pytest.raises(RunFolderError, match="no room for the checkpoint"):
        workers.next()


def test_a_problem_that_cannot_be_built_stops_the_run() -> None:
    def broken(arrays: object) -> ToyProblem:
        raise DataError("no such data")

    with pytest.raises(DataError):
        Serial(broken)


def test_a_worker_computes_on_one_thread() -> None:
    Serial(build)
    assert torch.get_num_threads() == 1
    assert os.environ["OMP_NUM_THREADS"] == "1"
