"""What a run says against itself: did its search's signs mean anything, was it worth it, does its choice flatter it?

Everything is from final_val, which neither search nor training saw. Intervals are over the choice of its rows, which
are resampled; another seed of the run would differ by more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nas import judge
from nas.judge import Judge
from nas.objectives import Limits
from nas.result import ArchiveRow, Audit, Point
from nas.statistics import rank_correlation
from targets.cost import Cost

RESAMPLES = 200
SCORED = 100
"""The same where a metric is no mean over rows and has to be taken anew each time."""


def audit(
    points: Sequence[Point],
    answers: Mapping[str, np.ndarray],
    final: Judge,
    archive: Sequence[ArchiveRow],
    *,
    finish_rung: int,
    volume: Callable[[list[tuple[Cost, float]]], float],
    limits: Limits,
    resource: str,
    seed: int,
) -> Audit | None:
    """The audit of a run; None where nothing was scored.

    Args:
        points: everything scored on final_val.
        answers: of each point's file to final_val, by point id, as `Judge.answers` gives them.
        final: of the final_val images.
        archive: the search's evaluations.
        finish_rung: the rung of full trainings.
        volume: hypervolume of prices and drops.
        limits: of the run.
        resource: by which the smallest is chosen.
        seed: of the resampling.
    """
    if not points:
        return None
    looks = {row.id: row.kl for row in archive if row.rung == 0 and row.kl is not None}
    finished = {row.id for row in archive if row.rung == finish_rung and row.status == "ok"}
    pairs = [(looks[p.id], p) for p in points if p.id in finished and p.id in looks]
    kls, drops = [kl for kl, _ in pairs], [p.val_drop for _, p in pairs]
    sizes = [float(p.cost.size_bytes) for _, p in pairs]
    resampled = final.resampled([answers[p.id] for p in points], RESAMPLES, scored=SCORED, seed=seed)

    def below(chosen: Sequence[int], values: np.ndarray) -> float:
        return volume([(points[k].cost, float(values[k])) for k in chosen])

    fit = [k for k, point in enumerate(points) if judge.fits(point.cost, limits)]
    searched = [k for k in fit if not points[k].is_ladder]
    ladder = [k for k in fit if points[k].is_ladder]
    if not any(points[k].id in finished for k in ladder):
        ladder = []  # its scouts alone are no control
    measured = np.array([point.val_drop for point in points])
    gains = [below(searched, row) - below(ladder, row) for row in resampled] if searched and ladder else []
    low, high = np.quantile(gains, [0.025, 0.975]) if gains else (None, None)
    return Audit(
        finished=len(pairs),
        look_correlation=rank_correlation(kls, drops),
        look_correlation_at_size=rank_correlation(kls, drops, without=sizes),
        search_volume=below(searched, measured) if searched else None,
        ladder_volume=below(ladder, measured) if ladder else None,
        gain_low=None if low is None else float(low),
        gain_high=None if high is None else float(high),
        choices=len(fit),
        optimism=optimism([points[k] for k in fit], resampled[:, fit], limits.drop, resource),
    )


def optimism(points: Sequence[Point], resampled: np.ndarray, limit: float | None, resource: str) -> float | None:
    """By how many points the drop of a chosen network looks better on the rows it was chosen by than it is.

    The winner's curse, by the bootstrap of Efron: the choice is made anew on each resampling, and its drop there is
    compared with its drop on all rows. None where nothing was ever chosen.

    Args:
        points: to choose from.
        resampled: resamplings x points, drops.
        limit: on the drop.
        resource: by which the smallest is chosen.
    """
    found = []
    for row in resampled:
        again = []
        for point, drop in zip(points, row, strict=True):
            bound = float(drop) + point.val_drop_upper95 - point.val_drop
            again.append((point, float(drop), judge.verdict(float(drop), bound, limit)))
        for wanted in ("proven", "likely"):
            of_that = [(point, drop) for point, drop, verdict in again if verdict == wanted]
            if of_that:
                point, drop = min(of_that, key=lambda pair: (getattr(pair[0].cost, resource), pair[1], pair[0].id))
                found.append(point.val_drop - drop)
                break
    return float(np.mean(found)) if found else None
