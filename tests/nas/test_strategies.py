"""Every strategy keeps the contract of `tests.strategy_suite`; what is special about one is tested here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from nas import study
from nas.evaluation import Evaluation, Job
from nas.ledger import LEDGER_FILE, Ledger
from nas.objectives import Limits
from nas.pareto import hypervolume
from nas.strategies import ladder
from nas.strategies.band import Band
from nas.strategies.bayes import TpeProposer
from nas.strategies.candidate import Candidate
from nas.strategies.evolution import EvolutionProposer, GenerationalProposer
from nas.strategies.known import NICHE, Known
from nas.strategies.options import STRATEGIES, Options, load_options
from nas.strategies.proposers import FAILED, Proposer, RandomProposer
from nas.strategies.search import search_rung
from nas.workers import Serial
from search_spaces.errors import InputError, Interrupted, NothingFits
from search_spaces.genes import Gene, Genome
from search_spaces.space import SearchSpace
from targets.cost import Cost
from tests import strategy_suite as suite
from tests.strategy_suite import LIMITS, PLAN, build, drive, price, toy_space

every = pytest.mark.parametrize("name", [*STRATEGIES, "screened"])
some_workers = pytest.mark.parametrize("workers", [1, 3])


@every
@some_workers
def test_every_job_is_new(name: str, workers: int) -> None:
    suite.every_job_is_new(name, workers)


@every
@some_workers
def test_genomes_are_in_the_space_and_within_the_limits(name: str, workers: int) -> None:
    suite.genomes_are_in_the_space_and_within_the_limits(name, workers)


@every
@some_workers
def test_jobs_start_where_an_earlier_one_of_the_genome_ended(name: str, workers: int) -> None:
    suite.jobs_start_where_an_earlier_one_of_the_genome_ended(name, workers)


@every
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("total", [25.0, 90.0, 300.0, 1000.0])
def test_it_ends_within_the_total_price(name: str, workers: int, total: float) -> None:
    suite.ends_within_the_total_price(name, workers, total)


@every
@some_workers
def test_same_seed_same_jobs(name: str, workers: int) -> None:
    suite.same_seed_same_jobs(name, workers)


@every
@some_workers
def test_ladder_points_nearest_the_answer_are_finished(name: str, workers: int) -> None:
    suite.ladder_points_nearest_the_answer_are_finished(name, workers)


@every
@some_workers
@pytest.mark.parametrize("failing", [0.3, 1.0])
def test_failed_evaluations_do_not_stall_it(name: str, workers: int, failing: float) -> None:
    suite.failed_evaluations_do_not_stall_it(name, workers, failing)


@every
@some_workers
def test_none_only_while_jobs_are_in_flight(name: str, workers: int) -> None:
    suite.none_is_asked_only_while_jobs_are_in_flight(name, workers)


@dataclass(frozen=True)
class Simulated:
    """The suite's evaluator as a problem."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        pass

    @property
    def space(self) -> SearchSpace:
        return toy_space()

    def price(self, genome: Genome) -> Cost:
        return price(genome)

    def evaluate(self, job: Job) -> Evaluation:
        return suite.evaluate(job, failing=0.1)


@every
def test_replayed_from_its_ledger_it_goes_on_as_if_undisturbed(name: str, tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "whole.jsonl", "toy") as ledger:
        assert study.run(build(name), Serial(Simulated), ledger) == "finished"
        whole = ledger.evaluations
    for stop in (2, len(whole) // 2, len(whole) - 1):
        path = tmp_path / f"{stop}-{LEDGER_FILE}"
        left = [2 * stop]

        def interrupt(_: study.Event, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        with Ledger.open(path, "toy") as ledger, pytest.raises(Interrupted):
            study.run(build(name), Serial(Simulated), ledger, on_event=interrupt)
        with Ledger.open(path, "toy", resume=True) as ledger:
            strategy = build(name)
            lost = study.replay(strategy, json.loads(json.dumps(ledger.entries)))
            assert study.run(strategy, Serial(Simulated), ledger, lost=lost) == "finished"
            assert ledger.evaluations == whole


def test_replay_applies_corrected_plans_at_their_places(tmp_path: Path) -> None:
    smaller = replace(PLAN, total=700.0)
    with Ledger.open(tmp_path / LEDGER_FILE, "toy") as ledger:
        strategy = build("nsga2")

        def correct(event: study.Event) -> None:
            if event.kind == "evaluated" and len(ledger.evaluations) == 8:
                ledger.append("plan", smaller.to_json())
                strategy.replan(smaller)

        study.run(strategy, Serial(Simulated), ledger, on_event=correct)
        entries = list(ledger.entries)
    assert strategy.spent <= 700
    again = build("nsga2")
    plans = []

    def on_plan(entry: dict) -> None:
        plans.append(entry)
        again.replan(smaller)

    assert study.replay(again, entries, on_plan=on_plan) == []
    assert len(plans) == 1
    assert again.spent == strategy.spent
    assert set(again.candidates) == set(strategy.candidates)


# -- the proposers ----------------------------------------------------------------------------------------------------


def test_nan_and_infinity_never_reach_pymoo() -> None:
    proposer = EvolutionProposer(toy_space(), seeds=[], population=4, seed=0)
    told = 0
    while told < 30:
        genome = proposer.propose()
        assert genome is not None
        assert toy_space().contains(genome)
        objectives = (float("nan"), float("inf")) if told % 2 else (float(price(genome).size_bytes), 3.0)
        proposer.tell(genome, objectives, float("nan") if told % 5 == 0 else 0.0)
        told += 1
        if proposer.algorithm is not None:
            population = proposer.algorithm.pop
            assert np.isfinite(population.get("F")).all()
            assert np.isfinite(population.get("G")).all()
    assert proposer.algorithm is not None
    assert population.get("F").max() < FAILED  # whatever failed was outlived


def test_evolution_tries_its_seeds_first_and_proposes_nothing_twice() -> None:
    seeds = [toy_space().uniform(f) for f in (0.3, 0.6, 1.0)]
    proposer = EvolutionProposer(toy_space(), seeds=seeds, population=6, seed=1)
    found = []
    for _ in range(60):
        genome = proposer.propose()
        assert genome is not None
        found.append(genome)
        proposer.tell(genome, (float(price(genome).size_bytes), suite.uniform(genome.values)), 0.0)
    assert found[:3] == list(dict.fromkeys(seeds))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("seed", range(3))
def test_evolution_gets_further_than_random_search(seed: int) -> None:
    """An easy problem: small files with all kernels at 3."""

    def objectives(genome: Genome) -> tuple[float, float]:
        values = toy_space().values(genome)
        return float(price(genome).size_bytes), float(sum(v == 1 for k, v in values.items() if k.startswith("kernel")))

    def volume(proposer: Proposer) -> float:
        found = []
        for _ in range(60):
            genome = proposer.propose()
            assert genome is not None
            found.append(objectives(genome))
            proposer.tell(genome, found[-1], 0.0)
        return hypervolume(np.array(found), np.array([6000.0, 6.0]))

    evolution = EvolutionProposer(toy_space(), seeds=[], population=8, seed=seed)
    assert volume(evolution) > volume(RandomProposer(toy_space(), seed=seed))


def test_tpe_learns_also_from_genomes_that_it_did_not_propose_itself() -> None:
    """Genomes are scaled into the band before they are tried, and the ladder is told first."""
    proposer = TpeProposer(toy_space(), seed=0)
    told = toy_space().uniform(0.5)
    proposer.tell(told, (4240.0, 2.0), 0.0)
    done = [trial for trial in proposer.study.get_trials() if trial.values is not None]
    assert [trial.values for trial in done] == [[4240.0, 2.0]]
    numbers = [done[0].params[gene.name] for gene in toy_space().genes]
    assert toy_space().decode(numbers) == told


def one_network() -> SearchSpace:
    """A space whose every gene has one option left."""
    space = toy_space()
    values = zip(space.genes, space.uniform(0.5).values, strict=True)
    return replace(space, genes=tuple(Gene(g.name, g.kind, (value,), g.original) for g, value in values))


@pytest.mark.parametrize(
    "make",
    [
        lambda s: EvolutionProposer(s, seeds=[], seed=0),
        lambda s: GenerationalProposer(s, seeds=[], seed=0),
        lambda s: TpeProposer(s, seed=0),
    ],
)
def test_a_space_of_one_network_is_soon_exhausted(make: object) -> None:
    space = one_network()
    proposer = make(space)  # type: ignore[operator]
    first = proposer.propose()
    assert first == space.uniform(0.5)
    proposer.tell(first, (4240.0, 2.0), 0.0)
    assert proposer.propose() is None


def test_by_generations_nothing_is_proposed_until_all_of_one_are_done() -> None:
    """Generations of six: the seeds and random genomes first; one is skipped, five are told, then six more come."""
    seeds = [toy_space().uniform(f) for f in (0.3, 0.6)]
    proposer = GenerationalProposer(toy_space(), seeds=seeds, population=6, seed=0)
    first = [proposer.propose() for _ in range(7)]
    assert first[:2] == seeds
    assert first[6] is None
    made = [genome for genome in first if genome is not None]
    assert len(set(made)) == 6
    proposer.skip(made[0])
    for genome in made[1:5]:
        proposer.tell(genome, (float(price(genome).size_bytes), 1.0), 0.0)
        assert proposer.propose() is None
    proposer.tell(made[5], (float(price(made[5]).size_bytes), 1.0), 0.0)
    second = [proposer.propose() for _ in range(7)]
    assert second[6] is None
    assert len({*made, *second}) == 6 + 6 + 1


# -- options and objectives -------------------------------------------------------------------------------------------

PLAIN = Options("nsga2-generational", "rung", 2, 0.4, seeded=False, promoted=False, ladder_every=0, refitted=False)


@some_workers
@pytest.mark.parametrize(
    "options",
    [PLAIN, Options(fitness="rung"), Options(promoted=False), Options(ladder_every=0), Options(seeded=False)],
    ids=["plain", "rung", "unpromoted", "no ladder", "unseeded"],
)
def test_what_is_left_out_leaves_a_whole_run(options: Options, workers: int) -> None:
    strategy = build(options.proposer, options=options, plan=replace(PLAN, workers=workers, finishes=4))
    log = drive(strategy, workers=workers)
    found = [job for job in log.jobs if not strategy.candidates[job.genome].is_ladder]
    assert len({job.id for job in log.jobs}) == len(log.jobs)
    assert 0.85 * PLAN.total < strategy.spent <= PLAN.total
    assert sum(job.rung == suite.finish_rung(strategy) for job in log.jobs) == 4
    assert any(job.rung == suite.finish_rung(strategy) for job in found)
    if options.fitness == "rung":
        assert not [job for job in found if job.rung == 0]
    if not options.promoted:
        assert {job.rung for job in found} == {search_rung(options), suite.finish_rung(strategy)}
    if options.ladder_every == 0:  # the first one would be the ladder's
        assert next(job for job in log.jobs if job.rung == suite.finish_rung(strategy)) in found


def test_without_its_share_the_search_leaves_everything_to_the_ladder() -> None:
    options = Options(search_share=0.0)
    strategy = build("nsga2", options=options)
    drive(strategy)
    assert all(c.is_ladder for c in strategy.candidates.values())
    assert strategy.spent > 0.85 * PLAN.total


@every
@pytest.mark.parametrize("resources", [("ram_bytes",), ("latency_ms", "size_bytes", "macs")])
def test_other_objectives_make_whole_runs_too(name: str, resources: tuple[str, ...]) -> None:
    limits = replace(LIMITS, ram_bytes=8000)
    strategy = build(name, limits=limits, resources=resources)
    log = drive(strategy)
    assert all(price(job.genome).ram_bytes <= 8000 for job in log.jobs)
    assert sum(job.rung == suite.finish_rung(strategy) for job in log.jobs) >= 2
    for candidate in strategy.candidates.values():
        assert candidate.size == getattr(candidate.cost, resources[0])
    if name != "ladder":
        assert any(not candidate.is_ladder for candidate in strategy.candidates.values())


def test_a_network_is_ahead_of_the_ladder_if_it_is_so_in_any_resource() -> None:
    """The ladder loses 10 points at 6,000 bytes; a network as large that loses 10 is ahead only if RAM counts too."""
    for resources, ahead in ((("size_bytes",), 0), (("size_bytes", "ram_bytes"), 1)):
        strategy = build("nsga2", resources=resources)
        scout = strategy.known.scouts[0]
        top = len(strategy.plan.rungs)

        def trained(genome: Genome, top: int = top) -> Evaluation:
            return Evaluation(Job.make(genome, top, 10, run_seed=0), price(genome), accuracy=80.0, drop=10.0, kl=0.1)

        scout.evaluations[top] = trained(scout.genome)
        other = strategy.known.candidate(toy_space().sample(rng=np.random.default_rng(0)))
        other.evaluations[top] = trained(other.genome)
        other.resources = (scout.size, *[0.5 * value for value in scout.resources[1:]])
        assert len(strategy.finishes.found_ahead()) == ahead


def test_after_the_smallest_the_next_finish_is_the_one_that_adds_most() -> None:
    """Below 3 points and 6,000 bytes: beside 2,000 bytes at 2.1, 2,100 at 2.0 add 0.2, and 4,000 at 0.7 add 0.8."""
    strategy = build("nsga2")
    top, finish = strategy.known.top, strategy.known.finish

    def told(candidate: Candidate, rung: int, drop: float) -> None:
        job = Job.make(candidate.genome, rung, 10, run_seed=0)
        candidate.evaluations[rung] = Evaluation(job, candidate.cost, accuracy=80.0, drop=drop, kl=0.1)

    scout = strategy.known.scouts[0]
    scout.resources = (6000.0,)
    told(scout, top, 10.0)
    rng, sizes = np.random.default_rng(0), {2000.0: 6.0, 2100.0: 5.7, 4000.0: 2.0}
    for size, drop in sizes.items():
        candidate = strategy.known.candidate(toy_space().sample(rng=rng))
        candidate.resources = (size,)
        told(candidate, top, drop)
    first, *_ = strategy.finishes.found_ahead()
    assert first.size == 2000
    told(first, finish, 2.1)
    assert [c.size for c in strategy.finishes.found_ahead()] == [4000, 2100]


@pytest.mark.parametrize(("left", "finishes"), [(29, 1), (30, 2)])
def test_a_finish_shorter_than_the_rungs_before_it_is_left_out(left: int, finishes: int) -> None:
    """A look is 4 and the rungs are 26 steps, so a finish takes 30 of what a slow machine left after the first one."""
    strategy = build("ladder", plan=replace(PLAN, rungs=(5, 26)))
    asked: list[Job] = []
    while job := strategy.ask():
        asked.append(job)
        if sum(one.rung == 3 for one in asked) == 1:
            strategy.replan(strategy.plan.rescaled(total=strategy.spent + left))
        strategy.tell(suite.evaluate(job))
    assert sum(one.rung == 3 for one in asked) == finishes


def test_the_only_finish_is_done_however_short_it_is() -> None:
    """30 steps pay for three looks of 4, and 18 are left: a look and ten steps, fewer than the rungs have."""
    jobs = drive(build("nsga2", plan=replace(PLAN, total=30.0, rungs=(15, 60)))).jobs
    assert [(job.rung, job.steps) for job in jobs if job.rung] == [(3, 10)]


def test_the_ladders_first_finish_begins_with_the_search_which_does_not_wait_for_it() -> None:
    strategy = build("nsga2", plan=replace(PLAN, workers=2))
    floor: Job | None = None
    later: list[Job] = []
    while job := strategy.ask():
        if job.rung == suite.finish_rung(strategy) and floor is None:
            assert strategy.phase == "search"
            assert strategy.candidates[job.genome].is_ladder
            floor = job  # its worker takes for ever
            continue
        later += [job] if floor else []
        strategy.tell(suite.evaluate(job))
    assert {job.rung for job in later} == {0, 1, 2, 3}
    assert strategy.phase == "done"
    assert list(strategy.in_flight.values()) == [floor]


@pytest.mark.parametrize(("drop", "finishes"), [(8.0, 4), (40.0, 2)])
def test_where_the_ladder_falls_short_found_networks_have_its_turns(drop: float, finishes: int) -> None:
    """A full training leaves a quarter of a drop: 8 points are within the aim of 3, 40 are not; then two waves do."""
    strategy = build("nsga2", limits=TIGHT, resources=("size_bytes", "ram_bytes"))

    def work(job: Job) -> Evaluation:
        found = suite.evaluate(job)
        is_ladder = strategy.candidates[job.genome].is_ladder
        return replace(found, drop=60.0 if is_ladder else drop, kl=2.0) if job.rung in (1, 2) else found

    log = drive(strategy, work=work)
    finished = [job for job in log.jobs if job.rung == suite.finish_rung(strategy)]
    assert len(finished) == finishes
    assert not any(strategy.candidates[job.genome].is_ladder for job in finished)


def test_options_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('proposer = "tpe"\nsearch_share = 0\nrefitted = false\n')
    assert load_options(str(path)) == Options("tpe", search_share=0.0, refitted=False)
    assert load_options("nsga2") == Options()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('proposr = "tpe"', "did you mean 'proposer'"),
        ('proposer = "best"', "proposer must be one of nsga2, nsga2-generational, random, tpe, ladder, got 'best'"),
        ("seeded = 1", "seeded must be of type bool, got 1"),
        ("search_share = 0.9", "search_share must be at most 0.5, got 0.9"),
        ("scouts = -1", "scouts must not be negative, got -1"),
        ("=", "is not valid TOML"),
    ],
)
def test_wrong_options_are_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        load_options(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_strategy_or_file_is_refused() -> None:
    with pytest.raises(InputError, match=r"strategy must be one of nsga2, .* or a \.toml file, got 'best'"):
        load_options("best")
    with pytest.raises(InputError, match=r"nowhere\.toml cannot be read: No such file"):
        load_options("nowhere.toml")


# -- the ladder -------------------------------------------------------------------------------------------------------


def measure(genome: Genome) -> float:
    return float(price(genome).size_bytes)


def test_the_ladder_at_a_size_is_the_widest_uniform_network_within_it() -> None:
    space = toy_space()
    family = [space.uniform(fraction) for fraction in np.linspace(0, 1, 400)]
    for size in (3500.0, 4300.0, 5000.0, 6000.0, 7000.0):
        best = max((g for g in family if measure(g) <= size), key=measure)
        assert measure(ladder.at_size(space, measure, size)) == measure(best)


def test_ladder_rungs_fall_and_are_all_different() -> None:
    found = ladder.rungs(toy_space(), measure, 6000.0, 5, ratio=1.2)
    sizes = [measure(genome) for genome in found]
    assert sizes[0] <= 6000
    assert sizes == sorted(set(sizes), reverse=True)


def test_where_even_the_thinnest_uniform_network_is_too_large_the_cheapest_one_stands_in() -> None:
    """1.7 KB without its removable blocks, 3.1 KB with them: at 2 KB only a shallower network fits."""
    limits = Limits(size_bytes=2000, drop=4.0)
    for name in STRATEGIES:
        strategy = build(name, limits=limits)
        log = drive(strategy)
        assert all(price(job.genome).size_bytes <= 2000 for job in log.jobs)
        assert any(job.rung == suite.finish_rung(strategy) for job in log.jobs)


def test_a_size_below_everything_says_what_is_needed() -> None:
    with pytest.raises(NothingFits, match=r"1,724 bytes.*1,000"):
        ladder.rungs(toy_space(), measure, 1000.0, 3)


def test_other_limits_bound_the_ladder_too() -> None:
    """4,800 bytes of RAM allow the network of 4,784 bytes, not that of 4,944, which the size alone allows."""
    limits = Limits(ram_bytes=4800)
    log = drive(build("ladder", limits=limits))
    assert max(price(job.genome).ram_bytes for job in log.jobs) == 4784
    assert LIMITS.ram_bytes is None


def test_the_search_goes_further_down_while_small_networks_look_as_good_as_the_ladders_answer() -> None:
    """Found networks look alike at all sizes: each niche that is reached opens the next, to the smallest there is."""

    def smallest(kl: float) -> float:
        def work(job: Job) -> Evaluation:
            found = suite.evaluate(job)
            is_found = strategy.search is not None and not strategy.candidates[job.genome].is_ladder
            return replace(found, kl=kl) if is_found and job.rung == 0 else found

        strategy = build("nsga2", plan=replace(PLAN, total=4000.0))
        drive(strategy, work=work)
        assert strategy.search is not None
        return min(c.size for c in strategy.candidates.values() if not c.is_ladder) / strategy.search.band.target

    assert smallest(kl=10.0) >= 1 / NICHE
    assert smallest(kl=0.01) < 1 / NICHE**2


TIGHT = Limits(size_bytes=6500, ram_bytes=4300, drop=4.0)
"""The largest uniform toy within it has 3,120 bytes and needs 4,240 of RAM; the cheapest network needs 2,416."""


def band_of(limits: Limits, drop: float) -> Band:
    """The band after scouts that all came to that drop."""
    known = Known(toy_space(), price, limits, aim=3.0, resources=("size_bytes", "ram_bytes"), top=2, scouts=3)
    for scout in known.scouts:
        job = Job.make(scout.genome, 2, 10, "refit", run_seed=0)
        known.told(Evaluation(job, scout.cost, accuracy=95 - drop, drop=drop, kl=1.0))
    return Band(known)


def test_the_ladder_falls_short_only_where_another_limit_keeps_it_small_and_the_aim_is_out_of_reach() -> None:
    assert [band_of(TIGHT, drop).is_open for drop in (90.0, 1.0)] == [True, False]  # finishes keep a fifth of a drop
    for size in (3200, 1_000_000, None):  # size alone is limited, or nothing is
        assert not band_of(Limits(size_bytes=size, drop=4.0), 90.0).is_open


def test_the_band_opens_downwards_by_an_octave_at_most() -> None:
    """A KL of three quarters of what is enough: three quarters of the size. None at all: half of it."""
    band = band_of(replace(TIGHT, ram_bytes=None), 90.0)
    for size, kl, reached in ((8000, 0.75, 6000), (8000, 0.0, 4000), (6000, 1.0, 4000)):
        band.met(size, kl, 1.0)
        assert band.reached == reached
    band.met(4000, 0.001, 0.05)  # both are too small to tell
    assert band.reached == 4000


def test_where_prices_are_slow_nothing_is_widened() -> None:
    band = band_of(TIGHT, 90.0)
    band.known.is_quick = False
    widest = max((price(seed).size_bytes for seed in band.seeds()), default=0)
    assert widest < 1.2 * 3120


def test_where_the_ladder_falls_short_the_band_is_open_and_seeds_are_as_wide_as_limits_let_them_be() -> None:
    band = band_of(TIGHT, 90.0)
    assert band.ends == (3120 / NICHE, 6488)  # the original's size
    seeds = band.seeds()
    assert all(band.known.measure(seed) <= 6500 for seed in seeds)
    depths = [[v for g, v in zip(toy_space().genes, seed.values, strict=True) if g.kind == "depth"] for seed in seeds]
    assert [0, 0, 0] in depths
    assert max(price(seed).size_bytes for seed in seeds) > 1.2 * 3120
    for seed in seeds[:4]:  # the ladder's, and those with one, two and three blocks left out
        assert band.filled(seed, 6500.0) == seed


def test_a_network_grows_to_the_size_asked_for_and_hardly_beyond() -> None:
    band = band_of(replace(TIGHT, ram_bytes=None), 1.0)
    grown = price(band.filled(toy_space().uniform(0.0), 4500.0)).size_bytes
    assert 4500 <= grown < 4500 * NICHE


@pytest.mark.parametrize("size", [6500, None])
def test_a_genome_that_breaks_a_limit_is_moved_into_the_band_where_other_widths_can_grow(size: int | None) -> None:
    """Every random genome ends within the limits and the band, or nowhere; the original's 6,488 bytes end it too."""
    band, rng = band_of(replace(TIGHT, size_bytes=size), 90.0), np.random.default_rng(0)
    moved = [band.moved(toy_space().sample(rng=rng)) for _ in range(100)]
    low, high = band.ends
    assert sum(one is not None for one in moved) > 60
    assert all(low <= band.known.measure(one) <= high for one in moved if one)
