"""Tuning the recipe: on made-up networks whose best recipe is known, and inside a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from math import log
from pathlib import Path

import numpy as np
import pytest

from nas import proxy, tuning
from nas.ledger import LEDGER_FILE, read
from nas.strategies.options import Options
from nas.training.distill import Recipe, TrainingDiverged
from nas.tuning import Score, Tuned, is_better, sentence, tune
from search_spaces.errors import InputError
from tests.nas.digits_run import optimize, outcomes

STEPS = 12_000
DEFAULT = Recipe()


@dataclass
class Toy:
    """A network that is as far from the original as a function of its recipe and seed says."""

    distance: Callable[[Recipe, int], float]
    begun: list[Recipe] = field(default_factory=list)
    steps: int = 0

    def __call__(self, recipe: Recipe, seed: int) -> ToyPupil:
        self.begun.append(recipe)
        return ToyPupil(self, recipe, seed)


@dataclass
class ToyPupil:
    toy: Toy
    recipe: Recipe
    seed: int

    def run(self, steps: int) -> None:
        self.toy.steps += steps

    def score(self, falling: int) -> Score:
        self.toy.steps += falling
        distance = self.toy.distance(self.recipe, self.seed)
        return Score(distance, 10 * distance)


def away(recipe: Recipe, seed: int) -> float:
    """Best at a rate of 0.02 and a temperature of 2, with a noise of a thousandth."""
    noise = np.random.default_rng(seed).uniform(0, 1e-3)
    return abs(log(recipe.lr / 0.02)) + abs(log(recipe.temperature / 2)) + float(noise)


def test_a_better_recipe_is_found_and_used() -> None:
    toy = Toy(away)
    found = tune(toy, DEFAULT, views=2, steps=STEPS, seed=0)
    assert toy.begun[0] == DEFAULT
    assert found.adopted
    assert away(found.recipe, 0) < away(DEFAULT, 0) / 2
    assert (found.recipe.batch, found.recipe.clip) == (DEFAULT.batch, DEFAULT.clip)
    assert "it was used" in sentence(found)


def test_fewer_views_are_found_where_they_are_better() -> None:
    found = tune(Toy(lambda recipe, seed: abs(recipe.views - 1.0) + 1e-3 * seed), DEFAULT, views=4, steps=STEPS, seed=0)
    assert found.recipe.views == 1
    assert "1 view)" in sentence(found)


def test_noise_is_not_taken_for_a_gain() -> None:
    def noise(recipe: Recipe, seed: int) -> float:
        return float(np.random.default_rng([seed, int(1e6 * recipe.lr)]).uniform())

    found = tune(Toy(noise), DEFAULT, views=2, steps=STEPS, seed=0)
    assert found.found != DEFAULT
    assert found.recipe == DEFAULT
    assert "not used" in sentence(found)


def test_where_the_default_is_the_best_it_is_not_repeated() -> None:
    found = tune(Toy(lambda recipe, seed: float(recipe != DEFAULT)), DEFAULT, views=2, steps=STEPS, seed=0)
    assert found.recipe == DEFAULT
    assert not found.found_scores
    assert "came nearer" in sentence(found)


def test_steps_are_counted_and_kept_to() -> None:
    toy = Toy(away)
    found = tune(toy, DEFAULT, views=2, steps=STEPS, seed=0)
    assert found.steps == toy.steps
    assert 0.9 * STEPS < toy.steps < 1.1 * STEPS


def test_the_same_seed_finds_the_same() -> None:
    assert tune(Toy(away), DEFAULT, views=2, steps=STEPS, seed=3) == tune(
        Toy(away), DEFAULT, views=2, steps=STEPS, seed=3
    )


def test_a_small_budget_trains_nothing() -> None:
    toy = Toy(away)
    found = tune(toy, DEFAULT, views=2, steps=1000, seed=0)
    assert found == Tuned(DEFAULT)
    assert not toy.begun
    assert "too small" in sentence(found)


def test_the_clock_ends_it_with_the_default() -> None:
    toy = Toy(away)
    found = tune(toy, DEFAULT, views=2, steps=STEPS, seed=0, late=lambda: len(toy.begun) >= 3)
    assert found.recipe == DEFAULT
    assert len(toy.begun) == 3
    assert "came nearer" in sentence(found)


def test_a_recipe_that_diverges_is_only_a_bad_one() -> None:
    def distance(recipe: Recipe, seed: int) -> float:
        if recipe.lr > 0.1:
            raise TrainingDiverged("training must keep finite numbers")
        return away(recipe, seed)

    assert tune(Toy(distance), DEFAULT, views=2, steps=STEPS, seed=0).recipe.lr <= 0.1


def test_a_find_that_diverges_in_a_longer_training_is_not_used() -> None:
    """The repeats have other seeds than the trials, of which all have one."""

    def distance(recipe: Recipe, seed: int) -> float:
        if seed and recipe != DEFAULT:
            raise TrainingDiverged("training must keep finite numbers")
        return away(recipe, seed)

    found = tune(Toy(distance), DEFAULT, views=2, steps=STEPS, seed=0)
    assert (found.recipe, found.found != DEFAULT) == (DEFAULT, True)
    assert "could not be proven better" in sentence(found)


@pytest.mark.parametrize(
    ("found", "better"),
    [
        ([(0.10, 2.0), (0.12, 2.2), (0.11, 1.8)], True),  # the worst, 0.12, is nearer than 0.13
        ([(0.10, 2.0), (0.14, 2.0), (0.11, 2.0)], False),  # one is not
        ([(0.10, 2.4), (0.10, 2.4), (0.10, 2.4)], False),  # nearer, but loses 0.4 points more
    ],
)
def test_better_is_more_than_noise(found: list[tuple[float, float]], better: bool) -> None:
    default = tuple(Score(distance, 2.0) for distance in (0.13, 0.15, 0.14))
    assert is_better(tuple(Score(*score) for score in found), default) == better


def test_a_result_goes_to_json_and_back() -> None:
    for found in (tune(Toy(away), DEFAULT, views=2, steps=STEPS, seed=0), Tuned(DEFAULT)):
        assert Tuned.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_share_is_checked() -> None:
    with pytest.raises(InputError, match="tune_share must be from 0 to"):
        Options(tune_share=0.6)


def test_a_run_tunes_once_says_so_and_resumes_with_what_it_found(
    digits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "SHORTEST", 2)
    monkeypatch.setattr(tuning, "TRIALS", 3)
    strategy = tmp_path / "tuned.toml"
    strategy.write_text("tune_share = 0.25\n")
    first = optimize(digits, tmp_path / "run", strategy=str(strategy))
    (entry,) = [entry for entry in read(first.folder / LEDGER_FILE) if entry["entry"] == "recipe"]
    assert 0 < entry["steps"] < 60
    assert any("recipes of distillation" in note for note in first.result.notes)
    plan = next(entry for entry in read(first.folder / LEDGER_FILE) if entry["entry"] == "plan")
    assert plan["total"] == 160 - entry["steps"]
    before = outcomes(first.folder)
    monkeypatch.setattr(proxy, "tune", None)  # a second time would fail
    again = optimize(digits, tmp_path / "run", strategy=str(strategy), resume=True)
    assert outcomes(again.folder) == before
    assert again.result.chosen == first.result.chosen
