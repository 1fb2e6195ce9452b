"""The one loop: ask the strategy, hand out jobs, write down what comes back, tell the strategy.

Resume is replay. The ledger has the evaluations in order of arrival; fed to a fresh strategy with its asks in between,
they bring it to where the run was, and the jobs that were asked for but never answered come out as the ones to do
first. A strategy therefore may depend on nothing but its seed, what it was told, and when between tells it was asked.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from nas.evaluation import Evaluation, Job
from nas.ledger import Entry, Ledger, evaluation_of
from nas.workers import Workers
from search_spaces.errors import EngineError, Interrupted, RunFolderError

TICK_SECONDS = 1.0
"""How often a loop that waits says so."""

FAILURES_IN_A_ROW = 10
"""So many failed evaluations and nothing else since the loop began mean a defect, not bad luck."""

End = Literal["finished", "deadline", "stalled"]


class Strategy(Protocol):
    """Decides what to try. Holds no I/O, no workers and no clock."""

    @property
    def finished(self) -> bool:
        """True once nothing more will be asked for."""

    def ask(self) -> Job | None:
        """The next job, never one that is under way or done; None: nothing before the next tell."""

    def tell(self, evaluation: Evaluation) -> None:
        """What came of a job that was asked for."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened in the loop: a job was `submitted`, one was `evaluated`, or time passed (`waiting`)."""

    kind: Literal["submitted", "evaluated", "waiting"]
    job: Job | None = None
    evaluation: Evaluation | None = None


def _ignore(_: Any) -> None:
    return None


def run(
    strategy: Strategy,
    workers: Workers,
    ledger: Ledger,
    *,
    deadline: Callable[[], bool] = lambda: False,
    on_event: Callable[[Event], None] = _ignore,
    lost: Iterable[Job] = (),
) -> End:
    """Runs until the strategy is finished, or the deadline has passed and what was under way has come home.

    Args:
        strategy: fresh, or brought up to the ledger by `replay`.
        workers: idle.
        ledger: open; gets a `loop` entry now and an `evaluation` entry as each one arrives.
        deadline: True once no more jobs should begin.
        on_event: told of everything as it happens. At an `evaluated` event, after the tell and before the next ask, it
            may append a `plan` to the ledger and hand it to the strategy; `replay` will do so at the same place.
        lost: jobs that `replay` returned; they are handed out first.

    Returns:
        `finished`; `deadline`; or `stalled` where the strategy has nothing to ask although nothing is under way.

    Raises:
        Interrupted: Ctrl-C; everything that arrived is in the ledger.
        RunFolderError: the ledger cannot be written.
        EngineError: the first evaluations all failed.
    """
    ledger.append("loop", {"workers": workers.count})
    try:
        return _loop(strategy, workers, ledger, deadline, on_event, deque(lost))
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; what was finished is in {ledger.path}") from None


def _loop(
    strategy: Strategy,
    workers: Workers,
    ledger: Ledger,
    deadline: Callable[[], bool],
    on_event: Callable[[Event], None],
    lost: deque[Job],
) -> End:
    failures: int | None = 0  # in a row since the beginning; None once anything has succeeded
    waits = False  # the strategy said None: it is asked again after the next tell and not before, as in `replay`
    while True:
        while workers.free and not deadline():
            job = lost.popleft() if lost else None
            if job is None and not (waits or strategy.finished):
                job = strategy.ask()
                waits = job is None
            if job is None:
                break
            workers.submit(job)
            on_event(Event("submitted", job))
        if workers.free == workers.count:
            if strategy.finished and not lost:
                return "finished"
            return "deadline" if lost or deadline() else "stalled"
        evaluation = workers.next(TICK_SECONDS)
        if evaluation is None:
            on_event(Event("waiting"))
            continue
        ledger.append("evaluation", evaluation.to_json() | {"time": time.time()})
        strategy.tell(evaluation)
        waits = False
        on_event(Event("evaluated", evaluation.job, evaluation))
        if failures is not None:
            failures = failures + 1 if evaluation.status == "failed" else None
            if failures == FAILURES_IN_A_ROW:
                raise EngineError(f"the first {failures} candidates all failed; the last one said: {evaluation.note}")


def replay(strategy: Strategy, entries: Iterable[Entry], *, on_plan: Callable[[Entry], None] = _ignore) -> list[Job]:
    """Brings a fresh strategy to where the ledger ends, asking it exactly when the run did.

    Args:
        strategy: as it was at the very beginning of the run.
        entries: a ledger's entries.
        on_plan: gets each `plan` entry at its place.

    Returns:
        The jobs that were under way, in the order they were asked for; give them to `run`.

    Raises:
        RunFolderError: the ledger holds an evaluation that this strategy did not ask for.
    """
    under_way: dict[str, Job] = {}
    workers = 0
    for entry in entries:
        if entry["entry"] == "loop":
            workers = entry["workers"]
        elif entry["entry"] == "plan":
            on_plan(entry)
        elif entry["entry"] == "evaluation":
            evaluation = evaluation_of(entry)
            while len(under_way) < workers and not strategy.finished:
                job = strategy.ask()
                if job is None:
                    break
                under_way[job.id] = job
            if under_way.pop(evaluation.job.id, None) != evaluation.job:
                law = f"the ledger holds job {evaluation.job.id}, which this strategy does not ask for at that point"
                raise RunFolderError(f"{law}; it was written by another version: choose another --out")
            strategy.tell(evaluation)
    return list(under_way.values())
