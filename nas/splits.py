"""How four splits come from what was given: train, search_val, final_val, test.

The two validation splits come from `val` where it is given, else from `test`, never from `train`: the original has
seen those images, and a drop measured on them means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search_spaces.errors import DataError

SPLITS = ("train", "search_val", "final_val", "test")
PARTS = ("train", "val", "search_val", "final_val", "test")  # what a user may give

Pair = tuple[np.ndarray, np.ndarray]  # images and labels


def deal(labels: np.ndarray, hands: int, *, seed: int) -> list[np.ndarray]:
    """Row numbers dealt into `hands` equal, stratified, seeded parts; each part's rows ascend.

    Rows are shuffled, sorted by class and dealt in turn, so parts differ by at most one row, in all and in each class.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return [np.sort(by_class[hand::hands]) for hand in range(hands)]


def four(given: Mapping[str, Pair], *, seed: int) -> tuple[dict[str, Pair], list[str]]:
    """The four splits, and one sentence on each that had to be made.

    Given train, val, test: val is halved. Train, test: a quarter of test each for search_val and final_val, the other
    half stays test. Train, val: a third of val each for search_val, final_val and test.

    Raises:
        DataError: any other set of parts.
    """
    names = set(given)
    if names >= set(SPLITS):
        return {split: given[split] for split in SPLITS}, []
    if names == {"train", "val", "test"}:
        search, final = _dealt(given["val"], 2, seed=seed)
        note = f"x_val was halved by class into search_val ({len(search[1])}) and final_val ({len(final[1])})."
        return {"train": given["train"], "search_val": search, "final_val": final, "test": given["test"]}, [note]
    if names == {"train", "test"}:
        search, final, third, fourth = _dealt(given["test"], 4, seed=seed)
        test = np.concatenate([third[0], fourth[0]]), np.concatenate([third[1], fourth[1]])
        note = "no x_val was given: half of the test set was set aside by class as search_val and final_val."
        return {"train": given["train"], "search_val": search, "final_val": final, "test": test}, [note]
    if names == {"train", "val"}:
        search, final, test = _dealt(given["val"], 3, seed=seed)
        note = "no x_test was given: x_val was cut by class into search_val, final_val and test, a third each."
        return {"train": given["train"], "search_val": search, "final_val": final, "test": test}, [note]
    got = ", ".join(sorted(names)) or "nothing"
    raise DataError(
        f"data must hold train with val and/or test, or {', '.join(SPLITS)}, got {got}; "
        "a drop can only be judged on images the original was not trained on"
    )


def _dealt(pair: Pair, hands: int, *, seed: int) -> list[Pair]:
    x, y = pair
    return [(x[rows], y[rows]) for rows in deal(y, hands, seed=seed)]
