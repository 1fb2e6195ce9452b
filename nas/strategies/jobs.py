"""Jobs in the order they are to be done, and what they cost by the plan's prices, never by the clock."""

from __future__ import annotations

from nas.evaluation import Job
from nas.plan import COOLDOWN, Plan
from nas.strategies.candidate import Candidate
from nas.strategies.known import Known

FINISH_SHARE = 0.5
"""Of the total, what scouts and search must leave: on a very short budget they are cut, never the finishes."""


class Jobs:
    """The queue, the jobs under way, and the account.

    Attributes:
        spent: by all jobs that were handed out, in the plan's unit.
        spent_on_finishes: the full trainings' part of it.
    """

    def __init__(self, known: Known, plan: Plan, *, seed: int) -> None:
        self.known, self.plan, self.seed = known, plan, seed
        self.queue: list[Job] = []
        self.in_flight: dict[str, Job] = {}
        self.spent = self.spent_on_finishes = 0.0

    def push(self, candidate: Candidate, rung: int) -> Job:
        """Queues the job that brings a candidate to `rung`, from the rung below or from the refit."""
        before = candidate.trained_rung
        reached = self.plan.rungs[before - 1] if before else 0
        return self._add(candidate, rung, self.plan.rungs[rung - 1] - reached if rung else 0)

    def push_finish(self, candidate: Candidate, steps: int) -> Job:
        """Queues a candidate's full training."""
        return self._add(candidate, self.known.finish, steps)

    def _add(self, candidate: Candidate, rung: int, steps: int) -> Job:
        before = candidate.trained_rung
        start = f"checkpoint:{candidate.evaluations[before].job.id}" if before else "refit"
        job = Job.make(candidate.genome, rung, steps, start, run_seed=self.seed)
        self.queue.append(job)
        return job

    def hand_out(self) -> Job | None:
        """The next job that can be paid; those before it that cannot are dropped."""
        while self.queue:
            job = self.queue.pop(0)
            price, is_finish = self.price_of(job), job.rung == self.known.finish
            if is_finish or self.leaves_room(price):
                self.in_flight[job.id] = job
                self.spent += price
                self.spent_on_finishes += price if is_finish else 0.0
                return job
        return None

    @property
    def are_home(self) -> bool:
        """Nothing queued or under way but full trainings, which the search does not wait for."""
        return not self.queue and all(job.rung == self.known.finish for job in self.in_flight.values())

    def finishing(self, candidate: Candidate) -> bool:
        """Is its full training under way?"""
        return any(j.genome == candidate.genome and j.rung == self.known.finish for j in self.in_flight.values())

    def price_of(self, job: Job) -> float:
        """What the plan asks for a job; a finish has its cool-down among its steps, a rung on top of them."""
        graph = self.known.candidates[job.genome].graph
        return self.plan.job(graph, job.steps, cooldown=0.0 if job.rung == self.known.finish else COOLDOWN)

    def leaves_room(self, price: float) -> bool:
        """Would the finishes keep their share after spending that much on something else?"""
        return price <= self.room

    @property
    def room(self) -> float:
        """What anything but finishes may still cost."""
        return (1 - FINISH_SHARE) * self.plan.total - (self.spent - self.spent_on_finishes)
