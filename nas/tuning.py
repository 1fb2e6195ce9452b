"""A recipe for this data and this original: Optuna tunes distillation on one network, and the find must prove itself.

Short trainings like other rates than long ones, so a find is no more than a candidate. It is trained again beside the
default recipe, several times as long and from other seeds, and taken only if its worst repeat is nearer to the original
than the default's best (of three against three, chance alone does that once in twenty) without losing in the metric.

References: TPE, Bergstra et al. 2011; `experiments/recipe`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nas import wording
from nas.training.distill import Recipe, TrainingDiverged

if TYPE_CHECKING:
    import optuna

RANGES = {
    "lr": (0.01, 0.2, True),
    "temperature": (1.0, 10.0, True),
    "alpha": (0.5, 1.0, False),
    "weight_decay": (5e-5, 5e-3, True),
}
"""From, to, and whether the logarithm is drawn evenly. The batch stays, since prices are for it.

How strongly pictures are augmented is drawn as the number of views that are learned from.
"""

LOOKS = 3
"""At so many equal parts of a trial a copy is cooled, and half of the worst are halted there."""

REPEATS = 3
TRIALS_SHARE = 0.5
TRIALS = 24  # as many would be trained to their end; halted ones make room for more
FALLING = 0.3  # share of a look's or a repeat's steps with a falling rate
SHORTEST = 30
"""Steps between two looks, below which nothing is tuned: the warm-up alone is as long."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a trained network does on search_val: its distance to the original's answers, and its drop in points."""

    distance: float
    drop: float


class Pupil(Protocol):
    """One network in training. `Distiller` with something to score it by."""

    def run(self, steps: int) -> None:
        """Trains on at the constant rate."""

    def score(self, falling: int) -> Score:
        """Of a copy that trained on for so many steps with the rate falling to zero."""


Begin = Callable[[Recipe, int], Pupil]
"""The proxy network, inherited, under a recipe, with a seed."""


@dataclass(frozen=True)
class Tuned:
    """What came of tuning.

    Attributes:
        recipe: what the run goes on with: the one found, or the default.
        found: the best of the trials; None where the budget was too small to tune.
        trials: how many recipes were tried.
        steps: training steps that tuning took, cool-downs included.
        default_scores, found_scores: of the repeats.
    """

    recipe: Recipe
    found: Recipe | None = None
    trials: int = 0
    steps: int = 0
    default_scores: tuple[Score, ...] = ()
    found_scores: tuple[Score, ...] = ()

    @property
    def adopted(self) -> bool:
        return bool(self.found_scores) and self.recipe == self.found

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> Tuned:
        given = dict(fields)
        for name in ("recipe", "found"):
            given[name] = None if given[name] is None else Recipe(**given[name])
        for name in ("default_scores", "found_scores"):
            given[name] = tuple(Score(**score) for score in given[name])
        return Tuned(**given)


@dataclass
class _Meter:
    """Counts the steps that pupils take."""

    begin: Begin
    views: int
    steps: int = 0

    def trained(self, recipe: Recipe, seed: int, steps: int) -> Score:
        """A finish of that many steps."""
        falling = round(steps * FALLING)
        pupil = self.begin(recipe, seed)
        self.steps += steps
        pupil.run(steps - falling)
        return pupil.score(falling)

    def tried(self, trial: optuna.Trial, default: Recipe, seed: int, each: int) -> float:
        """The distance after a trial's last look.

        Raises:
            TrialPruned: it was halted.
        """
        from optuna import TrialPruned

        pupil = self.begin(asked(trial, default, self.views), seed)
        falling, distance = round(each * FALLING), np.inf
        for look in range(LOOKS):
            self.steps += each + falling
            try:
                pupil.run(each)
                distance = pupil.score(falling).distance
            except TrainingDiverged:
                raise TrialPruned from None
            trial.report(distance, look)
            if look < LOOKS - 1 and trial.should_prune():
                raise TrialPruned
        return distance


def tune(
    begin: Begin, default: Recipe, *, views: int, steps: int, seed: int, late: Callable[[], bool] = lambda: False
) -> Tuned:
    """Looks for a better recipe.

    Args:
        begin: makes a network to train.
        default: what has to be beaten; tried first.
        views: how many there are.
        steps: what all trainings may take together, about.
        seed: of the draws; trainings get seeds that follow from it.
        late: True once no other training should begin.
    """
    import optuna  # it takes a second to load, and few runs need it

    each = round(steps * TRIALS_SHARE / TRIALS / LOOKS / (1 + FALLING))
    if each < SHORTEST:
        return Tuned(default)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    meter = _Meter(begin, views)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=10)
    study = optuna.create_study(sampler=sampler, pruner=optuna.pruners.MedianPruner(n_startup_trials=4))
    study.enqueue_trial({name: getattr(default, name) for name in RANGES} | {"views": default.views or views})

    def stop(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if late() or meter.steps >= steps * TRIALS_SHARE:
            study.stop()

    # One seed for all trials: they see the same pictures in the same order, which takes some noise out.
    study.optimize(lambda trial: meter.tried(trial, default, seed, each), callbacks=[stop])
    if late() or not any(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials):
        return Tuned(default, trials=len(study.trials), steps=meter.steps)
    found = asked(study.best_trial, default, views)
    long = max(each, int((steps - meter.steps) / 2 / REPEATS))
    scores: dict[Recipe, list[Score]] = {default: [], found: []}
    for recipe in scores if found != default else ():
        for k in range(REPEATS):
            if late():
                return Tuned(default, found, len(study.trials), meter.steps)
            try:
                scores[recipe].append(meter.trained(recipe, seed + 1 + k, long))
            except TrainingDiverged:  # longer than any trial; so nothing is proven
                return Tuned(default, found, len(study.trials), meter.steps)
    ours, theirs = tuple(scores[found]), tuple(scores[default])
    recipe = found if found != default and is_better(ours, theirs) else default
    return Tuned(recipe, found, len(study.trials), meter.steps, theirs, ours)


def asked(trial: optuna.Trial | optuna.trial.FrozenTrial, default: Recipe, views: int) -> Recipe:
    """The recipe that a trial stands for."""
    drawn = {name: trial.suggest_float(name, low, high, log=log) for name, (low, high, log) in RANGES.items()}
    count = trial.suggest_int("views", 1, views)
    return replace(default, **drawn, views=0 if count == views else count)


def is_better(found: tuple[Score, ...], default: tuple[Score, ...]) -> bool:
    """Is the worst of the one nearer to the original than the best of the other, and the mean drop no larger?"""
    nearer = max(score.distance for score in found) < min(score.distance for score in default)
    return nearer and float(np.mean([s.drop for s in found])) <= float(np.mean([s.drop for s in default]))


def sentence(tuned: Tuned) -> str:
    """What a report should say of the recipe."""
    if not tuned.trials:
        return "The recipe of distillation was to be tuned, but the budget was too small: the default was used."
    if tuned.found is None or (tuned.found == tuned.recipe and not tuned.found_scores):
        return f"None of {tuned.trials} recipes of distillation came nearer than the default, which was used."
    if not tuned.found_scores:
        told = f"The best of {tuned.trials} recipes of distillation could not be proven better than the default"
        return f"{told}, for want of time or of finite numbers: the default was used."
    ours, theirs = (
        float(np.mean([score.distance for score in scores])) for scores in (tuned.found_scores, tuned.default_scores)
    )
    drawn = ", ".join(f"{name} {getattr(tuned.found, name):.3g}" for name in RANGES)
    drawn += f", {wording.numbered(tuned.found.views, 'view') if tuned.found.views else 'all views'}"
    told = (
        f"The best of {tuned.trials} recipes of distillation ({drawn}) came within {ours:.4f} of the original's "
        f"answers on search_val, the default within {theirs:.4f} ({REPEATS} repeats each)"
    )
    return f"{told}: it was {'used' if tuned.adopted else 'not used, since that is within noise'}."
