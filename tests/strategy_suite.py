"""One contract for every strategy, on a toy space with a simulated evaluator: no training, milliseconds a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np

from nas import schedule
from nas.evaluation import Evaluation, Job
from nas.objectives import Limits, violation
from nas.plan import Plan
from nas.strategies.bayes import TpeProposer
from nas.strategies.build import screened
from nas.strategies.evolution import EvolutionProposer, GenerationalProposer
from nas.strategies.options import Options
from nas.strategies.proposers import Proposer, RandomProposer
from nas.strategies.staged import Staged
from search_spaces.declare import load_declaration
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace, derive
from targets.cost import Cost
from targets.device import load_device
from targets.pricing import Pricer
from tests.toys import depthwise

LIMITS = Limits(size_bytes=6000, drop=4.0)
AIM = 3.0
PLAN = Plan("steps", 1000.0, 1, look=4.0, per_op=0.0, per_mac=0.0, rungs=(5, 10), scouts=3, search_share=0.2)

Evaluate = Callable[[Job], Evaluation]


@cache
def toy_space() -> SearchSpace:
    """The small MobileNet: widths, depths and kernels, files of 1.7 to 6.5 KB."""
    return derive(depthwise()[0], load_declaration("mcu"))


@cache
def pricer() -> Pricer:
    return Pricer(toy_space(), load_device("nrf52840"))


def price(genome: Genome) -> Cost:
    return pricer().price(genome)


def _evolution(seeds: list[Genome], *, seed: int) -> Proposer:
    # As small as the toy's search, so that pymoo breeds in it.
    return EvolutionProposer(toy_space(), seeds=seeds, population=6, seed=seed)


def _generational(seeds: list[Genome], *, seed: int) -> Proposer:
    return GenerationalProposer(toy_space(), seeds=seeds, population=6, seed=seed)


def _random(seeds: list[Genome], *, seed: int) -> Proposer:
    return RandomProposer(toy_space(), seeds=seeds, seed=seed)


def _tpe(seeds: list[Genome], *, seed: int, objectives: int) -> Proposer:
    return TpeProposer(toy_space(), seeds=seeds, seed=seed, objectives=objectives)


def build(
    name: str,
    *,
    seed: int = 0,
    plan: Plan = PLAN,
    limits: Limits = LIMITS,
    options: Options = Options(),  # noqa: B008  # frozen
    resources: tuple[str, ...] = ("size_bytes",),
) -> Staged:
    """A strategy at its very beginning."""
    make = {
        "nsga2": _evolution, "nsga2-generational": _generational, "random": _random, "ladder": None,
        "tpe": partial(_tpe, objectives=len(resources) + 1), "screened": _evolution,
    }[name]  # fmt: skip
    proposer = None if make is None else partial(make, seed=seed)
    if proposer is not None and name == "screened":
        proposer = screened(proposer, toy_space(), price, resources)
    return Staged(
        toy_space(), price, limits, options.planned(plan),
        aim=AIM, seed=seed, resources=resources, options=options, make_proposer=proposer,
    )  # fmt: skip


def uniform(*parts: object) -> float:
    """A number in [0, 1) that follows from the parts alone, in every process."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") / 2**32


def evaluate(job: Job, *, failing: float = 0.0) -> Evaluation:
    """Smaller networks lose more and training helps; a share `failing` of the jobs fails, always the same ones."""
    cost = price(job.genome)
    if uniform("fails", job.id) < failing:
        return Evaluation.failure(job, "simulated", cost=cost)
    drop = 6000 / cost.size_bytes * (1 + 6 / (1 + job.steps / 20)) + uniform("noise", job.seed)
    if job.rung == 0:
        return Evaluation(job, cost, kl=drop / 10)
    return Evaluation(job, cost, accuracy=95 - drop, drop=drop, kl=drop / 20)


@dataclass
class Log:
    """What happened in a simulated run."""

    jobs: list[Job] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    idle_asks: int = 0
    """Asks answered by None although nothing was under way and the strategy did not call itself finished."""


def drive(strategy: Staged, *, work: Evaluate = evaluate, workers: int = 1, most: int = 2000, order: int = 0) -> Log:
    """Asks and tells until the strategy is finished; with several workers answers come back in a random order.

    Raises:
        AssertionError: it does not come to an end.
    """
    log, held = Log(), list[Job]()
    rng = np.random.default_rng(order)
    while not strategy.finished:
        assert len(log.jobs) < most, "the strategy goes on for ever"
        while len(held) < workers and (job := strategy.ask()) is not None:
            held.append(job)
            log.jobs.append(job)
        if not held:
            log.idle_asks += not strategy.finished
            assert strategy.finished, f"stalled in phase {strategy.phase}"
            break
        evaluation = work(held.pop(int(rng.integers(len(held)))))
        strategy.tell(evaluation)
        log.evaluations.append(evaluation)
    return log


def finish_rung(strategy: Staged) -> int:
    return len(strategy.plan.rungs) + 1


# -- the contract -----------------------------------------------------------------------------------------------------


def every_job_is_new(name: str, workers: int) -> None:
    jobs = drive(build(name), workers=workers).jobs
    assert len({job.id for job in jobs}) == len(jobs) > 6
    assert len({(job.genome, job.rung) for job in jobs}) == len(jobs)


def genomes_are_in_the_space_and_within_the_limits(name: str, workers: int) -> None:
    for job in drive(build(name), workers=workers).jobs:
        assert toy_space().contains(job.genome)
        assert violation(price(job.genome), LIMITS) == 0


def jobs_start_where_an_earlier_one_of_the_genome_ended(name: str, workers: int) -> None:
    strategy = build(name)
    log = drive(strategy, workers=workers)
    known = {job.id: job for job in log.jobs}
    for job in log.jobs:
        assert (job.steps == 0) == (job.rung == 0)
        if job.origin is not None:
            before = known[job.origin]
            assert (before.genome, before.rung < job.rung, before.rung > 0) == (job.genome, True, True)
            assert log.jobs.index(before) < log.jobs.index(job)


def ends_within_the_total_price(name: str, workers: int, total: float) -> None:
    strategy = build(name, plan=replace(PLAN, total=total, workers=workers, finishes=4))
    log = drive(strategy, workers=workers)
    assert log.jobs
    assert sum(strategy.price_of(job) for job in log.jobs) == strategy.spent <= total
    if total >= 300:  # and little of it is left over
        assert strategy.spent > 0.85 * total
        assert sum(job.rung == finish_rung(strategy) for job in log.jobs) == 4


def same_seed_same_jobs(name: str, workers: int) -> None:
    first, again = (drive(build(name, seed=3), workers=workers).jobs for _ in range(2))
    assert first == again
    if name != "ladder":
        other = drive(build(name, seed=4), workers=workers).jobs
        assert [job.genome for job in first] != [job.genome for job in other]


def ladder_points_nearest_the_answer_are_finished(name: str, workers: int) -> None:
    strategy = build(name)
    log = drive(strategy, workers=workers)
    finishes = [job for job in log.jobs if job.rung == finish_rung(strategy)]
    finished = [job.genome for job in finishes if strategy.candidates[job.genome].is_ladder]
    assert len(finished) >= 2
    assert finishes[0].genome in finished
    sizes = sorted({price(toy_space().uniform(f)).size_bytes for f in np.linspace(0, 1, 400)})
    sizes = [size for size in sizes if size <= price(strategy.known.scouts[0].genome).size_bytes]
    answer = schedule.smallest_within(AIM, sizes[0], sizes[-1], strategy.known.curve(), strategy.known.answers)
    place = max(k for k, size in enumerate(sizes) if size <= answer)
    # Measured to the very end: the last finish may have moved the answer by one step of the ladder.
    assert {abs(sizes.index(price(genome).size_bytes) - place) for genome in finished} & {0, 1}


def failed_evaluations_do_not_stall_it(name: str, workers: int, failing: float) -> None:
    strategy = build(name)
    log = drive(strategy, work=partial(evaluate, failing=failing), workers=workers)
    assert strategy.finished
    assert len(log.evaluations) == len(log.jobs)
    assert strategy.spent <= PLAN.total


def none_is_asked_only_while_jobs_are_in_flight(name: str, workers: int) -> None:
    strategy = build(name)
    log = drive(strategy, workers=workers)
    assert log.idle_asks == 0
    assert strategy.ask() is None
    assert strategy.finished
