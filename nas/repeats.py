"""The chosen network and its neighbors on the front, trained again with other seeds: how much of a drop is luck.

A repeat starts from the refit, takes as many steps as its network's own training in all, is quantized and is scored on
final_val like any other. The exported file stays the one that was proven. The best of the seeds is never taken instead:
picked by its drop on final_val, that drop would look better than it is, and its bound on these very images would hold
no longer.

Which are trained again is decided once, when the search has ended, and written to the ledger; the jobs then go through
the same loop and workers as the search's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from nas import finale, study
from nas.artefacts import RunFolder
from nas.closing import Scored, Searched
from nas.evaluation import Evaluation, Job
from nas.judge import Judge
from nas.ledger import Entry
from nas.plan import Plan
from nas.result import Point
from nas.workers import Workers
from search_spaces.space import SearchSpace

ENTRY = "repeats"
"""The ledger's entry with their jobs; what stands before it is the search."""

MOST = 3
"""Networks trained again: the chosen one, and the two that a reader weighs against it.

Would the next smaller one of the front have done, and is the next larger one safer? The whole front would cost as much
as the search itself.
"""


def reserving(plan: Plan, seeds: int) -> Plan:
    """The plan with a part of its total kept for the repeats; each costs what a finish does, or a little less."""
    again = MOST * (seeds - 1)
    kept = plan.total * again / (plan.finishes + again)
    return replace(plan, total=plan.total - kept, reserved=kept)


def members(points: Iterable[Point], chosen: Point | None, resource: str) -> list[Point]:
    """The chosen network, the front's next smaller one and its next larger one, by a field of `Cost`."""
    if chosen is None:
        return []
    ordered = sorted(
        (p for p in points if p.on_front or p.id == chosen.id), key=lambda p: (getattr(p.cost, resource), p.val_drop)
    )
    k = ordered.index(chosen)
    return [chosen, *ordered[max(k - 1, 0) : k], *ordered[k + 1 : k + 2]]


def jobs(
    again: Iterable[Point],
    own: Mapping[str, Job],
    price: Callable[[Job], float],
    *,
    seeds: int,
    run_seed: int,
    affordable: float,
) -> list[Job]:
    """Every other seed of the first network, then of the next, as far as the plan's money goes; none is cut short.

    Args:
        again: who is trained again.
        own: by point id, the last job of its own training.
        price: what the plan asks for a job.
        seeds: trainings of each network, its own among them.
        affordable: what may be spent, in the plan's unit.
    """
    found: list[Job] = []
    for point in again:
        job = own[point.id]
        for k in range(1, seeds):
            other = Job.make(job.genome, job.rung, point.steps, f"seed:{k}", run_seed=run_seed)
            affordable -= price(other)
            if affordable < 0:
                return found
            found.append(other)
    return found


class Repeats:
    """A strategy that asks for these jobs, in their order, and learns nothing."""

    def __init__(self, wanted: Iterable[Job]) -> None:
        self.left = deque(wanted)

    @property
    def finished(self) -> bool:
        return not self.left

    def ask(self) -> Job | None:
        return self.left.popleft() if self.left else None

    def tell(self, evaluation: Evaluation) -> None:
        pass


def searched(entries: list[Entry]) -> list[Entry]:
    """What a ledger holds of the search; all of it unless the repeats have begun."""
    return entries[: _begun(entries)]


def train(run: Searched, scored: Scored, workers: Workers, *, until: float) -> Scored:
    """Trains again what the plan can pay for, and puts the drops beside those of the points.

    Args:
        workers: idle.
        until: `time.time()` at which the last repeat should be done.
    """
    seeds, ledger, strategy = run.config.final_seeds, run.ledger, run.strategy
    if seeds == 1:
        return scored
    if _begun(ledger.entries) == len(ledger.entries):
        plan = strategy.plan
        wanted = jobs(
            members(scored.points, scored.chosen, run.resource), scored.jobs, strategy.price_of,
            seeds=seeds, run_seed=run.config.seed, affordable=plan.total - strategy.spent + plan.reserved,
        )  # fmt: skip
        ledger.append(ENTRY, {"jobs": [job.to_json() for job in wanted]})
    begun = _begun(ledger.entries)
    repeats = Repeats(Job.from_json(job) for job in ledger.entries[begun]["jobs"])
    run.view.phase("training the chosen model and its neighbors again with other seeds")
    repeats.left.extendleft(reversed(study.replay(repeats, ledger.entries[begun:])))
    pace = {e.job.genome: sum(e.seconds.values()) / max(e.steps, 1) for e in scored.evaluations}

    def late() -> bool:
        """Would the next one end too late at the speed of its own network's last training?"""
        return bool(repeats.left) and time.time() + pace[repeats.left[0].genome] * repeats.left[0].steps > until

    study.run(repeats, workers, ledger, deadline=late)
    started = time.time()
    points = beside(scored.points, ledger.evaluations, run.inputs.space, scored.final, run.folder)
    run.clock.arithmetic += (time.time() - started) * run.config.workers
    return replace(scored, points=points)


def beside(
    points: list[Point], evaluations: Iterable[Evaluation], space: SearchSpace, final: Judge, folder: RunFolder
) -> list[Point]:
    """The points with the drops of their repeats on final_val.

    Args:
        evaluations: all of the run.
        final: of the final_val images.
    """
    drops: dict[str, list[float]] = {}
    for one in sorted(evaluations, key=lambda e: e.job.repeat):
        if one.job.repeat and one.status == "ok":
            logits = finale.answers(folder, one.job.id, space.apply(one.job.genome), final, threads=1)
            drops.setdefault(one.job.genome.key, []).append(final.drop(logits)[0])
    return [replace(p, seed_drops=(p.val_drop, *drops[p.id])) if p.id in drops else p for p in points]


def _begun(entries: list[Entry]) -> int:
    """Where the repeats begin; the number of entries before they have."""
    return next((k for k, entry in enumerate(entries) if entry["entry"] == ENTRY), len(entries))
