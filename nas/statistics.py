"""Small samples, honestly: rank correlation, and intervals by resampling. The only module that imports scipy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000


def rank_correlation(
    first: Sequence[float], second: Sequence[float], *, without: Sequence[float] | None = None
) -> float | None:
    """Spearman's rho, -1 to 1; None with fewer than four pairs or where one side does not vary.

    Args:
        first, second: pairs.
        without: a third value of each pair whose ranks are taken out of both by least squares: the partial correlation.
    """
    from scipy.stats import rankdata  # takes most of a second to import

    if len(first) < 4:
        return None
    ranks = [rankdata(values) - (len(first) + 1) / 2 for values in (first, second)]
    if without is not None:
        third = rankdata(without) - (len(first) + 1) / 2
        if not third.any():
            return None
        ranks = [values - third * (values @ third) / (third @ third) for values in ranks]
    length = float(np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
    return float(ranks[0] @ ranks[1]) / length if length > 1e-9 else None


def ratio_interval(
    ours: Sequence[float], theirs: Sequence[float], *, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval of `mean(ours) / mean(theirs)` over the choice of pairs.

    Args:
        ours, theirs: pairs, not negative. A resampling with nothing below the line counts as infinity, one with nothing
            above it either as 1.
        seed: of the resampling.
        level: share of resamplings inside.
    """
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    rows = np.random.default_rng(seed).integers(0, len(a), (RESAMPLES, len(a)))
    top, bottom = a[rows].mean(axis=1), b[rows].mean(axis=1)
    ratios = np.divide(top, bottom, out=np.where(top > 0, np.inf, 1.0), where=bottom > 0)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return float(low), float(high)
