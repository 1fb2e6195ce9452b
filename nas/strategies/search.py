"""The search between scouts and finishes: a proposer's genomes, moved to sizes worth trying and looked at."""

from __future__ import annotations

import math
from collections.abc import Callable

from nas.evaluation import Evaluation
from nas.objectives import violation
from nas.schedule import Curve, Measured
from nas.strategies.band import Band
from nas.strategies.candidate import Candidate
from nas.strategies.jobs import Jobs
from nas.strategies.known import NICHE, Known
from nas.strategies.options import Options
from nas.strategies.proposers import FAILED, Proposer
from search_spaces.genes import Genome

PROMOTED = 2
"""Looks whose networks are trained through the rungs, for each finish."""


class Search:
    """Proposes around the target and knows what looks promising.

    Args:
        make_proposer: builds the searcher from the seeds it should try first.
    """

    def __init__(
        self, known: Known, jobs: Jobs, options: Options, make_proposer: Callable[[list[Genome]], Proposer]
    ) -> None:
        self.known, self.jobs = known, jobs
        self.rung, self.band = search_rung(options), Band(known)
        self.wanted = None if self.band.is_open else looks_of_ladder(known, self.rung)
        self.proposer = make_proposer(self.band.seeds() if options.seeded else [])
        for candidate in known.scouts if options.seeded else []:
            if found := candidate.evaluations.get(self.rung):
                self.judge(candidate, found)

    def propose(self) -> bool:
        """Queues a new, feasible genome of the proposer's; False when it has none or it cannot be paid."""
        for _ in range(50):
            asked = self.proposer.propose()
            if asked is None:
                return False
            genome = self.band.moved(asked)
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
        if self.wanted is not None and not candidate.is_ladder and kl <= (enough := self.wanted.at(self.band.target)):
            self.band.met(candidate.size, kl, enough)
        self.proposer.tell(candidate.genome, (*candidate.resources, kl), 0.0)


def search_rung(options: Options) -> int:
    """The rung after which the proposer hears of a genome."""
    return 1 if options.fitness == "rung" else 0


def looks_of_ladder(known: Known, rung: int, axis: int = 0) -> Curve | None:
    """The scouts' KL over one of the resources after the search's rung; None where none came back."""
    looks = [(c, kl) for c in known.scouts if (kl := c.told(rung)) is not None]
    return Curve([Measured(c.resources[axis], kl) for c, kl in looks]) if looks else None


def promising(known: Known, rung: int, most: int) -> list[Candidate]:
    """The found networks furthest ahead of the ladder after the search's rung, about as many from each size niche.

    Those of the lowest KL where the ladder falls short, which says nothing then.
    """
    looks = {c.genome: kl for c in known.candidates.values() if (kl := c.told(rung)) is not None}
    found = [c for c in known.candidates.values() if not c.is_ladder and c.genome in looks]
    curves = [curve for axis in known.axes if (curve := looks_of_ladder(known, rung, axis))]
    if not curves:
        return found[:most]

    falls_short = known.falls_short

    def ladders(candidate: Candidate) -> float:
        """What the ladder's looks say of a network like it: taken out, so that size alone is no merit."""
        if falls_short:
            return 1.0
        return max(curve.at(value) for curve, value in zip(curves, candidate.resources, strict=True))

    gain = {c.genome: ladders(c) / max(looks[c.genome], 1e-3) for c in found}
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
