"""From a finished search to a finished folder: scores, judges, verifies, reports."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace

import numpy as np

from nas import audit, baseline, finale, judge, maker, manifest, proxy
from nas.artefacts import RunFolder
from nas.config import RunConfig
from nas.evaluation import Evaluation, Job
from nas.inputs import Inputs
from nas.judge import Judge
from nas.ledger import Ledger
from nas.objectives import resources
from nas.prices import told_by
from nas.progress import Progress
from nas.report import page
from nas.result import Front, Original, Point, RunResult
from nas.runtime import Session
from nas.strategies.staged import Staged
from nas.verify import prove
from nas.version import VERSION
from search_spaces.genes import Genome
from targets.cost import CallBill, Cost, bill

RESUMED = "The run was resumed: its seconds are those of the last part."

FINALE_SHARE = 0.04
"""Share of a budget in seconds that is kept for scoring, judging and the report."""

FINALE_SECONDS = 22.0
"""At least so many, since the original has to answer the test images however short a run is."""

FINALE_MOST = 0.2
"""But no larger share than this."""


def finale_seconds(budget: float) -> float:
    """What is kept of so many seconds for the end of a run."""
    return min(max(FINALE_SHARE * budget, FINALE_SECONDS), FINALE_MOST * budget)


@dataclass
class Clock:
    """Seconds of this process: of a run that was resumed, those of its last part.

    Attributes:
        start: `time.time()` at which it began.
        arithmetic: worker seconds of the driver's own arithmetic.
        seen: evaluations that earlier parts left in the ledger.
    """

    start: float = field(default_factory=time.time)
    arithmetic: float = 0.0
    seen: int = 0

    @property
    def elapsed(self) -> float:
        return time.time() - self.start


@dataclass(frozen=True)
class Searched:
    """What a search leaves behind.

    Attributes:
        strategy: as it stands at the end; the candidates of its ladder are known by it.
        base: the original's answers and accuracies.
        session: the original, to answer the test images.
        original: what the original would cost as int8.
        search_seconds: of the loop.
    """

    config: RunConfig
    inputs: Inputs
    folder: RunFolder
    ledger: Ledger
    view: Progress
    clock: Clock
    strategy: Staged
    base: baseline.Baseline
    session: Session
    original: Cost
    search_seconds: float

    @property
    def resource(self) -> str:
        """The first of the objectives that is no drop."""
        return resources(self.config.parsed_objectives)[0]

    def hypervolume(self, found: list[tuple[Cost, float]]) -> float:
        """Of costs with their drops, in the run's objectives."""
        return finale.hypervolume(found, self.inputs.limits, self.original, self.config.parsed_objectives)


@dataclass(frozen=True)
class Scored:
    """What final_val says of a search's exported files.

    Attributes:
        evaluations: of the search; trainings with other seeds are none of it.
        ladder: the genomes of uniform width.
        final: who judges on final_val.
        points: the scored networks, the front marked.
        answered: by point id, what its file answered.
        jobs: by point id, the last job of its training.
        chosen: one of the points.
    """

    evaluations: list[Evaluation]
    ladder: set[Genome]
    final: Judge
    points: list[Point]
    answered: dict[str, np.ndarray]
    jobs: dict[str, Job]
    chosen: Point | None


def score(run: Searched) -> Scored:
    """Scores the exported files on final_val, marks the front and chooses."""
    run.view.phase("scoring the exported files on images the search never saw")
    found, strategy, names = run.inputs, run.strategy, run.config.parsed_objectives
    started = time.time()
    evaluations = [e for e in run.ledger.evaluations if not e.job.repeat]
    ladder = {c.genome for c in strategy.candidates.values() if c.is_ladder}
    finish_rung = len(strategy.plan.rungs) + 1
    candidates = finale.contenders(evaluations, finish_rung, names)
    final = Judge(found.data.task, found.data.x_final, found.data.y_final, run.base.logits["final_val"])
    points, answered = finale.score(
        candidates, found.space, final, found.limits, run.folder, ladder, finale.trained_steps(evaluations),
        threads=os.cpu_count() or 1, until=_scoring_deadline(run), finish_rung=finish_rung,
    )  # fmt: skip
    points = finale.mark_front(points, names)
    jobs = {e.job.genome.key: e.job for e in candidates}
    run.clock.arithmetic += (time.time() - started) * run.config.workers
    return Scored(evaluations, ladder, final, points, answered, jobs, judge.choose(points, run.resource))


def close(run: Searched, scored: Scored) -> Front:
    """Scores on the test images, verifies and reports; the run's folder is then complete."""
    config, found, strategy, base = run.config, run.inputs, run.strategy, run.base
    data, limits = found.data, found.limits
    started = time.time()
    threads = os.cpu_count() or 1
    points, chosen, jobs, final = scored.points, scored.chosen, scored.jobs, scored.final
    top = len(strategy.plan.rungs)
    doubts = audit.audit(
        points, scored.answered, final, finale.archive(scored.evaluations, scored.ladder), finish_rung=top + 1,
        volume=run.hypervolume, limits=limits, resource=run.resource, seed=config.seed,
    )  # fmt: skip
    # The chosen one is usually on the front; a proven model may be beaten there by one that is only likely.
    shown = [p for p in points if p.on_front or (chosen and p.id == chosen.id) or jobs[p.id].rung > top]
    run.view.phase("scoring the front on the test images, once")
    test = Judge(data.task, data.x_test, data.y_test, run.session.logits(data.x_test))
    reference = finale.affordable(shown, len(data.x_test))
    shown = finale.score_test(shown, jobs, found.space, test, run.folder, threads=threads, reference=reference)
    for point in shown:
        finale.publish(point, jobs[point.id].id, run.folder, jobs[point.id].genome)
    run.view.phase("running the chosen model in every runtime that is installed")
    notes = prove.chosen(shown, chosen, found, run.folder.root, seed=config.seed)
    if not reference:
        notes.append(finale.BUILTIN_NOTE)
    original = baseline.original(found, base, {"final_val": final, "test": test}, run.original)
    run.clock.arithmetic += (time.time() - started) * config.workers
    result = _result(run, shown, scored, original, notes)
    result = replace(result, audit=doubts)
    run.view.phase("writing the report")
    page.write_run(result, run.folder.root)
    manifest.write(run.folder, found, result)
    run.ledger.append("final", {"chosen": result.chosen, "front": [p.id for p in result.front]})
    return Front(run.folder.root, result)


def _scoring_deadline(run: Searched) -> float | None:
    """`time.time()` from which on only finishes are scored; None under a step budget."""
    seconds = run.config.parsed_budget.seconds
    return None if seconds is None else run.clock.start + seconds - finale_seconds(seconds) / 2


def _result(
    run: Searched,
    points: list[Point],
    scored: Scored,
    original: Original,
    notes: list[str],
) -> RunResult:
    config, found, chosen = run.config, run.inputs, scored.chosen
    train, quantize, other = finale.phase_seconds(run.ledger.evaluations[run.clock.seen :])
    wall = run.clock.elapsed
    arithmetic = train + quantize + other + run.clock.arithmetic
    capacity = wall * config.workers
    picked = next((p for p in points if chosen is not None and p.id == chosen.id), None)
    lines: tuple[CallBill, ...] = ()
    if picked is not None:
        lines = bill(found.space.apply(found.space.genome(picked.values)), found.device, config.runtime)
    return RunResult(
        original=original,
        data_name=found.data.name,
        task=found.data.task.name,
        metric=found.data.task.metric.name,
        outputs=found.data.task.counted(found.data.outputs),
        splits=found.data.sizes,
        target=found.device.name,
        compiler_level=found.device.compiler_level,
        latency_band_percent=found.device.latency_band_percent,
        energy_band_percent=found.device.energy_band_percent,
        energy_band_factor=found.device.energy_band_factor,
        runtime=config.runtime,
        told_by=told_by(found.limits, found.device),
        limits=found.limits,
        points=tuple(points),
        chosen=picked.id if picked else None,
        archive=finale.archive(scored.evaluations, scored.ladder),
        bill=lines,
        hypervolume=run.hypervolume([(p.cost, p.val_drop) for p in points if p.within_limits]),
        binding=finale.binding_sentence(picked, points, found.limits, scored.evaluations),
        seconds={
            "total": wall,
            "search": run.search_seconds,
            "train": train,
            "quantize": quantize,
            "overhead": max(0.0, capacity - arithmetic) / config.workers,
        },
        overhead_share=max(0.0, 1 - arithmetic / capacity),
        plan=run.strategy.plan.to_json(),
        strategy=config.strategy,
        seed=config.seed,
        version=VERSION,
        notes=(
            *found.notes,
            *baseline.doubts(original.accuracy, found.data.task, found.data.outputs),
            *maker.notes(found.device, None if picked is None else run.folder.models / picked.id),
            *proxy.notes(run.ledger.entries),
            *([RESUMED] if run.clock.seen else []),
            *notes,
        ),
        objectives=config.parsed_objectives,
    )
