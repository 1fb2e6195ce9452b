"""Random choices of gene values: where a search starts, and its small steps."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import exp, log

import numpy as np

from search_spaces.genes import Gene

JITTER = 0.35  # standard deviation of a width's own factor, in natural logarithms
CHANGES = (0.5, 0.3, 0.2)  # chances that a mutation changes one, two or three genes


def nearest(options: Sequence[int], value: float) -> int:
    """The option nearest to a value, the smaller one in a tie; options ascend."""
    k = bisect_left(options, value)
    if k == len(options) or (k > 0 and value - options[k - 1] <= options[k] - value):
        return options[k - 1]
    return options[k]


def uniform_values(genes: Sequence[Gene], fraction: float) -> list[int]:
    """All widths at one fraction of the original's, all else as in the original, as near as the options come."""
    return [nearest(g.options, g.original * fraction if g.kind == "width" else g.original) for g in genes]


def random_values(genes: Sequence[Gene], *, rng: np.random.Generator) -> list[int]:
    """Values that spread over the sizes of a space.

    One factor for all widths is drawn evenly in its logarithm between the narrowest and the widest network, and each
    width gets a factor of its own on top. A unit is left out, and a kernel, the resolution or a rank changed, with
    chances drawn once a network from [0, 1/2), so that nearly whole networks and much reduced ones both come up; the
    chance of fewer bits is drawn from [0, 1). A rank is between a half and an eighth of what its layer's own factor
    leaves of the full rank.
    """
    low = _mean([log(gene.options[0] / gene.original) for gene in genes if gene.kind == "width"])
    high = _mean([log(gene.options[-1] / gene.original) for gene in genes if gene.kind == "width"])
    middle = rng.uniform(low, high)
    factors = (middle + JITTER * rng.standard_normal(len(genes))).tolist()
    optional = {gene.kind for gene in genes} & {"resolution", "rank", "bits"}
    most = dict.fromkeys(("depth", "kernel", *sorted(optional)), 0.5) | dict.fromkeys(optional & {"bits"}, 1.0)
    chance = {kind: rng.uniform(0, end) for kind, end in most.items()}
    draws, picks = rng.random((2, len(genes))).tolist()
    values = []
    for gene, factor, draw, pick in zip(genes, factors, draws, picks, strict=True):
        if gene.kind == "width":
            values.append(nearest(gene.options, gene.original * exp(factor)))
            continue
        usual = nearest(gene.options, gene.original)
        others = [option for option in gene.options if option != usual]
        if not others or draw >= chance[gene.kind]:
            values.append(usual)
        elif gene.kind == "rank":
            values.append(nearest(others, gene.original * exp(factor) * 2 ** -(1 + 2 * pick)))
        else:
            values.append(others[int(pick * len(others))])
    return values


def settled_values(genes: Sequence[Gene], values: Sequence[int], active: Sequence[bool]) -> list[int]:
    """The values, with fitting ones for the genes that do not matter now.

    A width takes the option nearest to the mean scale (geometric, relative to the original) of the widths that
    matter, other genes the option nearest to the original's. So what is put back in is not wider than its network.
    """
    known = list(zip(genes, values, active, strict=True))
    scale = exp(_mean([log(value / gene.original) for gene, value, on in known if on and gene.kind == "width"]))
    usual = uniform_values(genes, scale)
    return [value if on else other for (_, value, on), other in zip(known, usual, strict=True)]


def mutated_values(
    genes: Sequence[Gene], values: Sequence[int], places: Sequence[int], *, rng: np.random.Generator
) -> list[int]:
    """A copy with one to three of the genes at `places` changed, each to another option.

    Widths and ranks mostly move to near options: the distance in options is geometric with mean 3. A layer that is one
    may come to any rank.
    """
    changed = list(values)
    free = [place for place in places if len(genes[place].options) > 1]
    if not free:
        return changed
    count = min(1 + int(rng.choice(3, p=CHANGES)), len(free))
    for k in rng.choice(len(free), count, replace=False).tolist():
        place = free[k]
        changed[place] = _other(genes[place], values[place], rng=rng)
    return changed


def _other(gene: Gene, value: int, *, rng: np.random.Generator) -> int:
    others = [option for option in gene.options if option != value]
    if gene.kind == "width" or (gene.kind == "rank" and value != gene.original):
        below = sum(option < value for option in others)
        up = below == 0 or (below < len(others) and rng.random() < 0.5)
        distance = int(rng.geometric(1 / 3))
        return others[min(below + distance - 1, len(others) - 1) if up else max(below - distance, 0)]
    return others[int(rng.integers(len(others)))]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
