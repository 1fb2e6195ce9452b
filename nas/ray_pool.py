"""Workers side by side, on this machine or on a cluster. The only importer of ray, and lazily: it takes a second.

Each worker is an actor with one CPU, and a share of a GPU where students are trained on those, which builds the problem
once. The arrays go into Ray's store once; the actors of one machine share that memory. Arrays that lie in a file of the
run folder are opened there by each of them.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data.scratch import Mapped, opened, portable
from nas.evaluation import Evaluation, Job
from nas.workers import ONE_THREAD, Build, attempt, use_one_thread
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from nas.problem import Problem

RETRIES = 2
"""How often a job is done again after its worker was lost, before it counts as failed."""

# Read by Ray when it is imported and inherited by its processes: no report of this run to anybody, no chatter, and one
# thread for the NumPy of workers (the one of this process is loaded and does not look again).
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed",
    "OPENBLAS_NUM_THREADS": "1",
}


class RayPool:
    """Workers on Ray, one actor each; see `nas.workers.Workers`.

    An actor that is lost (killed, out of memory, its node gone) is replaced and its job done again, `RETRIES` times.

    Args:
        build: makes the problem in the actor: a function of an importable module, or a `functools.partial` of one.
        arrays: what `build` gets.
        count: number of workers.
        address: of a running cluster, "auto" for the one on this machine; None or "" starts Ray here.
        cluster: one that was started before, perhaps still starting; it stays up when the pool closes.

    Raises:
        InputError: Ray does not start, or the cluster is not there or too small.
    """

    def __init__(
        self,
        build: Build,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        count: int,
        address: str | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self.count = count
        self._owns_cluster = cluster is None
        self._cluster = cluster or Cluster(count, address)
        try:
            self._ray = self._cluster.ready()
        except InputError:
            self._release()
            raise
        self._build = build
        self._arrays = self._ray.put(portable(arrays or {}))
        share = gpu_share(self._cluster.gpus, count)
        self._hand = self._ray.remote(num_cpus=1, num_gpus=share, max_restarts=0)(_Hand)
        self._actors = [self._hire(worker) for worker in range(count)]
        self._running: dict[Any, _Task] = {}

    @property
    def free(self) -> int:
        return self.count - len(self._running)

    def submit(self, job: Job) -> None:
        busy = {task.worker for task in self._running.values()}
        idle = [worker for worker in range(self.count) if worker not in busy]
        if not idle:
            raise RuntimeError("submit needs a free worker; take the next evaluation first")
        self._start(_Task(job, idle[0]))

    def next(self, timeout: float | None = None) -> Evaluation | None:
        end = None if timeout is None else time.monotonic() + timeout
        errors = self._ray.exceptions
        while self._running:
            left = None if end is None else max(0.0, end - time.monotonic())
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=left)
            if not ready:
                return None
            task = self._running.pop(ready[0])
            try:
                evaluation: Evaluation = self._ray.get(ready[0])
            except errors.RayTaskError as error:
                raise (error.cause or error) from None  # as it was raised there, without Ray's page of traceback
            except errors.RayError:
                self._ray.kill(self._actors[task.worker])
                self._actors[task.worker] = self._hire(task.worker)
                if task.lost < RETRIES:
                    self._start(replace(task, lost=task.lost + 1))
                    continue
                note = f"its worker was lost {RETRIES + 1} times (killed, or out of memory)"
                return replace(Evaluation.failure(task.job, note), worker=task.worker)
            return evaluation
        return None

    def close(self) -> None:
        self._running.clear()
        while self._actors:
            self._ray.kill(self._actors.pop())
        self._release()

    def _release(self) -> None:
        if self._owns_cluster:
            self._cluster.close()

    def _hire(self, worker: int) -> Any:
        return self._hand.remote(self._build, self._arrays, worker)

    def _start(self, task: _Task) -> None:
        self._running[self._actors[task.worker].evaluate.remote(task.job)] = task


@dataclass(frozen=True, slots=True)
class _Task:
    """A job under way, who does it, and how many workers it has lost."""

    job: Job
    worker: int
    lost: int = 0


class _Hand:
    """What lives in a worker's process: the problem, or the reason why there is none."""

    def __init__(self, build: Build, arrays: Mapping[str, np.ndarray | Mapped], worker: int) -> None:
        self.worker = worker
        self.problem: Problem | Exception
        use_one_thread()
        try:
            self.problem = build(opened(arrays))
        except Exception as error:
            self.problem = error  # raised at the first job: Ray would call the actor dead, and it would be replaced
        use_one_thread()

    def evaluate(self, job: Job) -> Evaluation:
        if isinstance(self.problem, Exception):
            raise self.problem
        return attempt(self.problem, job, worker=self.worker)


class Cluster:
    """A Ray instance that starts in the background as soon as this is made, in about ten seconds.

    Where the program has a Ray of its own already, that one is used and left running.

    Args:
        count: workers it must have room for.
        address: of a running cluster, "auto" for the one on this machine; None or "" starts Ray here.
        gpus: of this machine, for its workers; 0 = the workers need none. A cluster's are counted when it answers.

    Attributes:
        gpus: that workers share, once it is `ready`.
    """

    def __init__(self, count: int, address: str | None = None, *, gpus: int = 0) -> None:
        self._count = count
        self._address = address
        self.gpus = gpus
        self._ray: Any = None
        self._error: Exception | None = None
        self._up, self._down = threading.Event(), threading.Event()
        # Linux kills Ray's processes together with the thread that started them: it stays until they may go.
        self._keeper = threading.Thread(target=self._keep, name="ray-keeper", daemon=True)
        self._keeper.start()

    def ready(self) -> Any:
        """Waits until Ray is up and returns the module `ray`.

        Raises:
            InputError: Ray does not start, or the cluster is not there or too small.
        """
        self._up.wait()
        if self._error is None:
            return self._ray
        if isinstance(self._error, InputError):
            raise self._error
        first: BaseException = self._error  # the last in Ray's chain says no more than "failed to connect"
        while first.__cause__ is not None:
            first = first.__cause__
        line = str(first).strip().partition("\n")[0]
        if self._address:
            law = f"no Ray cluster answers at {self._address!r} ({line})"
            raise InputError(f"{law}; start one with `ray start --head`, or leave --address out") from self._error
        raise InputError(f"Ray did not start ({line}); use --workers 1") from self._error

    def close(self) -> None:
        """Stops what was started; a second time does nothing."""
        self._down.set()
        self._keeper.join()

    def _keep(self) -> None:
        theirs = False
        try:
            for name, value in _SETTINGS.items():
                os.environ.setdefault(name, value)
            import ray

            theirs = ray.is_initialized()
            self._ray = ray
            if not theirs:
                self._connect()
            if theirs or self._address:
                self._check_room()
            if self.gpus:
                self._count_gpus()
        except Exception as error:
            self._error = error
        self._up.set()
        self._down.wait()
        if self._ray is not None and not theirs:
            self._ray.shutdown()

    def _connect(self) -> None:
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        if not self._address:  # "local" keeps Ray from joining a cluster that happens to be there
            self._ray.init(address="local", num_cpus=self._count, num_gpus=self.gpus, **quiet)
            return
        _knock(self._address)
        self._ray.init(address=self._address, runtime_env={"env_vars": ONE_THREAD}, **quiet)

    def _check_room(self) -> None:
        """Ray would keep a worker without a CPU waiting for ever."""
        room = int(self._ray.cluster_resources().get("CPU", 0))
        if room < self._count:
            where = f"the Ray cluster at {self._address!r}" if self._address else "this program's Ray"
            law = f"{self._count} workers need as many CPUs, {where} has {room}"
            raise InputError(f"{law}; ask for fewer workers or add nodes")

    def _count_gpus(self) -> None:
        self.gpus = int(self._ray.cluster_resources().get("GPU", 0))
        if not self.gpus:
            law = "workers that train on a GPU need one, the Ray cluster has none"
            raise InputError(f"{law}; add nodes that have one, or use --device cpu")


def gpu_share(gpus: int, workers: int) -> float:
    """The share of a GPU that each worker is given: as large as leaves room for all, since none is split over two.

    Ray counts in ten-thousandths.
    """
    if gpus == 0:
        return 0.0
    neighbors = -(-workers // gpus)  # on the fullest GPU
    return 10_000 // neighbors / 10_000


def _knock(address: str) -> None:
    """Finds out in seconds whether anybody listens at `host:port`; Ray itself would try for many minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=5).close()
