"""The search between scouts and finishes: a proposer's genomes, moved to sizes worth trying and looked at."""

from __future__ import annotations

import math
from collections.abc import Callable

from nas.evaluation import Evaluation
from nas.objectives import violation
from nas.schedule import Curve, Measured
from nas.strategies import ladder
from nas.strategies.candidate import Candidate
from nas.strategies.jobs import Jobs
from nas.strategies.known import NICHE, Known
from nas.strategies.options import Options
from nas.strategies.proposers import FAILED, Proposer
from search_spaces.genes import Genome

BAND = 5
"""Niches that the search covers, counted from the ladder's target upwards."""

RANK_SHARE = 0.25
"""Of the full ranks, in the network that begins the search with all its large layers as two."""


class Search:
    """Proposes around the target and knows what looks promising.

    Args:
        make_proposer: builds the searcher from the seeds it should try first.
    """

    def __init__(
        self, known: Known, jobs: Jobs, options: Options, make_proposer: Callable[[list[Genome]], Proposer]
    ) -> None:
        self.known, self.space, self.jobs, self.options = known, known.space, jobs, options
        self.rung = search_rung(options)
        self.reached = self.target = known.target_size()
        self.wanted = looks_of_ladder(known, self.rung)
        self.proposer = make_proposer(self._seeds() if options.seeded else [])
        for candidate in known.scouts if options.seeded else []:
            if found := candidate.evaluations.get(self.rung):
                self.judge(candidate, found)

    # -- where to look ------------------------------------------------------------------------------------------

    def _seeds(self) -> list[Genome]:
        """The ladder network nearest the target, one gene or all ranks changed, moved into the band.

        With the fewest bits a weight, and so wider, first: a short search should have seen them.
        """
        centre = ladder.at_size(self.space, self.known.measure, self.target)
        seeds = []
        indices = self.space.encode(centre)
        for k, gene in enumerate(self.space.genes):
            if gene.kind in ("width", "rank", "bits"):  # the lowest rank says nothing of the others
                continue
            changed = indices.copy()
            changed[k] = 0
            seeds.append(self._into_band(self.space.decode(changed)))
        if (factored := self.space.factored(centre, RANK_SHARE)) != centre:
            seeds.append(self._into_band(factored))
        found = [genome for genome in dict.fromkeys([centre, *seeds]) if genome]
        packed = [self._into_band(other) for genome in found if (other := self.space.packed(genome)) != genome]
        return [genome for genome in dict.fromkeys([*packed, *found[1:]]) if genome]

    @property
    def band(self) -> tuple[float, float]:
        """Sizes worth searching, within the limit.

        Upwards from the target, which tends to be set too low at first, and downwards as far as the search gets: a
        niche below the smallest network that looks as good as the ladder's at the target.
        """
        most = self.known.most or float("inf")
        return self.reached / NICHE, min(self.target * NICHE**BAND, most)

    def _into_band(self, genome: Genome) -> Genome | None:
        """The genome itself if it lies in the band, else its widths scaled together until it does; None if never."""
        low, high = self.band
        size = self.known.measure(genome)
        if low <= size <= high:
            return genome
        small, large = 1 / 16, 16.0
        for _ in range(14):
            factor = (small * large) ** 0.5
            candidate = self.space.scaled(genome, factor)
            size = self.known.measure(candidate)
            if low <= size <= high:
                return candidate
            small, large = (factor, large) if size < low else (small, factor)
        return None

    # -- asking and telling the proposer ------------------------------------------------------------------------

    def propose(self) -> bool:
        """Queues a new, feasible genome of the proposer's; False when it has none or it cannot be paid."""
        for _ in range(50):
            asked = self.proposer.propose()
            if asked is None:
                return False
            genome = self._into_band(asked)
            if genome is None:
                worst = (FAILED,) * (len(self.known.resources) + 1)
                self.proposer.tell(asked, worst, 1.0 + violation(self.known.price(asked), self.known.limits))
                continue
            if genome in self.known.candidates:
                self.proposer.skip(asked)
                continue
            job = self.jobs.push(self.known.candidate(genome), self.rung)
            if self.jobs.leaves_room(self.jobs.price_of(job)):
                return True
            self.jobs.queue.pop()
            return False
        return False

    def judge(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Tells the proposer how a look, or a first training, came out."""
        kl = evaluation.kl if evaluation.status == "ok" and evaluation.kl is not None else FAILED
        if self.wanted is not None and kl <= self.wanted.at(self.target):
            self.reached = min(self.reached, candidate.size)
        self.proposer.tell(candidate.genome, (*candidate.resources, kl), 0.0)


def search_rung(options: Options) -> int:
    """The rung after which the proposer hears of a genome."""
    return 1 if options.fitness == "rung" else 0


def looks_of_ladder(known: Known, rung: int, axis: int = 0) -> Curve | None:
    """The scouts' KL over one of the resources after the search's rung; None where none came back."""
    looks = [(c, kl) for c in known.scouts if (kl := c.told(rung)) is not None]
    return Curve([Measured(c.resources[axis], kl) for c, kl in looks]) if looks else None


def promising(known: Known, rung: int, most: int) -> list[Candidate]:
    """The found networks furthest ahead of the ladder after the search's rung, about as many from each size niche."""
    looks = {c.genome: kl for c in known.candidates.values() if (kl := c.told(rung)) is not None}
    found = [c for c in known.candidates.values() if not c.is_ladder and c.genome in looks]
    curves = [curve for axis in known.axes if (curve := looks_of_ladder(known, rung, axis))]
    if not curves:
        return found[:most]
    # How far ahead of the ladder at the same size: what is left when size is taken out.
    gain = {
        c.genome: max(curve.at(value) for curve, value in zip(curves, c.resources, strict=True))
        / max(looks[c.genome], 1e-3)
        for c in found
    }
    found.sort(key=lambda c: (-gain[c.genome], c.size, c.genome.values))
    niches = {c.genome: round(math.log(c.size, NICHE)) for c in found}
    each = math.ceil(most / max(len(set(niches.values())), 1))
    taken: dict[int, int] = {}
    chosen = []
    for candidate in found:
        niche = niches[candidate.genome]
        taken[niche] = taken.get(niche, 0) + 1
        if taken[niche] <= each:
            chosen.append(candidate)
    return chosen[:most]
