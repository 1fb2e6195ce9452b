"""Which order of calls leaves the fewest bytes alive at its worst moment.

A network that branches has several orders, and what waits in memory meanwhile depends on the one taken. Calls that have
one place in all of them cut the network into parts that do not matter to each other. A part is searched over the sets
of its calls that can be done first (a set's live bytes do not depend on the order within it), exactly while no more
than `WIDTH` sets of one size come up, beyond that with the most promising ones of each size.
"""

from __future__ import annotations

from functools import lru_cache
from heapq import nsmallest
from typing import NamedTuple

WIDTH = 200


class Calls(NamedTuple):
    """What a program's calls read, and the bytes that takes; tensor 0 is the input, tensor k + 1 the output of call k.

    Attributes:
        reads: of each call, the tensors it reads, each once.
        sizes: of each tensor, aligned.
        scratch: of each call, aligned.
        kept: the tensors that live to the end.
    """

    reads: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    scratch: tuple[int, ...]
    kept: frozenset[int]


class _Topology(NamedTuple):
    """Sets of calls are bits.

    Attributes:
        needs: of each call, the calls whose outputs it reads.
        readers: of each tensor, the calls that read it.
        parts: spans `(first, past)` of calls between two that have one place in every order.
    """

    needs: tuple[int, ...]
    readers: tuple[int, ...]
    parts: tuple[tuple[int, int], ...]


def least_peak(calls: Calls) -> tuple[int, ...]:
    """An order of the calls whose peak of live bytes is the least known; the one given if none is less."""
    topology, count = _topology(calls.reads), len(calls.reads)
    order = list(range(count))
    if not topology.parts:
        return tuple(order)
    live, peaks, done = calls.sizes[0], [], 0
    before = []
    for k in order:
        before.append(live)
        peaks.append(live + calls.sizes[k + 1] + calls.scratch[k])
        done |= 1 << k
        live = _after(calls, topology, live, k, done)
    loose = {k for first, past in topology.parts for k in range(first, past)}
    floor = max(_own(calls, k) if k in loose else peaks[k] for k in order)
    for first, past in sorted(topology.parts, key=lambda part: (-max(peaks[slice(*part)]), part)):
        peak = max(peaks[first:past])
        if peak <= floor:
            break
        found = _search(calls, topology, first, past, before[first], floor, peak)
        if found:
            peak, order[first:past] = found
        floor = max(floor, peak)
    return tuple(order)


def _search(
    calls: Calls, topology: _Topology, first: int, past: int, live: int, floor: int, bound: int
) -> tuple[int, tuple[int, ...]] | None:
    """Peak and order of a part's calls, the peak less than `bound`; peaks up to `floor` are alike, they cost nothing.

    Args:
        live: bytes alive before the part.
    """
    level: dict[int, tuple[int, tuple[int, ...], int]] = {(1 << first) - 1: (floor, (), live)}
    for _ in range(past - first):
        longer: dict[int, tuple[int, tuple[int, ...], int]] = {}
        for done, (peak, order, alive) in level.items():
            for k in range(first, past):
                if done >> k & 1 or topology.needs[k] & ~done:
                    continue
                during = alive + calls.sizes[k + 1] + calls.scratch[k]
                if during >= bound:
                    continue
                now, reached = done | 1 << k, (max(peak, during), (*order, k))
                known = longer.get(now)
                if known is None:
                    longer[now] = (*reached, _after(calls, topology, alive, k, now))
                elif reached < known[:2]:
                    longer[now] = (*reached, known[2])
        if len(longer) > WIDTH:
            longer = dict(nsmallest(WIDTH, longer.items(), key=lambda found: (found[1][0], found[1][2], found[1][1])))
        level = longer
    return next(((peak, order) for peak, order, _ in level.values()), None)


def _after(calls: Calls, topology: _Topology, live: int, k: int, done: int) -> int:
    """Live bytes once call k is the last of those done."""
    made = k + 1
    if topology.readers[made] or made in calls.kept:
        live += calls.sizes[made]
    for tensor in calls.reads[k]:
        if not topology.readers[tensor] & ~done and tensor not in calls.kept:
            live -= calls.sizes[tensor]
    return live


def _own(calls: Calls, k: int) -> int:
    """What call k needs in any order."""
    return calls.sizes[k + 1] + calls.scratch[k] + sum([calls.sizes[tensor] for tensor in calls.reads[k]])


@lru_cache(maxsize=4096)
def _topology(reads: tuple[tuple[int, ...], ...]) -> _Topology:
    count = len(reads)
    needs, before, readers = [], [], [0] * (count + 1)
    for k, tensors in enumerate(reads):
        direct = sum([1 << (tensor - 1) for tensor in tensors if tensor])
        needs.append(direct)
        before.append(direct)
        for tensor in tensors:
            readers[tensor] |= 1 << k
            if tensor:
                before[k] |= before[tensor - 1]
    parts: list[tuple[int, int]] = []
    past, following = count, (1 << count) - 1  # calls that everything looked at so far has to wait for
    for k in reversed(range(count)):
        if before[k].bit_count() == k and following >> k & 1:  # all others are before it or wait for it
            if past > k + 1:
                parts.append((k + 1, past))
            past = k
        following &= before[k]
    if past > 0:
        parts.append((0, past))
    return _Topology(tuple(needs), tuple(readers), tuple(reversed(parts)))
