"""From a strategy's name to the strategy: the same stages, another proposer."""

from __future__ import annotations

from collections.abc import Callable

from nas import schedule
from nas.config import RunConfig
from nas.inputs import Inputs
from nas.plan import Plan
from nas.strategies.proposers import Proposer, RandomProposer
from nas.strategies.staged import Staged
from search_spaces.genes import Genome
from targets.cost import Cost

NO_LIMIT_DROP = 2.0
"""Drop in points to aim at where the user set no limit."""


def build_strategy(config: RunConfig, inputs: Inputs, plan: Plan, price: Callable[[Genome], Cost]) -> Staged:
    """The strategy that `config.strategy` names, at its very beginning."""
    limit = inputs.limits.drop if inputs.limits.drop is not None else NO_LIMIT_DROP
    aim = schedule.aim_for(limit, len(inputs.data.y_final))
    make = {"nsga2": _evolution, "random": _random, "tpe": _tpe, "ladder": None}[config.strategy]
    proposer = None if make is None else lambda seeds: make(inputs, seeds, config.seed)
    return Staged(inputs.space, price, inputs.limits, plan, aim=aim, seed=config.seed, make_proposer=proposer)


def _evolution(inputs: Inputs, seeds: list[Genome], seed: int) -> Proposer:
    from nas.strategies.evolution import EvolutionProposer  # imports pymoo

    return EvolutionProposer(inputs.space, seeds=seeds, seed=seed)


def _random(inputs: Inputs, seeds: list[Genome], seed: int) -> Proposer:
    return RandomProposer(inputs.space, seed=seed)


def _tpe(inputs: Inputs, seeds: list[Genome], seed: int) -> Proposer:
    from nas.strategies.bayes import TpeProposer  # imports optuna

    return TpeProposer(inputs.space, seed=seed)
