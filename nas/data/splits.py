"""How four splits come from what was given: train, search_val, final_val, test.

The two validation splits come from `val` where it is given, else from `test`, never from `train`: the original has
seen those images, and a drop measured on them means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from search_spaces.errors import DataError

SPLITS = ("train", "search_val", "final_val", "test")
PARTS = ("train", "val", "search_val", "final_val", "test")  # what a user may give

Pair = tuple[Any, np.ndarray]  # images, an array or `nas.data.pictures.Pictures`, and targets


def deal(labels: np.ndarray, hands: int, *, seed: int) -> list[np.ndarray]:
    """Row numbers dealt into `hands` equal, stratified, seeded parts; each part's rows ascend.

    Rows are shuffled, sorted by class and dealt in turn, so parts differ by at most one row, in all and in each class.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return [np.sort(by_class[hand::hands]) for hand in range(hands)]


def deal_groups(labels: np.ndarray, groups: np.ndarray, hands: int, *, seed: int) -> list[np.ndarray]:
    """The same with the rows of a group (a person, a machine) in one part: no part knows anybody of another.

    Groups are shuffled, sorted from large to small, and each goes where its classes are rarest so far.

    Raises:
        DataError: there are fewer groups than parts.
    """
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < hands:
        raise DataError(f"groups must be at least {hands} to be dealt into {hands} parts, got {len(names)}")
    _, label = np.unique(labels, return_inverse=True)
    table = np.zeros((len(names), label.max() + 1))
    np.add.at(table, (member, label), 1)
    share = table / table.sum(0)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    dealt = np.zeros((hands, table.shape[1]))
    hand_of = np.zeros(len(names), int)
    for k in shuffled[np.argsort(-table.sum(1)[shuffled], kind="stable")]:
        hand_of[k] = np.argmin(((dealt + share[k]) ** 2).sum(1) - (dealt**2).sum(1))
        dealt[hand_of[k]] += share[k]
    return [np.flatnonzero(hand_of[member] == hand) for hand in range(hands)]


def four(
    given: Mapping[str, Pair],
    *,
    seed: int,
    strata: Callable[[np.ndarray], np.ndarray] = lambda labels: labels,
    groups: Mapping[str, np.ndarray] | None = None,
) -> tuple[dict[str, Pair], list[str]]:
    """The four splits, and one sentence on each that had to be made.

    Given train, val, test: val is halved. Train, test: a quarter of test each for search_val and final_val, the other
    half stays test. Train, val: a third of val each for search_val, final_val and test.

    Args:
        strata: a code for each label; rows of one code are shared out evenly.
        groups: by part, who each row belongs to; a group is never cut.

    Raises:
        DataError: any other set of parts.
    """
    names, groups = set(given), groups or {}

    def _rows(part: str, hands: int) -> list[np.ndarray]:
        y = strata(given[part][1])
        return deal_groups(y, groups[part], hands, seed=seed) if part in groups else deal(y, hands, seed=seed)

    def _taken(part: str, hands: list[np.ndarray]) -> list[Pair]:
        x, y = given[part]
        return [(x[rows], y[rows]) for rows in hands]

    by = "by group" if groups else "by class"
    if names >= set(SPLITS):
        return {split: given[split] for split in SPLITS}, []
    if names == {"train", "val", "test"}:
        search, final = _taken("val", _rows("val", 2))
        note = f"x_val was halved {by} into search_val ({len(search[1])}) and final_val ({len(final[1])})."
        return {"train": given["train"], "search_val": search, "final_val": final, "test": given["test"]}, [note]
    if names == {"train", "test"}:
        first, second, third, fourth = _rows("test", 4)
        search, final, test = _taken("test", [first, second, np.concatenate([third, fourth])])
        note = f"no x_val was given: half of the test set was set aside {by} as search_val and final_val."
        return {"train": given["train"], "search_val": search, "final_val": final, "test": test}, [note]
    if names == {"train", "val"}:
        search, final, test = _taken("val", _rows("val", 3))
        note = f"no x_test was given: x_val was cut {by} into search_val, final_val and test, a third each."
        return {"train": given["train"], "search_val": search, "final_val": final, "test": test}, [note]
    got = ", ".join(sorted(names)) or "nothing"
    raise DataError(
        f"data must hold train with val and/or test, or {', '.join(SPLITS)}, got {got}; "
        "a drop can only be judged on images the original was not trained on"
    )
