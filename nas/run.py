"""A run from a config to a front: reads, measures the original, plans, searches, judges, reports."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nas import atomic, baseline, finale, inputs, manifest, material, proxy, repeats, study, timing
from nas.artefacts import RunFolder
from nas.closing import Clock, Searched, close, finale_seconds, score
from nas.config import CONFIG_FILE, RunConfig
from nas.data.augment import augment
from nas.data.scratch import Scratch
from nas.evaluate import Setup, builder
from nas.inputs import Inputs
from nas.ledger import LEDGER_FILE, Entry, Ledger
from nas.material import Original
from nas.pacing import Pacer
from nas.plan import Plan, seconds_plan, step_plan
from nas.progress import Progress, Snapshot
from nas.ray_pool import Cluster, RayPool
from nas.result import Front
from nas.strategies.build import build_strategy
from nas.strategies.candidate import Candidate
from nas.strategies.staged import Staged
from nas.study import Event
from nas.training import accelerator
from nas.training.accelerator import Accelerator
from nas.training.distill import Recipe
from nas.tuning import Tuned
from nas.workers import Serial, Workers
from search_spaces.errors import RunFolderError
from targets.cost import Cost, estimate

if TYPE_CHECKING:
    from torch import nn

VIEWS_SHARE = 0.07
"""Share of a budget in seconds that the original's logits on augmented views may cost.

Few views, since small students learn more from the pictures as they are (`experiments/recipe`): two minutes of the
quickstart buy one view, which is the pictures themselves, ten minutes two (18 seconds each).
"""

EPOCHS_A_VIEW = 8
"""Under a budget in steps there is a view for so many epochs of a tenth of them, about what a finish gets."""

MOST_VIEWS = 4
"""After 100 epochs four views were no better than two (one seed); more were not tried."""


def optimize(
    config: RunConfig,
    *,
    quiet: bool = False,
    data: Mapping[str, Any] | None = None,
    module: nn.Module | None = None,
) -> Front:
    """Does the whole run and leaves its folder behind.

    Args:
        config: resolved.
        quiet: show no progress.
        data, module: given in Python instead of by name, see `inputs.read`.

    Raises:
        InputError: before anything is trained; the folder then holds nothing new.
        NothingFits: no network of the space meets the limits.
        Interrupted: Ctrl-C; the ledger is kept.
    """
    clock = Clock()
    train_on = accelerator.find(config.device)
    path = config.folder / LEDGER_FILE
    if config.resume and not path.exists():
        raise RunFolderError(f"there is no run to go on with in {config.folder}; leave --resume out to start one")
    title = f"{config.max_size or 'no size limit'}, {config.max_drop or 'no drop limit'}, {config.target}"
    with Progress(title, quiet=quiet) as view, Scratch(config.folder) as scratch:
        view.phase("reading model and data")
        found = inputs.read(config, data=data, module=module, scratch=scratch, told=view.phase)
        folder = RunFolder(config.folder)
        facts = {"objectives": list(config.parsed_objectives)}
        cluster, gpus = None, accelerator.gpus() if train_on else 0
        try:
            if config.address:  # joining takes a second; who cannot join is to be told before anything is written
                cluster = Cluster(config.workers, config.address, gpus=gpus)
                cluster.ready()
            with Ledger.open(path, found.fingerprint, facts=facts, resume=config.resume) as ledger:
                clock.seen = len(ledger.evaluations)
                scratch.sweep()
                found.keep()
                atomic.write_text(folder.root / CONFIG_FILE, config.to_toml())
                manifest.write_environment(folder, accelerator.title(train_on))
                if cluster is None and config.workers > 1:  # starts in the background
                    cluster = Cluster(config.workers, gpus=gpus)
                return _Run(config, found, folder, ledger, view, clock, cluster, train_on).go()
        finally:
            if cluster is not None:
                cluster.close()


@dataclass
class _Run:
    """One run's moving parts; `go` calls the steps in order."""

    config: RunConfig
    inputs: Inputs
    folder: RunFolder
    ledger: Ledger
    view: Progress
    clock: Clock
    cluster: Cluster | None
    train_on: str | None

    def go(self) -> Front:
        self.view.phase("measuring the original")
        started = time.time()
        session = self.inputs.session(threads=os.cpu_count() or 1)
        base = baseline.measure(session, self.inputs.data, seed=self.config.seed)
        original: Original = session
        if self._on is not None:
            original = self._on.original(self.inputs.graph, self.inputs.weights, self.inputs.data.task)
        views = self._view_count(original)
        arrays = material.gather(self.inputs, original, base, views=views, seed=self.config.seed, told=self.view.phase)
        self.clock.arithmetic += (time.time() - started) * self.config.workers
        started = time.time()
        tuned = proxy.tuned(
            self.config,
            self.inputs,
            arrays,
            self.ledger,
            self._deadline(),
            train_on=self.train_on,
            told=self.view.phase,
        )
        self.clock.arithmetic += time.time() - started  # on one thread
        self.view.phase("timing training steps")
        plan = self._plan(tuned)
        prices = self.inputs.prices(self.config.runtime, self.folder.told)
        strategy = build_strategy(self.config, self.inputs, plan, prices.price)
        end = self._deadline()
        # Under a budget in seconds the reserve is in worker seconds; one in steps has no deadline to bring forward.
        deadline = max(end - plan.reserved / self.config.workers, self.clock.start + 1.0)
        workers = self._workers(self._setup(plan, tuned.recipe, deadline), arrays)
        loop_start = time.time()
        try:
            self._search(strategy, workers, deadline)
            found = Searched(
                self.config, self.inputs, self.folder, self.ledger, self.view, self.clock, strategy, base, session,
                self._original, time.time() - loop_start,
            )  # fmt: skip
            scored = repeats.train(found, score(found), workers, until=end)
        finally:
            workers.close()
        return close(found, scored)

    @cached_property
    def _on(self) -> Accelerator | None:
        """This process's device, for the original's answers and for timing."""
        return None if self.train_on is None else Accelerator(self.train_on)

    # -- before the loop ----------------------------------------------------------------------------------------

    def _view_count(self, original: Original) -> int:
        """How many augmented views the budget pays for; written to the ledger, since it decides the result."""
        for entry in self.ledger.entries:
            if entry["entry"] == "views":
                return int(entry["count"])
        budget = self.config.parsed_budget
        if self.inputs.augment == "none":
            count = 1
        elif budget.seconds is None:
            assert budget.steps is not None
            epochs = budget.steps / 10 * Recipe().batch / len(self.inputs.data.x_train)
            count = int(np.clip(epochs / EPOCHS_A_VIEW, 1, MOST_VIEWS))
        else:
            x = self.inputs.data.x_train[:1000]
            original.logits(x)
            started = time.time()
            original.logits(augment(x, seed=self.config.seed, view=1, preset=self.inputs.augment))
            per_view = (time.time() - started) * len(self.inputs.data.x_train) / len(x)
            count = int(np.clip(budget.seconds * VIEWS_SHARE / max(per_view, 1e-6), 1, MOST_VIEWS))
        self.ledger.append("views", {"count": count})
        return count

    def _plan(self, tuned: Tuned) -> Plan:
        """The run's first plan: from the ledger, from what tuning left of the step budget, or from timed steps."""
        for entry in self.ledger.entries:
            if entry["entry"] == "plan":
                return plan_of(entry)
        budget = self.config.parsed_budget
        if budget.steps is not None:
            made = step_plan(budget.steps - tuned.steps, self.config.workers)
        else:
            prices, look, shortest = timing.measure(self.inputs, seed=self.config.seed, on=self._on)
            left = max(1.0, self._deadline() - time.time() - (6.0 if self.cluster else 0.0))
            worker_seconds = left * self.config.workers * 0.97
            made = seconds_plan(worker_seconds, self.config.workers, look, prices, shortest=shortest)
        plan = repeats.reserving(self.config.options.planned(made), self.config.final_seeds)
        self.ledger.append("plan", plan.to_json())
        return plan

    def _deadline(self) -> float:
        """`time.time()` at which the last job should be done; infinity under a step budget."""
        seconds = self.config.parsed_budget.seconds
        if seconds is None:
            return float("inf")
        used, workers = 0.0, self.config.workers  # a part of the run may have had other workers
        for entry in self.ledger.entries:
            if entry["entry"] == "loop":
                workers = entry["workers"]
            elif entry["entry"] == "evaluation":
                used += sum(entry["seconds"].values()) / workers
        return self.clock.start + max(seconds - finale_seconds(seconds) - 2.0 - used, 1.0)

    def _setup(self, plan: Plan, recipe: Recipe, deadline: float) -> Setup:
        found = self.inputs
        return Setup(
            found.space,
            found.device,
            self.config.runtime,
            found.limits,
            found.data.task,
            recipe,
            plan.rungs,
            RunFolder(self.folder.root.resolve()),
            None if deadline == float("inf") else deadline,
            found.augment,
            self.config.seed,
            self.config.options.refitted,
            self.train_on,
        )

    def _workers(self, setup: Setup, arrays: dict[str, np.ndarray]) -> Workers:
        if self.cluster is None:
            return Serial(builder(setup), arrays)
        self.view.phase(f"starting {self.config.workers} workers")
        return RayPool(builder(setup), arrays, count=self.config.workers, cluster=self.cluster)

    # -- the loop -----------------------------------------------------------------------------------------------

    def _search(self, strategy: Staged, workers: Workers, deadline: float) -> None:
        record: Callable[[Plan], None] = lambda plan: self.ledger.append("plan", plan.to_json())  # noqa: E731
        first = True

        def on_plan(entry: Entry) -> None:
            nonlocal first
            if not first:  # the first one built the strategy
                strategy.replan(plan_of(entry))
            first = False

        entries = repeats.searched(self.ledger.entries)
        lost = study.replay(strategy, entries, on_plan=on_plan)
        if len(entries) < len(self.ledger.entries):
            return  # the search had ended
        pacer = Pacer(strategy, deadline, record, workers=workers.count)

        def on_event(event: Event) -> None:
            if event.kind == "evaluated" and event.evaluation is not None:
                pacer.after(event.evaluation)
            self._show(strategy, deadline)

        study.run(strategy, workers, self.ledger, deadline=lambda: time.time() > deadline, on_event=on_event, lost=lost)

    def _show(self, strategy: Staged, deadline: float) -> None:
        """Where the search stands, for the live view; judged on search_val."""
        limits = self.inputs.limits
        trained = [c for c in strategy.candidates.values() if c.trained_rung]
        best: Candidate | None = None
        best_drop = None
        points = []
        for candidate in trained:
            drop = candidate.evaluations[candidate.trained_rung].drop
            assert drop is not None
            if limits.drop is None or drop <= limits.drop:
                points.append((candidate.cost, drop))
                if best is None or candidate.size < best.size:
                    best, best_drop = candidate, drop
        self.view.update(
            Snapshot(
                phase=strategy.phase,
                evaluations=sum(len(c.evaluations) for c in strategy.candidates.values()),
                under_way=len(strategy.in_flight),
                best_size_bytes=None if best is None else best.cost.size_bytes,
                best_drop=best_drop,
                hypervolume=self._hypervolume(points) if points else None,
                share=strategy.spent / strategy.plan.total,
                seconds_left=None if deadline == float("inf") else max(0.0, deadline - time.time()),
            )
        )

    @cached_property
    def _original(self) -> Cost:
        """What the original would cost as int8."""
        return estimate(self.inputs.graph, self.inputs.device, self.config.runtime)

    def _hypervolume(self, found: list[tuple[Cost, float]]) -> float:
        return finale.hypervolume(found, self.inputs.limits, self._original, self.config.parsed_objectives)


def plan_of(entry: Entry) -> Plan:
    """The plan that a ledger entry holds."""
    return Plan.from_json({name: value for name, value in entry.items() if name != "entry"})
