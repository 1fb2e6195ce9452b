"""Who does the jobs: the contract, and the simplest case, this process. `nas.ray_pool` has workers side by side.

Every kind takes the same `build`, a function that makes the problem from the big arrays (data, views, weights), so that
a problem can be made where it is needed. The arrays are read-only. A worker computes on one thread: workers do not
fight over the cores, and a job gives the same numbers whoever does it.

A job that raises comes back as a failed `Evaluation`, and the run goes on. Two things end the run: a problem that
cannot be built, and a `RunFolderError` (the disk is full), because every other job would meet it too.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nas.evaluation import Evaluation, Job
from search_spaces.errors import EngineError, RunFolderError

if TYPE_CHECKING:
    from nas.problem import Problem

Build = Callable[[Mapping[str, np.ndarray]], "Problem"]

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""What the numeric libraries read from the environment when they are imported."""


class Workers(Protocol):
    """Some hands: `submit` while `free`, then `next`.

    Attributes:
        count: how many work side by side.
    """

    count: int

    @property
    def free(self) -> int:
        """How many jobs can be submitted now."""

    def submit(self, job: Job) -> None:
        """Hands a job to a free worker."""

    def next(self, timeout: float | None = None) -> Evaluation | None:
        """The next evaluation to arrive; None if none does within `timeout` seconds, or nothing is under way."""

    def close(self) -> None:
        """Lets the workers go; what they were doing is dropped."""


class Serial:
    """One worker: this process. `next` does the submitted job, however long it takes."""

    def __init__(self, build: Build, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        self.count = 1
        self._job: Job | None = None
        use_one_thread()
        self._problem = build({name: _read_only(array) for name, array in (arrays or {}).items()})
        use_one_thread()

    @property
    def free(self) -> int:
        return int(self._job is None)

    def submit(self, job: Job) -> None:
        if self._job is not None:
            raise RuntimeError("submit needs a free worker; take the next evaluation first")
        self._job = job

    def next(self, timeout: float | None = None) -> Evaluation | None:
        if self._job is None:
            return None
        job, self._job = self._job, None
        return attempt(self._problem, job, worker=0)

    def close(self) -> None:
        self._job = None


def attempt(problem: Problem, job: Job, *, worker: int) -> Evaluation:
    """The job's evaluation, a failed one if it raises.

    Raises:
        RunFolderError: from the problem; the run cannot go on.
    """
    try:
        evaluation = problem.evaluate(job)
    except RunFolderError:
        raise
    except Exception as error:
        evaluation = Evaluation.failure(job, _described(error))
    return replace(evaluation, worker=worker)


def use_one_thread() -> None:
    """Keeps this process's arithmetic to one thread: by the environment for what is not imported yet, torch by hand."""
    os.environ.update(ONE_THREAD)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


def _described(error: Exception) -> str:
    """What went wrong; with the place in the code unless the text was written for the user."""
    text = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, EngineError) or not frames:
        return text
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"


def _read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written, like the arrays that come out of Ray's store."""
    view = array.view()
    view.flags.writeable = False
    return view
