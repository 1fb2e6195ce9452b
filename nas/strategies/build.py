"""From a strategy's name to the strategy: the same stages, another proposer."""

from __future__ import annotations

from collections.abc import Callable

from nas import schedule
from nas.config import RunConfig
from nas.inputs import Inputs
from nas.objectives import resources
from nas.plan import Plan
from nas.prices import asks_maker
from nas.strategies.options import Proposing
from nas.strategies.proposers import Proposer, RandomProposer
from nas.strategies.staged import Staged
from nas.strategies.surrogate import Screened
from search_spaces.genes import Genome
from search_spaces.space import SearchSpace
from targets.cost import Cost

NO_LIMIT_DROP = 2.0
"""Drop in points to aim at where the user set no limit."""


def build_strategy(config: RunConfig, inputs: Inputs, plan: Plan, price: Callable[[Genome], Cost]) -> Staged:
    """The strategy that `config.strategy` names, at its very beginning."""
    limit = inputs.limits.drop if inputs.limits.drop is not None else NO_LIMIT_DROP
    aim = schedule.aim_for(limit, len(inputs.data.y_final))
    options, names = config.options, resources(config.parsed_objectives)
    make = proposers(options.proposer, inputs.space, objectives=len(names) + 1, seed=config.seed)
    if make is not None and options.screened and options.proposer == "nsga2":
        make = screened(make, inputs.space, price, names)
    return Staged(
        inputs.space, price, inputs.limits, plan,
        aim=aim, seed=config.seed, resources=names, options=options, make_proposer=make,
        is_quick=not asks_maker(inputs.limits, inputs.device),
    )  # fmt: skip


def proposers(
    name: Proposing, space: SearchSpace, *, objectives: int, seed: int
) -> Callable[[list[Genome]], Proposer] | None:
    """From the seeds to try first to a proposer; None for the ladder, which needs none."""
    if name == "random":
        return lambda seeds: RandomProposer(space, seeds=seeds, seed=seed)
    if name == "tpe":
        from nas.strategies.bayes import TpeProposer  # imports optuna

        return lambda seeds: TpeProposer(space, seeds=seeds, seed=seed, objectives=objectives)
    if name == "ladder":
        return None
    from nas.strategies.evolution import EvolutionProposer, GenerationalProposer  # imports pymoo

    made = GenerationalProposer if name == "nsga2-generational" else EvolutionProposer
    return lambda seeds: made(space, seeds=seeds, seed=seed)


def screened(
    make: Callable[[list[Genome]], Proposer],
    space: SearchSpace,
    price: Callable[[Genome], Cost],
    resources: tuple[str, ...],
) -> Callable[[list[Genome]], Proposer]:
    """The same with what it proposes after its seeds screened."""
    return lambda seeds: Screened(make(seeds), space, price, unscreened=len(seeds), resources=resources)
