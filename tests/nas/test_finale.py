"""The end of a run: five points put in order, the area below them, and who gets that far."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas import finale
from nas.evaluation import Evaluation, Job
from nas.objectives import Limits
from nas.result import Point
from search_spaces.genes import Genome
from tests.nas.synthetic_run import cost, point

LIMITS = Limits(size_bytes=256 * 1024, drop=2.0)

# (size in KB, drop): a, b and d are on the front; c is as large as b and worse, e is over the drop limit.
FIVE = [
    point("a", 32, 1.75, front=False),
    point("b", 64, 1.0, front=False),
    point("c", 64, 1.5, front=False),
    point("d", 128, 0.5, front=False),
    point("e", 16, 3.0, front=False),
]


def volume(points: list[Point], limits: Limits) -> float:
    """Of an original of 1 MB."""
    return finale.hypervolume([(p.cost, p.val_drop) for p in points if p.within_limits], limits, cost(1024))


def marked(points: list[Point]) -> list[str]:
    return [p.id for p in finale.mark_front(points) if p.on_front]


def test_the_front_of_five_points() -> None:
    assert marked(FIVE) == ["a", "b", "d"]


def test_marks_do_not_depend_on_the_order_and_old_ones_are_taken_off() -> None:
    assert sorted(marked(FIVE[::-1])) == ["a", "b", "d"]
    assert marked([replace(p, on_front=True) for p in FIVE]) == ["a", "b", "d"]


def test_a_point_beyond_the_limits_dominates_nobody() -> None:
    giant = replace(point("x", 8, 0.1, front=False), within_limits=False)
    assert marked([*FIVE, giant]) == ["a", "b", "d"]


def test_equal_points_are_both_kept_and_nothing_within_is_no_front() -> None:
    assert marked([FIVE[1], replace(FIVE[1], id="twin")]) == ["b", "twin"]
    assert marked([FIVE[4]]) == []
    assert marked([]) == []


def test_the_knee_of_the_front_is_marked() -> None:
    """In octaves and points: a (5, 1.75), b (6, 1.0), d (7, 0.5); b is at half of one way and 0.4 of the other."""
    assert [p.id for p in finale.mark_front(FIVE) if p.knee] == ["b"]
    assert not any(p.knee for p in finale.mark_front(FIVE[:2]))


def test_a_front_of_three_objectives_keeps_what_is_best_in_one_of_them() -> None:
    """c is behind b in size and drop, but faster."""
    fast = replace(FIVE[2], cost=replace(FIVE[2].cost, latency_ms=1.0))
    points = [FIVE[0], FIVE[1], fast, FIVE[3]]
    assert marked(points) == ["a", "b", "d"]
    found = finale.mark_front(points, ("size_bytes", "latency_ms", "drop"))
    assert [p.id for p in found if p.on_front] == ["a", "b", "c", "d"]


def test_hypervolume_of_five_points() -> None:
    """In octaves below 256 KB and points below 2: a 3 x 0.25, b adds 2 x 0.75, d adds 1 x 0.5."""
    assert volume(FIVE, LIMITS) == pytest.approx(3 * 0.25 + 2 * 0.75 + 1 * 0.5)


def test_a_drop_below_zero_counts_as_zero() -> None:
    better = replace(FIVE[3], val_drop=-1.0)
    assert volume([better], LIMITS) == pytest.approx(1 * 2.0)


def test_without_a_size_limit_the_original_is_the_corner() -> None:
    open_ended = Limits(drop=2.0)
    assert volume([FIVE[1]], open_ended) == pytest.approx(4 * 1.0)
    assert volume([], open_ended) == 0.0


def test_reference_kernels_are_for_few_images_or_small_networks() -> None:
    """4e10 multiplications: 10,000 images of points of 4,000,000 in all, and not one image more."""
    points = [replace(p, cost=replace(p.cost, macs=10**6)) for p in FIVE[:4]]
    assert finale.affordable(points, 10_000)
    assert not finale.affordable(points, 10_001)


# -- who is scored on final_val -----------------------------------------------------------------------------------


def evaluation(number: int, rung: int, size_kb: float, drop: float, *, origin: str | None = None) -> Evaluation:
    start = f"checkpoint:{origin}" if origin else "refit"
    job = Job.make(Genome((number,)), rung, 10 * rung, start, run_seed=0)
    return Evaluation(job, cost(size_kb), accuracy=90 - drop, drop=drop)


def test_each_genome_is_judged_by_its_furthest_training() -> None:
    first = evaluation(1, 1, 32, 5.0)
    second = evaluation(1, 2, 32, 6.0, origin=first.job.id)
    assert finale.contenders([first, second], finish_rung=3) == [second]
    assert finale.contenders([second, first], finish_rung=3) == [second]


def test_looks_and_failures_are_never_judged() -> None:
    look = Evaluation(Job.make(Genome((1,)), 0, 0, run_seed=0), cost(32), kl=0.1)
    failed = Evaluation.failure(Job.make(Genome((2,)), 3, 10, run_seed=0), "broken", cost=cost(32))
    assert finale.contenders([look, failed], finish_rung=3) == []


def test_of_too_many_the_finishes_and_then_the_best_ranks_are_judged() -> None:
    """45 dominated ladder steps, five of a front and one finish that is worse than all of them."""
    rungs = [evaluation(k, 1, 64 + k, 10.0 + k) for k in range(45)]
    front = [evaluation(100 + k, 1, 16 + k, 5.0 - k / 10) for k in range(5)]
    finish = evaluation(200, 3, 500, 80.0)
    found = finale.contenders([*rungs, *front, finish], finish_rung=3)
    assert len(found) == finale.MOST
    assert found[0] == finish
    assert set(e.job.id for e in front) == {e.job.id for e in found[1:6]}


def test_steps_add_up_along_the_checkpoints() -> None:
    first = evaluation(1, 1, 32, 5.0)
    second = evaluation(1, 2, 32, 4.0, origin=first.job.id)
    third = evaluation(1, 3, 32, 3.0, origin=second.job.id)
    fresh = evaluation(2, 3, 32, 3.0)
    steps = finale.trained_steps([first, fresh, second, third])
    assert [steps[e.job.id] for e in (first, second, third, fresh)] == [10, 30, 60, 30]
    cut = finale.trained_steps([first, second, replace(third, taken=7)])  # by the clock
    assert cut[third.job.id] == 37


def test_seconds_are_summed_by_kind() -> None:
    """Writing to the disk is no arithmetic."""
    done = replace(
        evaluation(1, 1, 32, 5.0), seconds={"refit": 1.0, "train": 8.0, "quantize": 2.0, "write": 4.0, "score": 0.5}
    )
    assert finale.phase_seconds([done, done]) == (16.0, 4.0, 3.0)


def test_the_archive_says_what_was_never_scored() -> None:
    look = Evaluation(Job.make(Genome((1,)), 0, 0, run_seed=0), cost(32), kl=0.1)
    lost = Evaluation.failure(Job.make(Genome((2,)), 1, 10, run_seed=0), "broken")
    rows = finale.archive([look, lost, evaluation(3, 1, 16, 2.0)], {Genome((3,))})
    assert [(row.cost and row.cost.size_bytes, row.drop, row.status, row.is_ladder) for row in rows] == [
        (32 * 1024, None, "ok", False),
        (None, None, "failed", False),
        (16 * 1024, 2.0, "ok", True),
    ]
