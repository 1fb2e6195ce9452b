"""The order of a run: scouts, search, finishes. One ask/tell strategy; what searches is a `Proposer` put into it.

1. Scouts: ladder networks from the largest feasible downwards, through every rung. They show where the limit lies.
2. Search: genomes near that size, ranked by untrained looks: the KL to the original's logits after the refit. That
   the look may rank was measured (`experiments/ranking`). Those furthest ahead of the ladder are trained through the
   rungs.
3. Finishes: most of the budget. Each is placed where the measurements so far expect the smallest network within the
   drop limit. Every third is the ladder's, so that floor and control are always there; found networks that are not
   ahead of the ladder at equal training give their turns away.

Size is the first resource among the objectives, the file's bytes unless told otherwise; where there are more, a network
is ahead of the ladder if it is so on the axis of any of them, and finishes take turns between them.

Everything is a function of the plan and the evaluations told, in their order. Prices are the plan's, never the clock's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from nas import schedule
from nas.evaluation import Evaluation, Job
from nas.objectives import Limits, value_of, violation
from nas.plan import COOLDOWN, Plan
from nas.schedule import Curve, Measured
from nas.strategies import ladder
from nas.strategies.candidate import Candidate
from nas.strategies.options import Options
from nas.strategies.proposers import FAILED, Proposer
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace
from targets.cost import Cost

NICHE = 1.25
"""Two sizes within this factor compete with each other."""

BAND = 5
"""Niches that the search covers, counted from the target upwards."""

RANK_SHARE = 0.25
"""Of the full ranks, in the network that begins the search with all its large layers as two."""

FINISH_SHARE = 0.5
"""Of the total, what scouts and search must leave: on a very short budget they are cut, never the finishes."""


class Staged:
    """Scouts, then the proposer's search, then finishes.

    Args:
        price: genome to cost; milliseconds, before any training.
        aim: drop in points that finishes are placed for (`schedule.aim_for`).
        resources: the objectives beside the drop, fields of `Cost`; the first one is what "size" means here.
        options: what is done, and what is left out.
        make_proposer: builds the searcher from the seeds it should try first; None is the plain ladder.
    """

    def __init__(
        self,
        space: SearchSpace,
        price: Callable[[Genome], Cost],
        limits: Limits,
        plan: Plan,
        *,
        aim: float,
        seed: int,
        resources: tuple[str, ...] = ("size_bytes",),
        options: Options = Options(),  # noqa: B008  # frozen
        make_proposer: Callable[[list[Genome]], Proposer] | None = None,
    ) -> None:
        self.space, self.price, self.limits, self.plan, self.aim, self.seed = space, price, limits, plan, aim, seed
        self.resources, self.options, self.make_proposer = resources, options, make_proposer
        self.search_rung = 1 if options.fitness == "rung" else 0
        self.proposer: Proposer | None = None
        self.candidates: dict[Genome, Candidate] = {}
        self.in_flight: dict[str, Job] = {}
        self.spent = 0.0
        self.search_spent = 0.0
        self.queue: list[Job] = []
        self.finishes_asked = 0
        self.phase = "scouts"
        self.scouts = [self._candidate(genome, is_ladder=True) for genome in self._ladder(plan.scouts)]
        for candidate in self.scouts:
            self._push(candidate, 0)

    # -- the contract -------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        return self.phase == "done" and not self.in_flight and not self.queue

    def replan(self, plan: Plan) -> None:
        """Takes corrected prices; what is spent is counted in the old ones and stays counted."""
        self.plan = plan

    def ask(self) -> Job | None:
        while True:
            if not self.queue:
                self._fill()
            if not self.queue:
                return None
            job = self.queue.pop(0)
            if job.rung > len(self.plan.rungs) or self._leaves_room(self.price_of(job)):
                self.in_flight[job.id] = job
                self._charge(job)
                return job

    def tell(self, evaluation: Evaluation) -> None:
        job = evaluation.job
        self.in_flight.pop(job.id, None)
        candidate = self.candidates.get(job.genome) or self._candidate(job.genome)
        candidate.evaluations[job.rung] = evaluation
        if self.phase == "scouts" and candidate.is_ladder and job.rung < len(self.plan.rungs):
            if evaluation.status == "ok":
                self._push(candidate, job.rung + 1)
        elif self.phase == "promotions" and job.rung < len(self.plan.rungs) and evaluation.status == "ok":
            self._push(candidate, job.rung + 1)
        elif self.phase == "search" and job.rung == self.search_rung and not candidate.is_ladder:
            self._judge(candidate, evaluation)

    # -- scouts -------------------------------------------------------------------------------------------------

    def _measure(self, genome: Genome) -> float:
        cost = self.price(genome)
        return self._resources(cost)[0] if violation(cost, self.limits) == 0 else float("inf")

    def _resources(self, cost: Cost) -> tuple[float, ...]:
        return tuple(value_of(name, cost, 0.0) for name in self.resources)

    @property
    def most(self) -> float | None:
        """The limit on size, if there is one."""
        return self.limits.active.get(self.resources[0])

    def _ladder(self, count: int) -> list[Genome]:
        largest = self.most or self._resources(self.price(self.space.original))[0]
        return ladder.rungs(self.space, self._measure, largest, count)

    @property
    def curve(self) -> Curve:
        """The scouts' drop over size at the highest rung that all kinds of candidates see."""
        return self._curve(0)

    def _curve(self, axis: int) -> Curve:
        """The same over one of the resources."""
        top, known = len(self.plan.rungs), [c for c in self.candidates.values() if c.is_ladder]
        points = [m for c in known if (m := c.measured(top, axis))]
        points = points or [m for c in known if (m := c.measured(c.trained_rung, axis))]
        return Curve(points or [Measured(self.scouts[0].resources[axis], 10.0)])

    @property
    def answers(self) -> list[Measured]:
        """The ladder's finishes so far. Found networks follow another curve and would mislead about the ladder."""
        rung = len(self.plan.rungs) + 1
        return [m for c in self.candidates.values() if c.is_ladder and (m := c.measured(rung))]

    def _target_size(self) -> float:
        high = max(c.size for c in self.scouts)
        return schedule.smallest_within(self.aim, min(high, self._smallest()), high, self.curve, self.answers)

    def _smallest(self) -> float:
        return max(self._resources(self.price(ladder.thinnest(self.space, self._measure)))[0], 1e-9)

    # -- search -------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Puts the next job or jobs into the queue, moving through the phases."""
        if self.phase == "scouts":
            if self.in_flight:
                return
            self.phase = "search" if self.make_proposer else "finishes"
            if self.make_proposer:
                self.proposer = self.make_proposer(self._seeds() if self.options.seeded else [])
                for candidate in self.scouts if self.options.seeded else []:
                    if found := candidate.evaluations.get(self.search_rung):
                        self._judge(candidate, found)
        if self.phase == "search":
            affordable = self.search_spent < self.plan.search_share * self.plan.total
            if affordable and self._leaves_room(self.plan.look) and self._propose():
                return
            if self.in_flight:
                return
            self.phase = "promotions"
            below = self.search_rung < len(self.plan.rungs)
            for candidate in self._promising() if self.options.promoted and below else []:
                self._push(candidate, self.search_rung + 1)
            if self.queue:
                return
        if self.phase == "promotions":
            if self.in_flight:
                return
            self.phase = "finishes"
        if self.phase == "finishes":
            self._next_finish()

    def _seeds(self) -> list[Genome]:
        """The ladder network nearest the target, one gene or all ranks changed, moved into the band.

        With the fewest bits a weight, and so wider, first: pymoo seldom mutates a gene of two options.
        """
        centre = ladder.at_size(self.space, self._measure, self._target_size())
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
        """Sizes worth searching, within the limit: mostly above the target, which tends to be set too low at first."""
        target = self._target_size()
        return target / NICHE, min(target * NICHE**BAND, self.most or float("inf"))

    def _into_band(self, genome: Genome) -> Genome | None:
        """The genome itself if it lies in the band, else its widths scaled together until it does; None if never."""
        low, high = self.band
        size = self._measure(genome)
        if low <= size <= high:
            return genome
        small, large = 1 / 16, 16.0
        for _ in range(14):
            factor = (small * large) ** 0.5
            candidate = self.space.scaled(genome, factor)
            size = self._measure(candidate)
            if low <= size <= high:
                return candidate
            small, large = (factor, large) if size < low else (small, factor)
        return None

    def _propose(self) -> bool:
        """Asks the proposer until a new, feasible genome is found; False when it has none."""
        assert self.proposer is not None
        for _ in range(50):
            asked = self.proposer.propose()
            if asked is None:
                return False
            genome = self._into_band(asked)
            if genome is None:
                worst = (FAILED,) * (len(self.resources) + 1)
                self.proposer.tell(asked, worst, 1.0 + violation(self.price(asked), self.limits))
                continue
            if genome in self.candidates:
                self.proposer.skip(asked)
                continue
            candidate = self._candidate(genome)
            self._push(candidate, self.search_rung)
            if self._leaves_room(self.price_of(self.queue[-1])):
                return True
            self.queue.pop()
            return False
        return False

    def _judge(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Tells the proposer how a look, or a first training, came out."""
        assert self.proposer is not None
        kl = evaluation.kl if evaluation.status == "ok" and evaluation.kl is not None else FAILED
        self.proposer.tell(candidate.genome, (*candidate.resources, kl), 0.0)

    def _promising(self) -> list[Candidate]:
        """The found networks furthest ahead of the ladder by their looks, a few from each size niche."""
        looks = {c.genome: kl for c in self.candidates.values() if (kl := c.told(self.search_rung)) is not None}
        scouts = [c for c in self.scouts if c.genome in looks]
        found = [c for c in self.candidates.values() if not c.is_ladder and c.genome in looks]
        if not scouts:
            return found[: 2 * self.plan.finishes]
        axes = range(len(self.resources))
        curves = [Curve([Measured(c.resources[axis], looks[c.genome]) for c in scouts]) for axis in axes]
        # How far ahead of the ladder at the same size: what is left when size is taken out.
        gain = {
            c.genome: max(curves[axis].at(c.resources[axis]) for axis in axes) / max(looks[c.genome], 1e-3)
            for c in found
        }
        found.sort(key=lambda c: (-gain[c.genome], c.size, c.genome.values))
        most = 2 * self.plan.finishes
        taken: dict[int, int] = {}
        chosen = []
        for candidate in found:
            niche = round(math.log(candidate.size, NICHE))
            taken[niche] = taken.get(niche, 0) + 1
            if taken[niche] <= max(2, most // BAND):
                chosen.append(candidate)
        return chosen[:most]

    # -- finishes -----------------------------------------------------------------------------------------------

    def _next_finish(self) -> None:
        if self.finishes_asked >= self.plan.finishes:
            self.phase = "done"
            return
        target = self._target_size()
        found = self._found_ahead()
        choices = self._ladder_near(target, bracket=self.finishes_asked % 2 == 1)
        every = self.options.ladder_every
        ladders_turn = not found or (every > 0 and self.finishes_asked % every == 0)
        chosen = next(iter([*choices, *found] if ladders_turn else [*found, *choices]), None)
        if chosen is None:
            self.phase = "done"
            return
        rung = len(self.plan.rungs) + 1
        before = chosen.trained_rung
        # Few networks fit a tight limit; then each of them gets more.
        left = min(self.plan.finishes - self.finishes_asked, len(choices) + len(found))
        least = self.plan.look + 10 * self.plan.step(chosen.graph)
        unspent = self.plan.total - self.spent
        left = max(1, min(left, int(unspent / least)))
        if unspent < least:
            self.phase = "done"  # too little is left for a training worth its name
            return
        steps = self.plan.steps_for(chosen.graph, unspent / left)
        start = "refit" if before == 0 else f"checkpoint:{chosen.evaluations[before].job.id}"
        self.finishes_asked += 1
        self.queue.append(self._job(chosen, rung, steps, start))

    def _taken(self, candidate: Candidate) -> bool:
        rung = len(self.plan.rungs) + 1
        busy = any(j.genome == candidate.genome and j.rung == rung for j in self.in_flight.values())
        return busy or rung in candidate.evaluations

    def _found_ahead(self) -> list[Candidate]:
        """Found networks ahead of the ladder at equal training and not yet finished, the next to finish first.

        Those expected within the aim come first, the smallest first; then the others, the most accurate first. What a
        full training will leave of a network's drop is judged by the found networks finished so far.
        """
        if not self.options.promoted:
            return [c for c in self._promising() if not self._taken(c)]
        top, rung = len(self.plan.rungs), len(self.plan.rungs) + 1
        found = [(c, m) for c in self.candidates.values() if not c.is_ladder and (m := c.measured(top))]
        finished = [(m, full) for c, m in found if (full := c.measured(rung))]
        curves = [self._curve(axis) for axis in range(len(self.resources))]

        def leads(candidate: Candidate, drop: float) -> bool:
            return any(drop < curve.at(value) for curve, value in zip(curves, candidate.resources, strict=True))

        ahead = [(c, m) for c, m in found if not self._taken(c) and leads(c, m.drop)]
        expected = {c.genome: schedule.expected_finish(m, finished) for c, m in ahead}
        turn = self.finishes_asked % len(self.resources)
        within = sorted(
            (c for c, _ in ahead if expected[c.genome] <= self.aim), key=lambda c: (c.resources[turn], c.genome.values)
        )
        beyond = [c for c, _ in ahead if expected[c.genome] > self.aim]
        return within + sorted(beyond, key=lambda c: (expected[c.genome], c.genome.values))

    def _ladder_near(self, target: float, *, bracket: bool) -> list[Candidate]:
        """The ladder network at the target and those near it, smaller first, without those that are taken."""
        near: dict[Genome, Candidate] = {}
        for factor in (1.0, 1 / NICHE, NICHE, 1 / NICHE**2, NICHE**2, 1 / NICHE**3, NICHE**3):
            if bracket and factor == 1.0 and not self.answers:
                continue  # a first wave of two ladder networks brackets the answer
            genome = ladder.at_size(self.space, self._measure, target * factor)
            if self._measure(genome) == float("inf"):
                continue
            candidate = self.candidates.get(genome) or self._candidate(genome, is_ladder=True)
            if not self._taken(candidate):
                near[genome] = candidate
        return list(near.values())

    # -- jobs ---------------------------------------------------------------------------------------------------

    def _candidate(self, genome: Genome, *, is_ladder: bool = False) -> Candidate:
        if genome not in self.candidates:
            graph, cost = self.space.apply(genome), self.price(genome)
            self.candidates[genome] = Candidate(genome, cost, graph, is_ladder, self._resources(cost))
        return self.candidates[genome]

    def _push(self, candidate: Candidate, rung: int) -> None:
        """Queues the job that brings a candidate to `rung`, from the rung below or from the refit."""
        before = candidate.trained_rung
        reached = self.plan.rungs[before - 1] if before else 0
        steps = self.plan.rungs[rung - 1] - reached if rung else 0
        start = f"checkpoint:{candidate.evaluations[before].job.id}" if before else "refit"
        self.queue.append(self._job(candidate, rung, steps, start))

    def _job(self, candidate: Candidate, rung: int, steps: int, start: str) -> Job:
        return Job.make(candidate.genome, rung, steps, start, run_seed=self.seed)

    def price_of(self, job: Job) -> float:
        """What the plan asks for a job; a finish has its cool-down among its steps, a rung on top of them."""
        finish = job.rung > len(self.plan.rungs)
        graph = self.candidates[job.genome].graph
        return self.plan.job(graph, job.steps, cooldown=0.0 if finish else COOLDOWN)

    def _leaves_room(self, price: float) -> bool:
        """Would the finishes keep their share after spending that much on something else?"""
        return self.spent + price <= (1 - FINISH_SHARE) * self.plan.total

    def _charge(self, job: Job) -> None:
        price = self.price_of(job)
        self.spent += price
        if self.phase in ("search", "promotions"):
            self.search_spent += price
