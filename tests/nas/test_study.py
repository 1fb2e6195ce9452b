"""The loop and its replay: stopped anywhere and resumed, a run ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nas import study
from nas.evaluation import Evaluation, Job
from nas.ledger import LEDGER_FILE, Ledger
from nas.study import Event
from nas.workers import Serial
from search_spaces.errors import EngineError, Interrupted, RunFolderError
from search_spaces.genes import Genome
from tests.toy_problem import ToyProblem, ToyStrategy, build

TOTAL = 16


class Shuffled:
    """Some hands in this process whose answers come back in a random order, as from workers of different speed."""

    def __init__(self, count: int, *, seed: int = 0) -> None:
        self.count = count
        self.rng = np.random.default_rng(seed)
        self.done: list[Job] = []
        self._held: list[Job] = []

    @property
    def free(self) -> int:
        return self.count - len(self._held)

    def submit(self, job: Job) -> None:
        assert self.free
        self._held.append(job)

    def next(self, timeout: float | None = None) -> Evaluation | None:
        if not self._held:
            return None
        job = self._held.pop(int(self.rng.integers(len(self._held))))
        self.done.append(job)
        return ToyProblem().evaluate(job)

    def close(self) -> None:
        self._held.clear()


def outcomes(ledger: Ledger) -> list[Evaluation]:
    return [evaluation.outcome for evaluation in ledger.evaluations]


def undisturbed(folder: Path, workers: study.Workers | None = None) -> list[Evaluation]:
    with Ledger.open(folder / "undisturbed.jsonl", "toy") as ledger:
        assert study.run(ToyStrategy(seed=0, total=TOTAL), workers or Serial(build), ledger) == "finished"
        return outcomes(ledger)


def interrupt_after(events: int) -> Callable[[Event], None]:
    """Ctrl-C at an event; nothing is told of what happens afterwards."""
    left = [events]

    def on_event(_: Event) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    return on_event


def test_a_run_asks_evaluates_writes_and_tells(tmp_path: Path) -> None:
    strategy = ToyStrategy(seed=0, total=TOTAL)
    events: list[Event] = []
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        assert study.run(strategy, Serial(build), ledger, on_event=events.append) == "finished"
        assert ledger.evaluations == strategy.told
        assert ledger.entries[1] == {"entry": "loop", "workers": 1}
    assert len(strategy.told) == TOTAL
    assert [event.kind for event in events] == ["submitted", "evaluated"] * TOTAL
    assert [event.evaluation for event in events[1::2]] == strategy.told
    assert {event.job for event in events} == set(strategy.asked.values())


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    first, second = undisturbed(tmp_path / "a"), undisturbed(tmp_path / "b")
    assert first == second
    assert len({evaluation.job.id for evaluation in first}) == TOTAL
    assert {evaluation.job.rung for evaluation in first} == {1, 2}


@pytest.mark.parametrize("events", range(1, 2 * TOTAL, 3))
def test_interrupted_anywhere_and_resumed_equals_undisturbed(tmp_path: Path, events: int) -> None:
    expected = undisturbed(tmp_path)
    path = tmp_path / LEDGER_FILE
    with Ledger.open(path, "toy") as ledger, pytest.raises(Interrupted, match=r"stopped; .*ledger\.jsonl"):
        study.run(ToyStrategy(seed=0, total=TOTAL), Serial(build), ledger, on_event=interrupt_after(events))
    with Ledger.open(path, "toy", resume=True) as ledger:
        assert outcomes(ledger) == expected[: events // 2]
        strategy = ToyStrategy(seed=0, total=TOTAL)
        lost = study.replay(strategy, ledger.entries)
        assert study.run(strategy, Serial(build), ledger, lost=lost) == "finished"
        assert outcomes(ledger) == expected


@pytest.mark.parametrize("seed", range(5))
def test_replay_asks_when_the_run_did_whatever_the_order_of_arrival(tmp_path: Path, seed: int) -> None:
    lived = ToyStrategy(seed=seed, total=TOTAL, ahead=6)
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        study.run(lived, Shuffled(4, seed=seed), ledger)
        replayed = ToyStrategy(seed=seed, total=TOTAL, ahead=6)
        assert study.replay(replayed, ledger.entries) == []
    assert replayed.told == lived.told
    assert list(replayed.asked.items()) == list(lived.asked.items())


def test_a_run_stopped_again_and_again_with_other_numbers_of_workers_does_each_job_once(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_FILE
    done: list[Job] = []
    # An odd number of events stops at a submission or an evaluation, with up to `count` jobs under way.
    for count, events in [(2, 5), (4, 9), (1, 3), (3, 7), (3, 1), (2, 1000)]:
        workers = Shuffled(count, seed=events)
        with Ledger.open(path, "toy", resume=True) as ledger:
            strategy = ToyStrategy(seed=1, total=TOTAL, ahead=6)
            lost = study.replay(strategy, ledger.entries)
            before = [evaluation.job for evaluation in ledger.evaluations]
            assert done == before
            assert not {job.id for job in lost} & {job.id for job in before}
            try:
                end = study.run(strategy, workers, ledger, lost=lost, on_event=interrupt_after(events))
            except Interrupted:
                end = None
            done += workers.done
    assert end == "finished"
    assert len(done) == len({job.id for job in done}) == TOTAL


class Counting(ToyStrategy):
    """Counts how often it is asked."""

    asks = 0

    def ask(self) -> Job | None:
        self.asks += 1
        return super().ask()


def test_a_strategy_that_says_none_is_asked_again_after_the_next_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Shuffled(4)
    answers = workers.next
    turns = iter(range(1000))
    monkeypatch.setattr(workers, "next", lambda timeout: answers(timeout) if next(turns) % 3 == 2 else None)
    lived, replayed = (Counting(seed=0, total=TOTAL, ahead=2) for _ in range(2))
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        assert study.run(lived, workers, ledger) == "finished"
        study.replay(replayed, ledger.entries)
    assert next(turns) == 3 * TOTAL
    # One job a tell, after the two at the beginning; every round but the last few ends with a None.
    assert TOTAL < lived.asks <= 2 * TOTAL + 1
    assert replayed.asks == lived.asks


def test_an_evaluation_is_written_before_it_is_told(tmp_path: Path) -> None:
    class Checking(ToyStrategy):
        def tell(self, evaluation: Evaluation) -> None:
            assert ledger.evaluations[-1] == evaluation
            super().tell(evaluation)

    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        assert study.run(Checking(seed=0, total=3), Serial(build), ledger) == "finished"


def test_what_was_under_way_is_handed_out_first(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_FILE
    with Ledger.open(path, "toy") as ledger, pytest.raises(Interrupted):
        study.run(ToyStrategy(seed=0, total=TOTAL), Shuffled(3), ledger, on_event=interrupt_after(4))
    with Ledger.open(path, "toy", resume=True) as ledger:
        strategy = ToyStrategy(seed=0, total=TOTAL)
        lost = study.replay(strategy, ledger.entries)
        assert len(lost) == 2
        events: list[Event] = []
        study.run(strategy, Shuffled(3), ledger, lost=lost, on_event=events.append)
    assert [event.job for event in events[:2]] == lost


def test_a_new_plan_is_followed_from_the_same_place_in_the_replay(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_FILE
    lived = ToyStrategy(seed=0, total=TOTAL)

    def replan(event: Event) -> None:
        if event.kind == "evaluated" and len(lived.told) == 5:
            ledger.append("plan", {"steps": 30})
            lived.follow({"steps": 30})

    with Ledger.open(path, "toy") as ledger:
        study.run(lived, Serial(build), ledger, on_event=replan)
        assert {e.job.steps for e in ledger.evaluations[:5]} <= {10, 40}
        assert {e.job.steps for e in ledger.evaluations[5:]} <= {30, 120}
        replayed = ToyStrategy(seed=0, total=TOTAL)
        study.replay(replayed, ledger.entries, on_plan=replayed.follow)
        assert replayed.told == lived.told
        with pytest.raises(RunFolderError, match="does not ask for"):
            study.replay(ToyStrategy(seed=0, total=TOTAL), ledger.entries)


def test_past_the_deadline_nothing_begins_and_what_is_under_way_comes_home(tmp_path: Path) -> None:
    path = tmp_path / LEDGER_FILE
    workers = Shuffled(3)
    with Ledger.open(path, "toy") as ledger:
        passed = partial(lambda: len(workers.done) >= 4)
        assert study.run(ToyStrategy(seed=0, total=TOTAL), workers, ledger, deadline=passed) == "deadline"
        assert len(ledger.evaluations) == 6
        assert workers.free == 3
    with Ledger.open(path, "toy", resume=True) as ledger:
        strategy = ToyStrategy(seed=0, total=TOTAL)
        lost = study.replay(strategy, ledger.entries)
        assert study.run(strategy, Shuffled(3), ledger, lost=lost) == "finished"
        assert len({evaluation.job.id for evaluation in ledger.evaluations}) == TOTAL


def test_a_deadline_in_the_past_begins_nothing(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        job = Job.make(Genome((4, 8, 0)), 1, 10, run_seed=0)
        for strategy in (ToyStrategy(seed=0, total=TOTAL), ToyStrategy(seed=0, total=0)):
            assert study.run(strategy, Serial(build), ledger, deadline=lambda: True, lost=[job]) == "deadline"
        assert ledger.evaluations == []


def test_a_strategy_with_nothing_to_ask_stalls_and_does_not_spin(tmp_path: Path) -> None:
    strategy = ToyStrategy(seed=0, total=TOTAL, ahead=0)
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        assert study.run(strategy, Serial(build), ledger) == "stalled"


def test_waiting_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Shuffled(1)
    answers = workers.next
    calls = iter([True] * 2 + [False] * 100)
    monkeypatch.setattr(workers, "next", lambda timeout: None if next(calls) else answers(timeout))
    events: list[Event] = []
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        study.run(ToyStrategy(seed=0, total=1), workers, ledger, on_event=events.append)
    assert [event.kind for event in events] == ["submitted", "waiting", "waiting", "evaluated"]


def test_when_everything_fails_from_the_start_the_run_says_why(tmp_path: Path) -> None:
    everything = frozenset(Genome((a, b, c)) for a in range(4, 33, 4) for b in range(8, 65, 8) for c in (0, 1))
    strategy = ToyStrategy(seed=0, total=100)
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        with pytest.raises(EngineError, match="first 10 candidates all failed; the last one said: ValueError: a toy"):
            study.run(strategy, Serial(partial(build, raises=everything)), ledger)
        assert len(ledger.evaluations) == study.FAILURES_IN_A_ROW


def test_some_failures_do_not_stop_a_run(tmp_path: Path) -> None:
    shallow = frozenset(Genome((a, b, 0)) for a in range(4, 33, 4) for b in range(8, 65, 8))
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        study.run(ToyStrategy(seed=0, total=60), Serial(partial(build, raises=shallow)), ledger)
        found = [evaluation.status for evaluation in ledger.evaluations]
    assert len(found) == 60
    assert set(found) == {"ok", "failed"}


def test_a_ledger_of_another_strategy_is_refused(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        study.run(ToyStrategy(seed=0, total=3), Serial(build), ledger)
        with pytest.raises(RunFolderError, match="does not ask for at that point"):
            study.replay(ToyStrategy(seed=1, total=3), ledger.entries)
