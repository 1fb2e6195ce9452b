"""The uniform-width ladder: the networks a person would try by hand, the floor and the control of every search."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from search_spaces.errors import NothingFits
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace

Measure = Callable[[Genome], float]
"""A genome's size in bytes, or infinity where another limit is broken."""


def at_size(space: SearchSpace, measure: Measure, size_bytes: float) -> Genome:
    """The widest uniform network of at most `size_bytes`.

    Bisects the width fraction; width rounds to the declared steps, so sixteen halvings settle it. Falls back to
    `thinnest` when even that is larger.
    """
    low, high = 0.0, 1.0
    best = thinnest(space, measure)
    if measure(space.uniform(1.0)) <= size_bytes:
        return space.uniform(1.0)
    for _ in range(16):
        middle = (low + high) / 2
        if measure(space.uniform(middle)) <= size_bytes:
            low, best = middle, space.uniform(middle)
        else:
            high = middle
    return best


def thinnest(space: SearchSpace, measure: Measure) -> Genome:
    """The thinnest uniform network; where a limit forbids it, the space's cheapest one, which lacks blocks as well."""
    thin = space.uniform(0.0)
    return thin if isfinite(measure(thin)) else space.cheapest


def rungs(space: SearchSpace, measure: Measure, size_bytes: float, count: int, *, ratio: float = 1.5) -> list[Genome]:
    """`count` ladder networks, the largest feasible first, each about `ratio` times smaller than the last.

    Raises:
        NothingFits: not even the space's cheapest network is within `size_bytes` and the other limits.
    """
    largest = at_size(space, measure, size_bytes)
    if measure(largest) > size_bytes:
        largest = space.cheapest
    if measure(largest) > size_bytes:
        need = measure(largest)
        got = f"needs {need:,.0f} bytes, the limits allow {size_bytes:,.0f}" if isfinite(need) else "is over a limit"
        raise NothingFits(f"the cheapest network of the space {got}; raise the limit or allow fewer channels")
    found = [largest]
    for k in range(1, count):
        genome = at_size(space, measure, measure(largest) / ratio**k)
        if genome not in found:
            found.append(genome)
    return found
