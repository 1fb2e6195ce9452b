"""Prices of loops from measured calls: non-negative least squares on the relative error, one fit a section.

Where a section's rows do not determine a price, it leans on another fit that has it. The pull is weak (`PULL`), so
that rows decide wherever there are any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rows import EXTENSIONS, Row
from scipy.optimize import nnls

from targets.geometry import Geometry
from targets.kernels import COUNTS
from targets.loops import copies, zeros

LEANS_ON = {"m7": "m4", "m33": "m4", "m3": "m4", "m0": "m3", "m55": "m4"}
"""A core runs the same source as another one, so a path's prices stand in one ratio to those there, but for details."""

POOL, POOLED = "dw_any", ("m4", "m3")
"""A path so rare that cores which compile it alike are fitted together first, and each then leans on that."""

SISTER = "dw_3x3"
"""A path with many rows that is entered the same way, so its price of a call holds there too."""

SAME_LIBRARY = ("m7", "m33", "m3")
"""Cores whose memcpy and memset are the M4's, instruction by instruction."""

OTHER_LIBRARY = "m0"
"""The core whose memcpy and memset are others than those of the core it leans on."""

MEMORY = frozenset({**copies(1, 1), **zeros(1, 1)})

SHARED = {"mve": {"conv_1x1": "conv", "conv_1xn": "conv", "dw_as_conv": "conv"}}
"""Paths that are made of the same loops: they are fitted together and share a section of prices."""

PULL = 1e-4
TINY = 1e-12

Section = dict[str, float]
Prices = dict[str, Section]


def section(code: str, core: str) -> str:
    return SHARED.get(EXTENSIONS[core], {}).get(code, code)


def loops_of(name: str, core: str) -> list[str]:
    """Every loop of a section's paths."""
    sample = Geometry("conv", (1, 8), 4, (1, 8), 8, (1, 3), pads=(0, 1), operands=128)
    found: dict[str, None] = {}
    for code, rule in COUNTS[EXTENSIONS[core]].items():
        if section(code, core) == name:
            found |= dict.fromkeys(rule(sample))
    return list(found)


def counted(mine: Sequence[Row], loops: list[str], core: str) -> np.ndarray:
    """Loop counts: rows x loops."""
    found = [COUNTS[EXTENSIONS[core]][row.code](row.geometry) for row in mine]
    return np.array([[counts.get(loop, 0) for loop in loops] for counts in found], float)


def solve(counts: np.ndarray, measured: np.ndarray, lean: np.ndarray) -> np.ndarray:
    """Price per loop; `lean` is NaN where nothing is known."""
    relative = counts / measured[:, None]
    scale = np.sqrt((relative**2).mean(0))
    seen, known = scale > TINY, ~np.isnan(lean)
    pulled = known & seen & (np.nan_to_num(lean) > 0)
    weight = np.sqrt(PULL) / np.where(pulled, lean, 1.0)
    left = np.vstack([relative, np.diag(weight)[pulled]])
    right = np.concatenate([np.ones(len(measured)), (weight * lean)[pulled]])
    unit = np.maximum(scale, TINY)
    found = nnls(left / unit, right, maxiter=50_000)[0] / unit
    return np.where(seen, found, np.nan_to_num(lean))


def fit(rows: Sequence[Row], core: str, what: str, lean: Mapping[str, tuple[Section, bool]]) -> Prices:
    """Price per section and loop of what was measured.

    Args:
        lean: per section, known prices, and whether this core's stand in some other ratio than 1 to them. They are
            taken as they are where no row is of the section.
    """
    prices: Prices = {}
    for name in sorted({section(row.code, core) for row in rows}):
        mine = [row for row in rows if section(row.code, core) == name]
        if what == "loads" and not mine[0].geometry.filters:
            continue
        loops = loops_of(name, core)
        counts = counted(mine, loops, core)
        measured = np.array([max(1.0, row.measured[what]) for row in mine])
        given, scaled = lean.get(name, ({}, False))
        known = np.array([given.get(loop, np.nan) for loop in loops])
        if scaled:
            known *= np.median(measured / np.maximum(counts @ np.nan_to_num(known), TINY))
        if name == "max_pool" and EXTENSIONS[core] != "mve":
            own = {loop: price for loop, price in prices.get("conv", {}).items() if loop in MEMORY}
            known = np.array([own.get(loop, price) for loop, price in zip(loops, known, strict=True)])
        prices[name] = dict(zip(loops, solve(counts, measured, known), strict=True))
    unseen = {name: given for name, (given, _) in lean.items() if name not in prices and loops_of(name, core)}
    return prices | {name: given for name, given in unseen.items() if given.keys() >= set(loops_of(name, core))}


def fit_all(rows_of: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, Prices]]:
    """Prices by core and by what was measured; those that others lean on first."""
    found: dict[str, dict[str, Prices]] = {}
    pool = [row for core in POOLED for row in rows_of[core] if row.code == POOL]
    sister = fit([row for row in rows_of["m4"] if row.code == SISTER], "m4", "insns", {})[SISTER]
    known = {POOL: ({"calls": sister["calls"]}, False)}
    pooled = {POOL: (fit(pool, "m4", "insns", known)[POOL], True)}
    for core in EXTENSIONS:
        others = found.get(LEANS_ON.get(core, ""), {})
        found[core] = {}
        for what in ("insns", "loads") if EXTENSIONS[core] != "mve" else ("insns",):
            lean = _leans(core, others.get(what, {})) | (pooled if what == "insns" else {})
            found[core][what] = fit(rows_of[core], core, what, lean)
        if core == "m4":
            found[core]["cycles"] = fit(rows_of[core], core, "cycles", {POOL: (found[core]["insns"][POOL], True)})
    return found


def _leans(core: str, others: Prices) -> dict[str, tuple[Section, bool]]:
    """What a core may take from the one it leans on: whole paths of one source, and memcpy where it is the same."""
    mine = COUNTS[EXTENSIONS[core]]
    theirs = COUNTS[EXTENSIONS[LEANS_ON[core]]] if others else {}
    found: dict[str, tuple[Section, bool]] = {}
    for name, prices in others.items():
        if mine.get(name) is theirs[name]:
            found[name] = (
                {loop: price for loop, price in prices.items() if core != OTHER_LIBRARY or loop not in MEMORY},
                True,
            )
        elif name == "conv" and core in SAME_LIBRARY:
            found[name] = {loop: price for loop, price in prices.items() if loop in MEMORY}, False
    return found


def price(row: Row, prices: Prices, core: str) -> float:
    """What a call costs by these prices."""
    of = prices[section(row.code, core)]
    return sum(of[loop] * times for loop, times in COUNTS[EXTENSIONS[core]][row.code](row.geometry).items())


def held_out(rows_of: Mapping[str, Sequence[Row]], folds: int = 5) -> dict[tuple[str, str], list[tuple[Row, float]]]:
    """By core and by what was measured: every row with what a fit to the other folds says of it.

    A shape is in one fold on all cores, so no core's count helps to tell another's.
    """
    shapes = sorted({(row.kind, row.shape) for rows in rows_of.values() for row in rows})
    fold = dict(zip(shapes, np.random.default_rng(0).permutation(len(shapes)) % folds, strict=True))
    found: dict[tuple[str, str], list[tuple[Row, float]]] = {}
    for k in range(folds):
        kept = {core: [r for r in rows if fold[r.kind, r.shape] != k] for core, rows in rows_of.items()}
        for core, prices in fit_all(kept).items():
            out = [row for row in rows_of[core] if fold[row.kind, row.shape] == k]
            for what, of in prices.items():
                known = [row for row in out if section(row.code, core) in of]
                found.setdefault((core, what), []).extend((row, price(row, of, core)) for row in known)
    return found
