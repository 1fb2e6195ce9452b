"""Which options can be had within limits: each is tried with everything else at its cheapest."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING

from search_spaces.errors import NothingFits
from search_spaces.genes import Gene, Genome
from search_spaces.graph import Graph

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace

Fits = Callable[[Graph], bool]
Values = tuple[int, ...]


def surviving_genes(space: SearchSpace, fits: Fits) -> tuple[Gene, ...]:
    """The space's genes with the options that some cheap network within the limits has.

    A gene of something that the cheapest network leaves out is tried with just that put back in. Leaving out is not
    always cheaper (a layer that takes over a plain segment may make more channels from more), so an option also
    survives in the cheapest network that leaves nothing out. Widths are searched by bisection: a wider layer is taken
    not to cost less. A gene that no network within the limits has keeps its least option. Two layers in place of one
    are smaller and need more memory, so every network is tried with the least ranks and without any.

    Raises:
        NothingFits: neither the cheapest network nor the cheapest whole one fits.
    """
    seen: dict[Genome, bool] = {}

    def works(values: Values) -> bool:
        genome = space.canonical(Genome(values))
        if genome not in seen:
            seen[genome] = fits(space.apply(genome))
        return seen[genome]

    cheapest = tuple(gene.options[0] for gene in space.genes)
    whole = tuple(gene.options[-1] if gene.kind == "depth" else gene.options[0] for gene in space.genes)
    if not any(works(values) for values in _with_and_without_ranks(space, [cheapest, whole])):
        raise NothingFits(
            "no network of the space meets the limits: even the narrowest layers with the smallest kernels do not; "
            "loosen a limit"
        )
    return tuple(
        Gene(
            gene.name, gene.kind, _survivors(gene, place, works, _grounds(space, place, cheapest, whole)), gene.original
        )
        for place, gene in enumerate(space.genes)
    )


def _survivors(gene: Gene, place: int, works: Callable[[Values], bool], grounds: list[Values]) -> tuple[int, ...]:
    def survives(option: int) -> bool:
        return any(works((*values[:place], option, *values[place + 1 :])) for values in grounds)

    if gene.kind == "width":
        if survives(gene.options[-1]):  # most layers alone break no limit
            return gene.options
        found = gene.options[: bisect_left(gene.options[:-1], True, key=lambda option: not survives(option))]
    else:
        found = tuple(option for option in gene.options if survives(option))
    return found or gene.options[:1]


def _grounds(space: SearchSpace, place: int, cheapest: Values, whole: Values) -> list[Values]:
    """Values of cheap networks that depend on the gene at `place`, with as little as possible put back in.

    A rank shows at some widths only; a network that it leaves as it is speaks for it as well.
    """
    if space.genes[place].kind == "rank":
        return _with_and_without_ranks(space, [cheapest, whole])
    depths = [k for k, gene in enumerate(space.genes) if gene.kind == "depth"]
    found = []
    for count in range(3):
        for chosen in combinations(space.units, count):
            values = list(cheapest)
            for k, unit in zip(depths, space.units, strict=True):
                if any(unit is back or back.within(unit) for back in chosen):
                    values[k] = space.genes[k].options[-1]
            if space.active(Genome(tuple(values)))[place]:
                found.append(tuple(values))
        if found:
            break
    found += [whole] if space.active(Genome(whole))[place] else []
    return _with_and_without_ranks(space, found)


def _with_and_without_ranks(space: SearchSpace, grounds: list[Values]) -> list[Values]:
    return list(dict.fromkeys([*grounds, *(space.unfactored(Genome(values)).values for values in grounds)]))
