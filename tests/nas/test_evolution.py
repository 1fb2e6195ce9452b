"""Breeding: every gene is mutated about as often as any other, and what breeds only repeats is begun anew."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from nas.strategies.evolution import REDRAWN, EvolutionProposer, GenerationalProposer, Moves
from search_spaces.genes import Gene, Genome
from search_spaces.space import SearchSpace
from search_spaces.variation import mutated_values
from tests.strategy_suite import price, toy_space


def test_a_gene_of_few_options_changes_as_well_as_one_of_many_moves() -> None:
    """Three genes of two options share a quarter of the offspring: 1/12 each; those of eight move by little."""
    options = [2, 2, 2, 8, 8, 8]
    problem = Problem(n_var=6, n_obj=2, n_ieq_constr=1, xl=np.zeros(6, int), xu=np.array(options) - 1, vtype=int)
    start = np.array([1, 0, 1, 4, 0, 7])
    parents = Population.new(X=np.tile(start, (4000, 1)))
    offspring = Moves(options)(problem, parents, random_state=np.random.default_rng(0)).get("X")
    rates = (offspring != start).mean(axis=0)
    assert np.abs(rates[:3] - REDRAWN / 3).max() < 0.02
    assert (rates[3:] > 0.1).all()
    steps = np.abs(offspring[:, 3] - 4)
    assert (steps[steps > 0] <= 2).mean() > 0.8
    assert ((offspring >= 0) & (offspring < options)).all()


@pytest.mark.parametrize("place", [0, 20, 39])
@pytest.mark.parametrize("kind", ["width", "rank"])
def test_a_gene_of_many_options_takes_small_steps_wherever_it_stands(kind: str, place: int) -> None:
    """Geometric with mean 3: 1 - (2/3)^3 = 70 % of the steps are of at most three options."""
    many = Gene("many", kind, tuple(range(4, 164, 4)), 164)  # type: ignore[arg-type]
    few = Gene("few", "bits", (4, 8), 8)
    rng = np.random.default_rng(0)
    start = (many.options[place], 8)
    found = np.array([mutated_values([many, few], start, [0, 1], rng=rng) for _ in range(2000)])
    steps = np.abs(found[:, 0] - start[0]) // 4
    assert 0.65 < (steps[steps > 0] <= 3).mean() < 0.75
    assert abs((steps > 0).mean() - (found[:, 1] != 8).mean()) < 0.05


def small_space() -> tuple[SearchSpace, set[Genome]]:
    """Five genes of the toy space are left, and all networks of theirs."""
    left = {"width:pw1", "width:pw3", "depth:pw2", "kernel:dw1", "kernel:dw2"}
    whole = toy_space()
    genes = tuple(gene if gene.name in left else replace(gene, options=(gene.original,)) for gene in whole.genes)
    space = replace(whole, genes=genes)
    return space, {space.decode(k) for k in product(*(range(len(gene.options)) for gene in genes))}


@pytest.mark.parametrize("made", [EvolutionProposer, GenerationalProposer])
def test_a_settled_population_gives_way_to_another_until_the_space_is_used_up(
    made: type[EvolutionProposer], monkeypatch: pytest.MonkeyPatch
) -> None:
    space, networks = small_space()

    def found() -> list[Genome]:
        proposer = made(space, seeds=[], population=6, seed=2)
        proposed = []
        while (genome := proposer.propose()) is not None:
            proposed.append(genome)
            proposer.tell(genome, (float(price(genome).size_bytes), float(price(genome).macs)), 0.0)
        return proposed

    proposed = found()
    assert len(set(proposed)) == len(proposed)
    assert 0.95 * len(networks) < len(proposed) <= len(networks)
    monkeypatch.setattr(made, "_restart", lambda self: None)
    assert len(found()) < 0.8 * len(networks)


def test_a_new_population_is_half_front_and_half_fresh() -> None:
    """Ten told, of which five are on the front: four of these stay beside four fresh ones."""
    space = toy_space()
    proposer = EvolutionProposer(space, seeds=[], population=8, seed=0)
    rng = np.random.default_rng(0)
    told = list(dict.fromkeys(space.sample(rng=rng) for _ in range(12)))[:10]
    for k, genome in enumerate(told):
        proposer.tell(genome, (float(k), 10.0 - k) if k < 5 else (20.0 + k, 20.0), 0.0)
    proposer._restart()
    assert {tuple(one.X) for one in proposer.told} <= {tuple(space.encode(genome)) for genome in told[:5]}
    fresh = [proposer.propose() for _ in range(4)]
    assert len(proposer.told) == len(set(fresh) - set(told)) == 4
    for genome in fresh:
        assert genome is not None
        proposer.tell(genome, (1.0, 1.0), 0.0)
    assert proposer.algorithm is not None
    assert len(proposer.algorithm.pop) == 8
