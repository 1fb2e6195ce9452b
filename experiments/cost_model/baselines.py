"""What a cost model has to beat, judged on the same held-out calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from rows import Row
from scipy.optimize import nnls

Told = list[tuple[float, float]]


def macs_only(rows: Sequence[Row], what: str) -> Told:
    """One price a multiply-accumulate, for the calls that have weights."""
    mine = [row for row in rows if row.kind in ("conv", "dw", "fc")]
    return _held_out(mine, what, lambda row: [row.macs])


def linear_per_kind(rows: Sequence[Row], what: str) -> Told:
    """Per kind: multiply-accumulates or taps, outputs, values copied, positions, and a constant."""
    told: Told = []
    for kind in sorted({row.kind for row in rows}):
        told += _held_out([row for row in rows if row.kind == kind], what, _terms)
    return told


def _terms(row: Row) -> list[float]:
    g = row.geometry
    return [
        row.macs,
        g.pixels * g.out_channels,
        g.pixels * g.channels * g.taps,
        g.rows * g.columns * g.channels,
        g.pixels,
        1,
    ]


def _held_out(rows: list[Row], what: str, terms: Callable[[Row], list[float]], folds: int = 5) -> Told:
    counts = np.array([terms(row) for row in rows], float)
    measured = np.array([row.measured[what] for row in rows])
    fold = np.random.default_rng(0).permutation(len(rows)) % folds
    said = np.zeros(len(rows))
    for k in range(folds):
        kept = fold != k
        if kept.any():
            said[~kept] = counts[~kept] @ relative_nnls(counts[kept], measured[kept])
    return list(zip(measured.tolist(), said.tolist(), strict=True))


def relative_nnls(counts: np.ndarray, measured: np.ndarray, held_back: float = 0.0) -> np.ndarray:
    """Prices, none negative, by least squares on the relative error.

    Args:
        held_back: the weight of the squares of all prices but the first, each in shares of the row it weighs most in.
    """
    relative = counts / measured[:, None]
    unit = np.maximum(np.abs(relative).max(0), 1e-12)
    terms = counts.shape[1]
    pull = np.sqrt(held_back) * np.eye(terms)[1:]
    return nnls(np.vstack([relative / unit, pull]), np.repeat([1.0, 0.0], [len(measured), terms - 1]))[0] / unit
