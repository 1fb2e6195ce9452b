"""The full trainings: each is placed where the measurements so far expect most of it.

Every third is the ladder's, so that floor and control are always there, and the first of them begins with the search;
found networks that are not ahead of the ladder at equal training give their turns away. Where the ladder falls short of
the aim, it has a turn only if nothing else has.
"""

from __future__ import annotations

import numpy as np

from nas import pareto, schedule
from nas.schedule import Measured
from nas.strategies import ladder
from nas.strategies.candidate import Candidate
from nas.strategies.jobs import Jobs
from nas.strategies.known import NICHE, Known
from nas.strategies.options import Options
from nas.strategies.search import PROMOTED, promising, search_rung
from search_spaces.genes import Genome

SAFE = 0.5
"""Share of the aim that the first finish is placed for, since at first a scout tells little of its finish."""


class Finishes:
    """Whose full training is next, and how long it is.

    Attributes:
        asked: full trainings queued so far.
        count: so many there are to be; 0 until that is known.
    """

    def __init__(self, known: Known, jobs: Jobs, options: Options) -> None:
        self.known, self.jobs, self.options = known, jobs, options
        self.asked = self.count = 0

    def push_floor(self, kept: float) -> None:
        """Queues the ladder's first full training, if it may have one, at a size that should easily do.

        So a run has a model within the limits soon, whatever comes after.

        Args:
            kept: what search and promotions are going to cost.
        """
        near = self._ladder_near(self.known.target_size(share=SAFE), bracket=False)
        if near and self._is_ladders_turn():
            self._queue(near[0], of=self.jobs.plan.finishes, kept=kept)

    def push(self) -> bool:
        """Queues the next full training; False when there is none left to do, or nothing to pay it with."""
        found = self.found_ahead()
        self.count = self.count or self._count(found)
        left = self.count - self.asked
        if left <= 0:
            return False
        choices = self._ladder_near(self.known.target_size(), bracket=self.asked % 2 == 1)
        chosen = next(iter([*choices, *found] if self._is_ladders_turn() else [*found, *choices]), None)
        # Few networks fit a tight limit; then each of them gets more.
        return chosen is not None and self._queue(chosen, of=min(left, len(choices) + len(found)))

    def _count(self, found: list[Candidate]) -> int:
        """How many full trainings there are to be.

        Where the ladder falls short, those found need long ones: so many as are expected to become good enough, and at
        least two waves over the workers.
        """
        plan = self.jobs.plan
        if not self.known.falls_short:
            return plan.finishes
        expected = self._expected()
        hopeful = sum(expected.get(c.genome, float("inf")) <= self.known.aim for c in found)
        return min(plan.finishes, max(2 * plan.workers, hopeful))

    def _queue(self, chosen: Candidate, *, of: int, kept: float = 0.0) -> bool:
        """Queues it with its part of what is not spent, if that pays for as much as the rungs before it.

        The only one is queued however short it is.
        """
        plan = self.jobs.plan
        shortest = 10 if self.asked == 0 and not kept else max(10, plan.rungs[-1])
        least = plan.job(chosen.graph, shortest, cooldown=0.0)
        unspent = plan.total - self.jobs.spent - kept
        if unspent < least:
            return False
        self.asked += 1
        self.jobs.push_finish(chosen, plan.steps_for(chosen.graph, unspent / max(1, min(of, int(unspent / least)))))
        return True

    def _is_ladders_turn(self) -> bool:
        every = self.options.ladder_every
        return every > 0 and self.asked % every == 0 and not self.known.falls_short

    def found_ahead(self) -> list[Candidate]:
        """Found networks ahead of the ladder at equal training and not yet finished, the next to finish first.

        Of those expected within the aim a run begins with the smallest, and goes on with whichever is expected to add
        most to the hypervolume; then come the others, the most accurate first. What a full training will leave of a
        network's drop is judged by the found networks finished so far.
        """
        if not self.options.promoted:
            best = promising(self.known, search_rung(self.options), PROMOTED * self.jobs.plan.finishes)
            return [c for c in best if not self._taken(c)]
        known, expected, found = self.known, self._expected(), self._found()
        curves, falls_short = [known.curve(axis) for axis in known.axes], known.falls_short

        def leads(candidate: Candidate, drop: float) -> bool:
            return any(drop < curve.at(value) for curve, value in zip(curves, candidate.resources, strict=True))

        ahead = [c for c, m in found if not self._taken(c) and (falls_short or leads(c, m.drop))]
        within = [c for c in ahead if expected[c.genome] <= known.aim]
        if begun := [(c, expected[c.genome]) for c, _ in found if self._taken(c)]:
            with_it = {c.genome: self._volume([*begun, (c, expected[c.genome])]) for c in within}
            within.sort(key=lambda c: (-with_it[c.genome], c.size, c.genome.values))
        else:
            within.sort(key=lambda c: (c.size, c.genome.values))
        beyond = [c for c in ahead if expected[c.genome] > known.aim]
        return within + sorted(beyond, key=lambda c: (expected[c.genome], c.genome.values))

    def _found(self) -> list[tuple[Candidate, Measured]]:
        """Found networks that went through the rungs, and how they came out of the last one."""
        known = self.known
        return [(c, m) for c in known.candidates.values() if not c.is_ladder and (m := c.measured(known.top))]

    def _expected(self) -> dict[Genome, float]:
        """Drops that full trainings of found networks are expected to leave, by those that have had one."""
        found = self._found()
        finished = [(m, full) for c, m in found if (full := c.measured(self.known.finish))]
        return {c.genome: schedule.expected_finish(m, finished) for c, m in found}

    def _volume(self, expected: list[tuple[Candidate, float]]) -> float:
        """Hypervolume below the aim and the limits, logarithms of all but the drop.

        Args:
            expected: found networks, each with its drop after a full training, which counts until there is one.
        """
        known = self.known
        full = [(c, m.drop) for c in known.candidates.values() if (m := c.measured(known.finish))]
        open_ = [(c, drop) for c, drop in expected if c.measured(known.finish) is None]
        corner = np.array([*np.log2(np.maximum(known.corner, 1e-9)), known.aim])
        points = [[*np.log2(np.maximum(c.resources, 1e-9)), drop] for c, drop in full + open_]
        return pareto.hypervolume(np.array(points), corner)

    def _ladder_near(self, target: float, *, bracket: bool) -> list[Candidate]:
        """The ladder network at the target and those near it, smaller first, without those that are taken."""
        known = self.known
        near: dict[Genome, Candidate] = {}
        for factor in (1.0, 1 / NICHE, NICHE, 1 / NICHE**2, NICHE**2, 1 / NICHE**3, NICHE**3):
            if bracket and factor == 1.0 and not known.answers:
                continue  # a first wave of two ladder networks brackets the answer
            genome = ladder.at_size(known.space, known.measure, target * factor)
            if known.measure(genome) == float("inf"):
                continue
            candidate = known.candidate(genome, is_ladder=True)
            if not self._taken(candidate):
                near[genome] = candidate
        return list(near.values())

    def _taken(self, candidate: Candidate) -> bool:
        return self.jobs.finishing(candidate) or self.known.finish in candidate.evaluations
