"""The order of calls: a table by hand, and against all orders there are."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from targets import order
from targets.order import Calls, least_peak


def peak(calls: Calls, taken: tuple[int, ...]) -> int | None:
    """The most bytes alive in an order, from the lifetimes; None if a call comes before what it reads."""
    made = {0: -1} | {k + 1: when for when, k in enumerate(taken)}
    last = dict(made)
    for when, k in enumerate(taken):
        for tensor in calls.reads[k]:
            if made[tensor] >= when:
                return None
            last[tensor] = max(last[tensor], when)
    last |= {tensor: len(taken) for tensor in calls.kept}
    return max(
        calls.scratch[k] + sum(calls.sizes[tensor] for tensor in made if made[tensor] <= when <= last[tensor])
        for when, k in enumerate(taken)
    )


def random_calls(rng: np.random.Generator, count: int) -> Calls:
    """Every call reads one or two of the last few tensors; what nobody reads is kept."""
    reads = [
        tuple({int(tensor) for tensor in rng.integers(max(0, k - 3), k + 1, int(rng.integers(1, 3)))})
        for k in range(count)
    ]
    unread = set(range(1, count + 1)) - {tensor for tensors in reads for tensor in tensors}
    sizes = tuple(int(size) for size in 16 * rng.integers(1, 20, count + 1))
    scratch = tuple(int(size) for size in 16 * rng.integers(0, 5, count))
    return Calls(tuple(reads), sizes, scratch, frozenset(unread))


def test_a_branch_is_finished_before_the_next_is_begun() -> None:
    # The input (16) becomes 160; that becomes 320 and then 16, twice; the two 16 are added.
    reads = ((0,), (1,), (1,), (2,), (3,), (4, 5))
    calls = Calls(reads, (16, 160, 320, 320, 16, 16, 16), (0,) * 6, frozenset({6}))
    assert peak(calls, (0, 1, 2, 3, 4, 5)) == 160 + 320 + 320
    assert least_peak(calls) == (0, 1, 3, 2, 4, 5)
    assert peak(calls, least_peak(calls)) == 160 + 16 + 320  # while the second 320 is made


def test_an_order_that_cannot_be_bettered_stays() -> None:
    chain = Calls(((0,), (1,), (2,)), (64, 64, 64, 64), (16, 16, 16), frozenset({3}))
    assert least_peak(chain) == (0, 1, 2)
    even = Calls(((0,), (0,), (1, 2)), (64, 32, 32, 32), (0, 0, 0), frozenset({3}))
    assert least_peak(even) == (0, 1, 2)


@pytest.mark.parametrize("seed", range(40))
def test_no_order_there_is_has_a_lower_peak(seed: int) -> None:
    calls = random_calls(np.random.default_rng(seed), 7)
    every = [found for taken in permutations(range(7)) if (found := peak(calls, taken)) is not None]
    assert peak(calls, least_peak(calls)) == min(every)


def test_a_narrow_search_gives_an_order_no_worse_than_the_one_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "WIDTH", 3)
    for seed in range(100):
        calls = random_calls(np.random.default_rng(seed), 25)
        found, given = peak(calls, least_peak(calls)), peak(calls, tuple(range(25)))
        assert found is not None
        assert given is not None
        assert found <= given
