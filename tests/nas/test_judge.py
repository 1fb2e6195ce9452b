"""Verdicts: the paired bound by hand arithmetic, and which model is chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nas import judge
from nas.judge import Judge
from nas.tasks import load_task
from tests.nas.synthetic_run import point


def drop_with_bound(original: np.ndarray, student: np.ndarray) -> tuple[float, float]:
    """Of two classifiers, from which images each gets right."""
    labels = np.ones(len(original), int)
    answers = [np.eye(2)[flags.astype(int)] for flags in (original, student)]
    return Judge(load_task(), labels, labels, answers[0]).drop(answers[1])


def right(*runs: tuple[int, bool]) -> np.ndarray:
    return np.concatenate([np.full(count, value) for count, value in runs])


def test_the_bound_of_a_hundred_images() -> None:
    """Of 100 images the original alone is right on 6 and the student alone on 2.

    The drop is 4 points, the standard error sqrt((0.06 + 0.02 - 0.04**2) / 100) = 0.028 = 2.8 points.
    """
    original = right((90, True), (6, True), (2, False), (2, False))
    student = right((90, True), (6, False), (2, True), (2, False))
    drop, upper = drop_with_bound(original, student)
    assert drop == pytest.approx(4.0)
    assert upper == pytest.approx(4 + 1.6449 * 2.8)


def test_where_they_never_disagree_there_is_no_doubt() -> None:
    same = right((7, True), (3, False))
    assert drop_with_bound(same, same) == (0.0, 0.0)


def test_a_better_student_has_a_negative_drop() -> None:
    drop, upper = drop_with_bound(right((90, True), (10, False)), right((100, True)))
    assert drop == pytest.approx(-10)
    assert upper == pytest.approx(-10 + 1.6449 * 100 * (0.09 / 100) ** 0.5)


def test_agreement_on_what_is_wrong_or_right_changes_only_the_number_of_images() -> None:
    original, student = right((1, True), (99, True)), right((1, False), (99, True))
    flipped = right((1, True), (99, False)), right((1, False), (99, False))
    assert drop_with_bound(original, student) == drop_with_bound(*flipped)


def test_the_bound_holds_for_19_of_20_students() -> None:
    """Students that truly lose 2 points and disagree on 6 % of the images, drawn 4,000 times over 2,000 images."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(2000, [0.04, 0.02, 0.94], 4000)
    held = 0
    for lost, won, _ in counts:
        original = right((lost, True), (won, False), (2000 - lost - won, True))
        student = right((lost, False), (won, True), (2000 - lost - won, True))
        held += drop_with_bound(original, student)[1] >= 2.0
    assert held / 4000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("drop", "upper", "limit", "verdict"),
    [
        (1.0, 1.9, 2.0, "proven"),
        (1.0, 2.0, 2.0, "proven"),
        (1.0, 2.1, 2.0, "likely"),
        (2.0, 2.5, 2.0, "likely"),
        (2.1, 2.5, 2.0, "not"),
        (-0.5, 0.0, 0.0, "proven"),
        (50.0, 60.0, None, "proven"),
    ],
)
def test_verdicts(drop: float, upper: float, limit: float | None, verdict: str) -> None:
    assert judge.verdict(drop, upper, limit) == verdict


def test_chosen_is_the_smallest_proven_model_even_where_a_smaller_one_is_likely() -> None:
    """Bounds lie 0.42 above the drops, the limit is 2."""
    points = [point("a", 40, 1.8, front=True), point("b", 60, 1.5, front=True), point("c", 90, 0.9, front=True)]
    assert [p.verdict for p in points] == ["likely", "proven", "proven"]
    chosen = judge.choose(points)
    assert chosen is not None
    assert chosen.id == "b"


def test_without_a_proven_model_the_smallest_likely_one_is_chosen() -> None:
    points = [point("a", 40, 1.9, front=True), point("b", 30, 1.8, front=True), point("c", 20, 2.5, front=False)]
    chosen = judge.choose(points)
    assert chosen is not None
    assert chosen.id == "b"


def test_nothing_beyond_a_limit_is_chosen() -> None:
    beyond = replace(point("a", 40, 0.5, front=False), within_limits=False)
    assert judge.choose([beyond, point("b", 50, 3.0, front=False)]) is None
    assert judge.choose([]) is None


def test_of_two_models_of_one_size_the_better_is_chosen() -> None:
    chosen = judge.choose([point("a", 40, 0.9, front=False), point("b", 40, 0.5, front=True)])
    assert chosen is not None
    assert chosen.id == "b"
