"""Optuna's multi-objective TPE over the same genes, behind the same plug."""

from __future__ import annotations

import optuna

from nas.strategies.proposers import FAILED
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace

TRIES = 20


class TpeProposer:
    """Tree-structured Parzen estimator (Optuna's `TPESampler`), constrained by the violation it is told."""

    def __init__(self, space: SearchSpace, *, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = space
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=12, constraints_func=_violation)
        self.study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        self.open: dict[Genome, optuna.trial.Trial] = {}
        self.seen: set[Genome] = set()

    def propose(self) -> Genome | None:
        for _ in range(TRIES):
            trial = self.study.ask()
            genes = self.space.genes
            picked = [trial.suggest_int(gene.name, 0, len(gene.options) - 1) for gene in genes]
            genome = self.space.decode(picked)
            if genome in self.seen:
                trial.set_user_attr("violation", 1.0)
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            self.seen.add(genome)
            self.open[genome] = trial
            return genome
        return None

    def tell(self, genome: Genome, objectives: tuple[float, float], violation: float) -> None:
        trial = self.open.pop(genome, None)
        if trial is None:
            self.seen.add(genome)
            return
        trial.set_user_attr("violation", violation)
        self.study.tell(trial, [min(value, FAILED) if value == value else FAILED for value in objectives])


def _violation(trial: optuna.trial.FrozenTrial) -> tuple[float]:
    return (float(trial.user_attrs.get("violation", 0.0)),)
