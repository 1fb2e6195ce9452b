"""A recipe found by Optuna on short trainings of one ladder network: TPE, halted trainings by the median.

    python -m experiments.recipe.tune [--kb 60] [--steps 400] [--trials 40]

Judged by the KL to the original on images of search_val. Writes `trials.csv`; what to do with the best is
`experiments.recipe.run`.
"""

import argparse
from pathlib import Path

import optuna

from experiments.recipe.students import Room
from nas.training.distill import Recipe

TABLE = Path(__file__).with_name("trials.csv")
IMAGES = 2500  # of search_val
LOOKS = 3
"""At so many equal parts of a training a copy is cooled and may be compared with the others."""


def asked(trial: optuna.Trial) -> dict[str, float]:
    return {
        "lr": trial.suggest_float("lr", 0.01, 0.3, log=True),
        "temperature": trial.suggest_float("temperature", 1.0, 10.0, log=True),
        "alpha": trial.suggest_float("alpha", 0.5, 1.0),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 5e-3, log=True),
        "clip": trial.suggest_float("clip", 0.5, 10.0, log=True),
        "views": trial.suggest_int("views", 1, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kb", type=int, default=60)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--trials", type=int, default=40)
    args = parser.parse_args()
    room = Room()

    def objective(trial: optuna.Trial) -> float:
        distiller = room.distiller(args.kb, asked(trial), seed=trial.number)
        each, kl = args.steps // LOOKS, 0.0
        for k in range(LOOKS):
            distiller.run(each)
            kl = room.distance(args.kb, distiller.cooled(each // 3), rows=slice(0, IMAGES))
            trial.report(kl, k)
            if k < LOOKS - 1 and trial.should_prune():
                raise optuna.TrialPruned
        return kl

    sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=10, multivariate=True)
    study = optuna.create_study(sampler=sampler, pruner=optuna.pruners.MedianPruner(n_startup_trials=5))
    default = {name: getattr(Recipe(), name) for name in ("lr", "temperature", "alpha", "weight_decay", "clip")}
    study.enqueue_trial(default | {"views": 2})
    study.optimize(objective, n_trials=args.trials, callbacks=[lambda _, trial: print(trial.value, trial.params)])
    study.trials_dataframe(("number", "value", "params", "state")).to_csv(TABLE, index=False, float_format="%.5g")
    print(study.best_params, study.best_value)


if __name__ == "__main__":
    main()
