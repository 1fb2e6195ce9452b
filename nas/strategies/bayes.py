"""Optuna's multi-objective TPE over the same genes, behind the same plug."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import isfinite

import optuna

from nas.strategies.proposers import FAILED
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace

TRIES = 20


class TpeProposer:
    """Tree-structured Parzen estimator (Optuna's `TPESampler`), constrained by the violation it is told.

    Args:
        seeds: genomes to propose first.
        objectives: how many are told.
    """

    def __init__(self, space: SearchSpace, *, seeds: Sequence[Genome] = (), seed: int, objectives: int = 2) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self.seeds = space, list(seeds)
        with warnings.catch_warnings():
            # Optuna 5 would have `Trial.set_constraint` instead, which Optuna 4 does not know.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # All genes drawn together: trials are sorted once a proposal, not once a gene.
            sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=12, multivariate=True, constraints_func=_violation
            )
        self.study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
        self.open: dict[Genome, optuna.trial.Trial] = {}
        self.seen: set[Genome] = set()

    def propose(self) -> Genome | None:
        for _ in range(TRIES):
            trial, genome = self._asked(self.seeds.pop(0) if self.seeds else None)
            if genome in self.seen:
                trial.set_user_attr("violation", 1.0)
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            self.seen.add(genome)
            self.open[genome] = trial
            return genome
        return None

    def tell(self, genome: Genome, objectives: tuple[float, ...], violation: float) -> None:
        trial = self.open.pop(genome, None)
        if trial is None:  # the ladder, or a proposal that was scaled before it was tried
            self.seen.add(genome)
            trial, _ = self._asked(genome)
        trial.set_user_attr("violation", violation if isfinite(violation) else FAILED)
        self.study.tell(trial, [value if isfinite(value) else FAILED for value in objectives])

    def skip(self, genome: Genome) -> None:
        self.study.tell(self.open.pop(genome), state=optuna.trial.TrialState.FAIL)

    def _asked(self, genome: Genome | None) -> tuple[optuna.trial.Trial, Genome]:
        """A trial of that genome, or of one that Optuna chooses, and its genome."""
        if genome is not None:
            numbers = self.space.encode(genome).tolist()
            names = [gene.name for gene in self.space.genes]
            self.study.enqueue_trial(dict(zip(names, numbers, strict=True)))
        trial = self.study.ask()
        numbers = [trial.suggest_int(gene.name, 0, len(gene.options) - 1) for gene in self.space.genes]
        return trial, self.space.decode(numbers)


def _violation(trial: optuna.trial.FrozenTrial) -> tuple[float]:
    return (float(trial.user_attrs.get("violation", 0.0)),)
