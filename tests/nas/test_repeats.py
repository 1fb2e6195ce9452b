"""The chosen network and its neighbors trained again with other seeds: who, how often, and that nothing else moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nas import repeats
from nas.artefacts import RunFolder
from nas.evaluate import RealProblem
from nas.evaluation import Evaluation, Job
from nas.ledger import LEDGER_FILE, read
from nas.plan import step_plan
from nas.result import Front, Point
from search_spaces.errors import Interrupted
from search_spaces.genes import Genome
from tests.nas.digits_run import optimize, outcomes, timeless
from tests.nas.synthetic_run import point

Files = tuple[Path, Path]

FRONT = [point(name, size_kb, 2 - size_kb / 100, front=True) for name, size_kb in (("a", 40), ("b", 60), ("c", 90))]
FRONT += [point("d", 120, 0.3, front=True), point("beaten", 70, 1.9, front=False)]
BY_ID = {p.id: p for p in FRONT}


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [("a", "ab"), ("b", "bac"), ("d", "dc")],
)
def test_the_chosen_one_and_its_neighbors_on_the_front(chosen: str, wanted: str) -> None:
    found = repeats.members(FRONT[::-1], BY_ID[chosen], "size_bytes")
    assert "".join(p.id for p in found) == wanted


def test_a_chosen_one_off_the_front_has_neighbors_too_and_no_choice_has_none() -> None:
    assert [p.id for p in repeats.members(FRONT, BY_ID["beaten"], "size_bytes")] == ["beaten", "b", "c"]
    assert repeats.members(FRONT, None, "size_bytes") == []


def test_the_reserve_pays_for_three_networks_at_the_price_of_a_finish() -> None:
    """Six finishes and 3 x 2 repeats: half of the budget; 3 x 1: a third; none for one seed."""
    plan = step_plan(9000, 1)
    assert [repeats.reserving(plan, seeds).reserved for seeds in (1, 2, 3)] == [0, 3000, 4500]
    assert repeats.reserving(plan, 2).total == 6000
    assert repeats.reserving(plan, 1) == plan


def test_every_seed_of_the_first_comes_before_the_next_and_none_is_cut_short() -> None:
    """2,400 steps each: 10,000 pay for four."""
    own = {p.id: Job.make(Genome((k,)), 3, 2000, run_seed=0) for k, p in enumerate(FRONT)}
    found = repeats.jobs(
        FRONT[:2], own, lambda job: float(job.steps), seeds=4, run_seed=0, affordable=10_000
    )  # fmt: skip
    assert [(job.genome.values, job.start) for job in found] == [
        ((0,), "seed:1"), ((0,), "seed:2"), ((0,), "seed:3"), ((1,), "seed:1"),
    ]  # fmt: skip
    assert all((job.rung, job.steps) == (3, 2400) for job in found)


@pytest.fixture(scope="module")
def front(digits: Files, tmp_path_factory: pytest.TempPathFactory) -> Front:
    """A run with two seeds, never disturbed."""
    return optimize(digits, tmp_path_factory.mktemp("seeds") / "run", final_seeds=2, budget="300steps")


def chosen(front: Front) -> Point:
    assert front.chosen is not None
    return front.chosen


def test_the_exported_file_is_that_of_the_networks_own_training(front: Front) -> None:
    point = chosen(front)
    (own, other) = point.seed_drops
    assert own == point.val_drop
    done = [e for e in outcomes(front.folder) if e.job.genome.key == point.id and e.job.rung == 3]
    assert [(e.job.repeat, e.job.steps) for e in done][1:] == [(1, point.steps)]
    files = [RunFolder(front.folder).tflite(e.job.id).read_bytes() for e in done]
    assert (front.folder / point.tflite).read_bytes() == files[0] != files[1]
    assert other == pytest.approx(front.result.original.accuracy["final_val"] - accuracy(front, done[1]))


def accuracy(front: Front, done: Evaluation) -> float:
    """Of a job's file on final_val, in percent."""
    import numpy as np

    from nas.data.splits import four
    from nas.runtime import Session
    from tests.digits import arrays

    given = arrays()
    pairs = {part: (given[f"x_{part}"], given[f"y_{part}"]) for part in ("train", "val", "test")}
    x, y = four(pairs, seed=front.result.seed)[0]["final_val"]
    return 100 * float(np.mean(Session(RunFolder(front.folder).onnx(done.job.id)).logits(x).argmax(1) == y))


def test_the_repeats_follow_the_search_and_are_none_of_it(front: Front) -> None:
    kinds = [e.job.repeat > 0 for e in outcomes(front.folder)]
    assert kinds == sorted(kinds)
    assert any(kinds)
    assert len(front.result.archive) == kinds.count(False)
    assert front.result.plan["total"] + front.result.plan["reserved"] == 300
    entries = [entry["entry"] for entry in read(front.folder / LEDGER_FILE)]
    assert entries.count(repeats.ENTRY) == 1


def test_interrupted_among_the_repeats_and_resumed_it_ends_as_if_undisturbed(
    digits: Files, front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = RealProblem.evaluate

    def wrapped(self: RealProblem, job: Job) -> Evaluation:
        if job.repeat and len(outcomes(tmp_path / "run")) == len(outcomes(front.folder)) - 1:
            raise KeyboardInterrupt
        return evaluate(self, job)

    with monkeypatch.context() as patch:
        patch.setattr(RealProblem, "evaluate", wrapped)
        with pytest.raises(Interrupted):
            optimize(digits, tmp_path / "run", final_seeds=2, budget="300steps")
    found = optimize(digits, tmp_path / "run", final_seeds=2, budget="300steps", resume=True)
    assert outcomes(found.folder) == outcomes(front.folder)
    assert timeless(found.result.points) == timeless(front.result.points)


def test_points_without_repeats_stay_as_they_are() -> None:
    assert replace(FRONT[0]).seeds_mean is None
    assert FRONT[0].seeds_sd is None
