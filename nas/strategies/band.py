"""The sizes that a search covers, and the way into them for genomes that are of another size or break a limit."""

from __future__ import annotations

from math import isfinite

from nas.schedule import FLOOR
from nas.strategies import ladder
from nas.strategies.known import NICHE, Known
from search_spaces.genes import Genome

BAND = 5
"""Niches that the search covers, counted from the ladder's target upwards."""

RANK_SHARE = 0.25
"""Of the full ranks, in the network that begins the search with all its large layers as two."""

HALVINGS = 14

LEAST_GROWTH, MOST_GROWTH = 1.1, 2.0
"""By how much a width grows at once where a network is filled up."""


class Band:
    """Moves with what the search finds.

    Attributes:
        target: where the ladder is expected to meet the aim.
        reached: the smallest size at which something found should look as good as the ladder there, were its KL doubled
            by a halving; real ones grow more slowly (`experiments/search_bench`). Never below half of what was found.
        is_open: the ladder falls short of the aim, so that the band goes up to the limit.
    """

    def __init__(self, known: Known) -> None:
        self.known, self.space = known, known.space
        self.reached = self.target = known.target_size()
        self.is_open = known.falls_short

    @property
    def ends(self) -> tuple[float, float]:
        """Sizes worth searching, within the limit.

        Upwards from the target, which tends to be set too low at first, and downwards as far as the search gets: a
        niche below what should look as good as the ladder's at the target.
        """
        high = self.known.reach if self.is_open else self.target * NICHE**BAND
        return self.reached / NICHE, min(high, self.known.most or high)

    def met(self, size: float, kl: float, enough: float) -> None:
        """Something found of that size and KL looks at least as good as it must: the band opens downwards.

        Args:
            enough: the KL of the ladder at the target.
        """
        share = max(kl, FLOOR) / enough
        self.reached = min(self.reached, size * min(max(share, 0.5), 1.0))

    def seeds(self) -> list[Genome]:
        """The ladder network nearest the target, one gene or all ranks changed, moved into the band.

        With the fewest bits a weight, and so wider, first: a short search should have seen them. Where the ladder falls
        short, it is widened wherever limits leave room, and so are those with more and more left out.
        """
        centre = ladder.at_size(self.space, self.known.measure, self.target)
        kept = ("width", "rank", "bits")  # the lowest rank says nothing of the others
        others = [k for k, gene in enumerate(self.space.genes) if gene.kind not in kept]
        changed = [self.moved(self._with(centre, k, 0)) for k in others]
        if (factored := self.space.factored(centre, RANK_SHARE)) != centre:
            changed.append(self.moved(factored))
        own = self._shallow(centre) if self.is_open and self.known.is_quick else []
        found = [*own, *(genome for genome in dict.fromkeys(changed) if genome and genome != centre)]
        packed = [self.moved(other) for genome in [centre, *found] if (other := self.space.packed(genome)) != genome]
        return [genome for genome in dict.fromkeys([*packed, *found]) if genome]

    def _shallow(self, genome: Genome) -> list[Genome]:
        """The genome and those with one block after another left out, what saves most first; each as wide as can be."""
        high = self.ends[1]
        found = [genome]
        depths = [k for k, gene in enumerate(self.space.genes) if gene.kind == "depth"]
        while depths:
            less = {k: self._with(found[-1], k, 0) for k in depths}
            k = min(depths, key=lambda k: (self.known.price(less[k]).size_bytes, k))
            depths.remove(k)
            if less[k] != found[-1]:
                found.append(less[k])
        return [self.filled(one, high) for one in found]

    def moved(self, genome: Genome) -> Genome | None:
        """The genome itself if it lies in the band, else with its widths scaled until it does; None if it never does.

        All widths together; where a limit other than size keeps that below the band, those that can grow on their own.
        """
        low, high = self.ends
        size = self.known.measure(genome)
        if low <= size <= high:
            return genome
        below = genome if size < low else None
        small, large = 1 / 16, 16.0
        for _ in range(HALVINGS):
            factor = (small * large) ** 0.5
            candidate = self.space.scaled(genome, factor)
            size = self.known.measure(candidate)
            if low <= size <= high:
                return candidate
            if size < low:
                small, below = factor, candidate
            else:
                large = factor
        if below is None or not self.known.is_quick:
            return None
        grown = self.filled(below, low)
        return grown if low <= self.known.measure(grown) <= high else None

    def filled(self, genome: Genome, size: float) -> Genome:
        """The genome with widths grown in turn, wherever limits leave room, until it has that size or nothing grows."""
        free = [k for k, gene in enumerate(self.space.genes) if gene.kind == "width"]
        while free and (has := self.known.measure(genome)) < size:
            growth = min(max((size / has) ** 0.5, LEAST_GROWTH), MOST_GROWTH)
            for k in tuple(free):
                choices = (self._wider(genome, k, by) for by in (growth, LEAST_GROWTH))
                wider = next((one for one in choices if one and isfinite(self.known.measure(one))), None)
                if wider is None:
                    free.remove(k)
                elif self.known.measure(genome := wider) >= size:
                    break
        return genome

    def _wider(self, genome: Genome, k: int, growth: float) -> Genome | None:
        """One width grown by about that factor; None if it is the widest, or does not show in this network."""
        number, options = int(self.space.encode(genome)[k]), self.space.genes[k].options
        last = len(options) - 1
        if number == last:
            return None
        wanted = options[number] * growth
        wider = self._with(genome, k, next((i for i, option in enumerate(options) if option >= wanted), last))
        return None if wider == genome else wider

    def _with(self, genome: Genome, k: int, number: int) -> Genome:
        """The genome with another option of one gene."""
        indices = self.space.encode(genome)
        indices[k] = number
        return self.space.decode(indices)
