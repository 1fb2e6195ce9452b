"""The guess of a look: leaving one out is exact, and it is asked only where it knows more than the size."""

from __future__ import annotations

import numpy as np
import pytest

from nas.strategies import surrogate
from nas.strategies.surrogate import LEAST, OFFSPRING, Ridge, Screened
from search_spaces.genes import Genome
from tests.strategy_suite import build, drive, price, toy_space, uniform


def test_leaving_one_out_is_what_a_fit_without_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """With next to no penalty the features' scale does not matter, so the fit without a row can be made by itself."""
    monkeypatch.setattr(surrogate, "STRENGTHS", (1e-9,))
    rng = np.random.default_rng(0)
    rows, targets = rng.standard_normal((12, 3)), rng.standard_normal(12)
    left_out = Ridge(rows, targets).left_out
    for k in range(12):
        others = np.arange(12) != k
        assert Ridge(rows[others], targets[others])(rows[k : k + 1])[0] == pytest.approx(left_out[k], abs=1e-5)


def test_a_feature_that_never_varies_says_nothing() -> None:
    """y = 2x + 1, beside a column of fives."""
    x = np.arange(8.0)
    model = Ridge(np.column_stack([x, np.full(8, 5.0)]), 2 * x + 1)
    assert model(np.array([[3.0, 9.0]]))[0] == pytest.approx(7, abs=0.05)


class Listed:
    """Random genomes, and a record of what became of them."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.told, self.skipped = list[Genome](), list[Genome]()

    def propose(self) -> Genome | None:
        return toy_space().sample(rng=self.rng)

    def tell(self, genome: Genome, objectives: tuple[float, ...], violation: float) -> None:
        self.told.append(genome)

    def skip(self, genome: Genome) -> None:
        self.skipped.append(genome)


def kernels(genome: Genome) -> float:
    """A KL that small kernels double each and that the size halves: at equal size it is the kernels alone."""
    values = toy_space().values(genome)
    return 2.0 ** sum(values[k] == 1 for k in values if k.startswith("kernel")) * 5000 / price(genome).size_bytes


def searched(kl: object, count: int = 80) -> tuple[Listed, list[Genome]]:
    inner, found = Listed(), []
    proposer = Screened(inner, toy_space(), price, unscreened=10)
    for _ in range(count):
        genome = proposer.propose()
        assert genome is not None
        found.append(genome)
        proposer.tell(genome, (float(price(genome).size_bytes), kl(genome)), 0.0)  # type: ignore[operator]
    assert inner.told == found
    return inner, found


def test_where_genes_tell_of_a_look_the_best_of_eight_is_tried() -> None:
    inner, found = searched(kernels)
    screened = 80 - max(10, LEAST)
    assert 0.9 * screened * (OFFSPRING - 1) <= len(inner.skipped) <= screened * (OFFSPRING - 1)
    at_equal_size = [kernels(genome) * price(genome).size_bytes for genome in found]
    assert np.mean(at_equal_size[-40:]) < 0.7 * np.mean(at_equal_size[:LEAST])


def test_where_looks_follow_the_parameters_or_nothing_it_is_not_asked() -> None:
    for kl in (lambda g: 1e6 / price(g).params, lambda g: 1 + uniform(g.values)):
        inner, _ = searched(kl)
        assert len(inner.skipped) < 80 * (OFFSPRING - 1) / 4


def test_what_failed_or_broke_a_limit_teaches_nothing() -> None:
    proposer = Screened(Listed(), toy_space(), price)
    for objectives, violation in (((5000.0, surrogate.FAILED), 0.0), ((5000.0, 1.0), 0.5), ((5000.0, np.nan), 0.0)):
        proposer.tell(toy_space().original, objectives, violation)
    assert not proposer.rows


def test_what_was_held_back_is_tried_when_nothing_new_is_left() -> None:
    """Sixty networks, of which screening would have left out most."""
    inner = Listed()
    networks = list(dict.fromkeys(toy_space().sample(rng=np.random.default_rng(1)) for _ in range(60)))
    left = list(networks)
    inner.propose = lambda: left.pop() if left else None  # type: ignore[method-assign]
    proposer = Screened(inner, toy_space(), price, unscreened=10)
    found = []
    while (genome := proposer.propose()) is not None:
        found.append(genome)
        proposer.tell(genome, (float(price(genome).size_bytes), kernels(genome)), 0.0)
    assert len(found) == len(networks)
    assert set(found) == set(networks)


def test_the_whole_strategy_is_screened_after_its_seeds() -> None:
    strategy = build("screened")
    drive(strategy)
    assert strategy.search is not None
    assert isinstance(strategy.search.proposer, Screened)
    assert len(strategy.search.proposer.rows) >= LEAST
