"""What a run says against itself, on four networks and ten rows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from nas import finale
from nas.audit import audit, optimism
from nas.judge import Judge
from nas.objectives import Limits
from nas.result import ArchiveRow
from nas.tasks import load_task
from tests.nas.synthetic_run import cost, point

ROWS = 10
LABELS = np.zeros(ROWS, int)


def answers(wrong: int) -> np.ndarray:
    """Logits of two classes that are wrong on the first rows."""
    found = np.tile([1.0, 0.0], (ROWS, 1))
    found[:wrong] = [0.0, 1.0]
    return found


def judge() -> Judge:
    """The original is right everywhere."""
    return Judge(load_task("classification", ""), np.zeros((ROWS, 1, 4, 4), np.uint8), LABELS, answers(0))


def test_resampled_drops_are_those_of_the_rows_drawn() -> None:
    """Wrong on one and on two of ten rows: drops of 10 and 20 points in the mean, the first never above the second."""
    one = judge()
    drops = one.resampled([one.answers(answers(1)), one.answers(answers(2))], 500, scored=1, seed=0)
    assert drops.shape == (500, 2)
    assert (drops[:, 0] <= drops[:, 1]).all()
    assert drops.mean(axis=0) == pytest.approx([10, 20], abs=1.5)
    assert one.resampled([], 3, scored=1, seed=0).shape == (3, 0)


def test_a_metric_that_is_no_mean_is_taken_anew() -> None:
    one = judge()
    one.task = replace(one.task, metric=replace(one.task.metric, rows=None))
    drops = one.resampled([one.answers(answers(1))], 500, scored=7, seed=0)
    assert drops.shape == (7, 1)
    assert set(np.round(drops.ravel()) % 10) == {0}


POINTS = [
    point("found", 32, 10.0, front=True),
    point("other", 64, 0.0, front=False),
    point("thin", 64, 20.0, front=False, ladder=True),
    point("wide", 128, 10.0, front=False, ladder=True),
]
WRONG = {"found": 1, "other": 0, "thin": 2, "wide": 1}
LIMITS = Limits(size_bytes=256 * 1024, drop=30.0)
SETTINGS: dict[str, Any] = {
    "finish_rung": 3, "limits": LIMITS, "resource": "size_bytes", "seed": 0,
    "volume": partial(finale.hypervolume, limits=LIMITS, original=cost(1024)),
}  # fmt: skip


def archive() -> list[ArchiveRow]:
    """A look and a finish of each; the looks rank them as the drops do but for one pair."""
    rows = []
    for p, kl in zip(POINTS, (0.2, 0.1, 0.4, 0.3), strict=True):
        rows.append(ArchiveRow(p.id, 0, 0, p.cost, None, None, kl, "ok"))
        rows.append(ArchiveRow(p.id, 3, 100, p.cost, 90.0, p.val_drop, 0.01, "ok"))
    return rows


def test_the_audit_of_four_networks() -> None:
    """Octaves below 256 KB by points below 30.

    Found: 3 x 20 and 2 x 10 more. The ladder: 2 x 10, and 1 x 10 more.
    """
    final = judge()
    kept = {name: final.answers(answers(wrong)) for name, wrong in WRONG.items()}
    found = audit(POINTS, kept, final, archive(), **SETTINGS)
    assert found is not None
    assert (found.finished, found.choices) == (4, 4)
    assert found.look_correlation == pytest.approx(4.5 / (5 * 4.5) ** 0.5)
    assert (found.search_volume, found.ladder_volume) == (pytest.approx(80), pytest.approx(30))
    assert found.gain_low is not None
    assert found.gain_low > 0  # no choice of rows makes up for the ladder's errors
    assert found.gain_high is not None
    assert found.gain_low < 50 < found.gain_high
    assert found.optimism is not None


def test_without_a_ladder_there_is_no_gain() -> None:
    final = judge()
    kept = {name: final.answers(answers(wrong)) for name, wrong in WRONG.items()}
    found = audit(POINTS[:2], kept, final, archive()[:4], **SETTINGS)
    assert found is not None
    assert audit([], {}, final, [], **SETTINGS) is None
    assert (found.look_correlation, found.ladder_volume, found.gain_low, found.gain_high) == (None,) * 4
    assert found.search_volume == pytest.approx(80)


def test_a_ladder_that_was_only_scouted_is_no_control() -> None:
    final = judge()
    kept = {name: final.answers(answers(wrong)) for name, wrong in WRONG.items()}
    scouted = [row for row in archive() if row.rung == 0 or row.id in ("found", "other")]
    found = audit(POINTS, kept, final, scouted, **SETTINGS)
    assert found is not None
    assert (found.ladder_volume, found.gain_low, found.gain_high) == (None,) * 3


def test_a_choice_by_luck_looks_better_than_it_is() -> None:
    """Two networks of 2.1 points each, limit 2; whichever has 1.0 in a resampling is chosen there, at 1.1 better."""
    twins = [replace(point(name, 32 + k, 2.1, front=False), val_drop_upper95=2.1) for k, name in enumerate("ab")]
    resampled = np.array([[1.0, 2.1], [2.1, 1.0], [2.1, 2.1]])
    assert optimism(twins, resampled, 2.0, "size_bytes") == pytest.approx(1.1)
    assert optimism(twins, resampled[2:], 2.0, "size_bytes") is None


def test_the_smallest_is_chosen_by_the_resource_and_a_likely_one_only_without_a_proven_one() -> None:
    """Bounds lie 0.42 above, the limit is 2. The large one alone is proven; both are; neither is, and the small one is
    likely. On all rows they lose 1.9 and 1.2."""
    points = [point("small", 32, 1.9, front=False), point("large", 64, 1.2, front=False)]
    assert optimism(points, np.array([[1.7, 1.0]]), 2.0, "size_bytes") == pytest.approx(0.2)
    assert optimism(points, np.array([[1.5, 1.0]]), 2.0, "size_bytes") == pytest.approx(0.4)
    assert optimism(points, np.array([[1.7, 1.9]]), 2.0, "size_bytes") == pytest.approx(0.2)
