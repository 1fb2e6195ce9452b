"""Shows a run in optuna-dashboard: mirrors the ledger into an Optuna study, a journal file beside it.

One evaluation becomes one trial, in the ledger's order, so a second call adds only what is new and may run beside the
search. The mirror is for looking: nothing ever reads it back.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas import ledger
from nas.evaluation import Evaluation
from nas.objectives import OBJECTIVES
from search_spaces.errors import RunFolderError

JOURNAL_FILE = "optuna.log"
STUDY_NAME = "run"


def mirror(ledger_path: Path, journal_path: Path) -> int:
    """Brings the journal up to the ledger and returns how many trials were added.

    Genes are named by the `genes` of the ledger's first entry, a list of `{"name", "options"}`; without it by number.
    Objectives are its `objectives`; without them size and drop.

    Raises:
        RunFolderError: the ledger cannot be read, or the journal mirrors another run.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    entries = ledger.read(ledger_path)
    if not entries:
        raise RunFolderError(f"{ledger_path} is empty: nothing has been run yet")
    if "fingerprint" not in entries[0]:
        raise RunFolderError(f"{ledger_path} is not a run's ledger: its first line must name the run")
    storage = JournalStorage(JournalFileBackend(str(journal_path)))
    objectives = tuple(entries[0].get("objectives", OBJECTIVES))
    directions = ["minimize"] * len(objectives)
    study = optuna.create_study(storage=storage, study_name=STUDY_NAME, directions=directions, load_if_exists=True)
    fingerprint = entries[0]["fingerprint"]
    if study.user_attrs.get("fingerprint", fingerprint) != fingerprint:
        raise RunFolderError(f"{journal_path} mirrors another run; delete it or choose another file")
    study.set_user_attr("fingerprint", fingerprint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # the names are a label and nothing more
        study.set_metric_names(list(objectives))
    new = ledger.evaluations(entries)[len(study.get_trials(deepcopy=False)) :]
    for evaluation in new:
        study.add_trial(_trial(evaluation, entries[0].get("genes"), objectives))
    return len(new)


def _trial(evaluation: Evaluation, genes: list[dict[str, Any]] | None, objectives: tuple[str, ...]) -> FrozenTrial:
    """A trial with the genes as parameters and everything else that was measured as attributes.

    It is complete where all objectives are known; a failed, infeasible or untrained one has no values.
    """
    values = evaluation.job.genome.values
    named = genes or [{"name": f"gene {k}", "options": [value]} for k, value in enumerate(values)]
    ranges: dict[str, BaseDistribution] = {
        gene["name"]: IntDistribution(min(gene["options"]), max(gene["options"])) for gene in named
    }
    record = evaluation.to_json()
    attributes = {**record.pop("job"), **(record.pop("cost") or {}), **record}
    known = evaluation.cost is not None and evaluation.drop is not None and evaluation.status == "ok"
    return create_trial(
        state=TrialState.COMPLETE if known else TrialState.FAIL,
        values=[attributes[name] for name in objectives] if known else None,
        params=dict(zip(ranges, values, strict=True)),
        distributions=ranges,
        user_attrs=attributes,
    )
