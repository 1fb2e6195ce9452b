"""The order of a run: scouts, search, finishes. One ask/tell strategy; what searches is a `Proposer` put into it.

1. Scouts: ladder networks from the largest feasible downwards, through every rung. They show where the limit lies.
2. Search (`search`): genomes near that size and, as far as they look as good, below it, ranked by untrained looks: the
   KL to the original's logits after the refit. That the look may rank was measured (`experiments/ranking`). Those
   furthest ahead of the ladder are trained through the rungs: the promotions.
3. Finishes (`finishes`): at least half of the budget. The ladder's first, if it has one, begins with the search.

Size is the first resource among the objectives, the file's bytes unless told otherwise; where there are more, a network
is ahead of the ladder if it is so on the axis of any of them, and finishes are weighed by the volume below all of them.

Everything is a function of the plan and the evaluations told, in their order. Prices are the plan's, never the clock's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from nas.evaluation import Evaluation, Job
from nas.objectives import Limits
from nas.plan import Plan
from nas.strategies import ladder
from nas.strategies.candidate import Candidate
from nas.strategies.finishes import Finishes
from nas.strategies.jobs import Jobs
from nas.strategies.known import Known
from nas.strategies.options import Options
from nas.strategies.proposers import Proposer
from nas.strategies.search import PROMOTED, Search, promising, search_rung
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace
from targets.cost import Cost

Phase = Literal["scouts", "search", "promotions", "finishes", "done"]


class Staged:
    """Scouts, then the proposer's search, then finishes.

    Args:
        price: genome to cost; milliseconds, before any training.
        aim: drop in points that finishes are placed for (`schedule.aim_for`).
        resources: the objectives beside the drop, fields of `Cost`; the first one is what "size" means here.
        options: what is done, and what is left out.
        is_quick: a price is a matter of milliseconds.
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
        is_quick: bool = True,
        make_proposer: Callable[[list[Genome]], Proposer] | None = None,
    ) -> None:
        self.options, self.make_proposer = options, make_proposer
        top = len(plan.rungs)
        self.known = Known(
            space, price, limits, aim=aim, resources=resources, top=top, scouts=plan.scouts, is_quick=is_quick
        )
        self.jobs = Jobs(self.known, plan, seed=seed)
        self.finishes = Finishes(self.known, self.jobs, options)
        self.search: Search | None = None
        self.searched = 0.0  # what search and promotions have cost
        self.phase: Phase = "scouts"
        for candidate in self.known.scouts:
            self.jobs.push(candidate, 0)

    # -- what others read ---------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        return self.jobs.plan

    @property
    def candidates(self) -> dict[Genome, Candidate]:
        return self.known.candidates

    @property
    def in_flight(self) -> dict[str, Job]:
        return self.jobs.in_flight

    @property
    def spent(self) -> float:
        return self.jobs.spent

    def price_of(self, job: Job) -> float:
        return self.jobs.price_of(job)

    # -- the contract -------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        return self.phase == "done" and not self.jobs.in_flight and not self.jobs.queue

    def replan(self, plan: Plan) -> None:
        """Takes corrected prices; what is spent is counted in the old ones and stays counted."""
        self.jobs.plan = plan

    def ask(self) -> Job | None:
        while True:
            if not self.jobs.queue:
                self._fill()
            if not self.jobs.queue:
                return None
            if job := self.jobs.hand_out():
                if self.phase in ("search", "promotions") and job.rung < self.known.finish:
                    self.searched += self.jobs.price_of(job)
                return job

    def tell(self, evaluation: Evaluation) -> None:
        job = evaluation.job
        self.jobs.in_flight.pop(job.id, None)
        candidate = self.known.told(evaluation)
        climbs = evaluation.status == "ok" and job.rung < self.known.top
        if self.phase == "promotions" or (self.phase == "scouts" and candidate.is_ladder):
            if climbs:
                self.jobs.push(candidate, job.rung + 1)
        elif self.phase == "search" and job.rung == search_rung(self.options) and not candidate.is_ladder:
            assert self.search is not None
            self.search.judge(candidate, evaluation)

    # -- the phases ---------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Puts the next job or jobs into the queue, moving through the phases; none while a phase waits for its own."""
        if self.phase == "scouts" and not self.jobs.in_flight:
            self._begin_search()
        if self.phase == "search" and not self._goes_on_searching() and self.jobs.are_home:
            self._promote()
        if self.phase == "promotions" and self.jobs.are_home:
            self.phase = "finishes"
        if self.phase == "finishes" and not self.finishes.push():
            self.phase = "done"

    def _begin_search(self) -> None:
        if self.make_proposer is None:
            self.phase = "finishes"
            return
        self.phase = "search"
        self.search = Search(self.known, self.jobs, self.options, self.make_proposer)
        if self.plan.search_share > 0:
            self.finishes.push_floor(kept=min(self._price_of_search(), self.jobs.room))

    def _price_of_search(self) -> float:
        """What looks and promotions are going to cost, about."""
        plan, known = self.plan, self.known
        graph = known.space.apply(ladder.at_size(known.space, known.measure, known.target_size()))
        promoted = PROMOTED * plan.finishes if self.options.promoted else 0
        return plan.search_share * plan.total + promoted * plan.job(graph, plan.rungs[-1])

    def _goes_on_searching(self) -> bool:
        """Queues a proposal if the search has one and may still pay it."""
        assert self.search is not None
        affordable = self.searched < self.plan.search_share * self.plan.total
        return affordable and self.jobs.leaves_room(self.plan.look) and self.search.propose()

    def _promote(self) -> None:
        """Queues the first training of the best looks; the smallest first, which cost least should room run out."""
        self.phase = "promotions"
        rung = search_rung(self.options)
        if self.options.promoted and rung < self.known.top:
            best = promising(self.known, rung, PROMOTED * self.plan.finishes)
            for candidate in sorted(best, key=lambda c: (c.size, c.genome.values)):
                self.jobs.push(candidate, rung + 1)
