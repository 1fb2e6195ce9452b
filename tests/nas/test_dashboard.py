"""The mirror for optuna-dashboard: one trial an evaluation, added once, never of two runs."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from nas.dashboard import JOURNAL_FILE, STUDY_NAME, mirror
from nas.evaluation import Evaluation, Job
from nas.ledger import LEDGER_FILE, Ledger
from search_spaces.errors import RunFolderError
from search_spaces.genes import Genome
from tests.toy_problem import ToyProblem, ToySpace

GENES = [{"name": gene.name, "options": list(gene.options)} for gene in ToySpace().genes]


def evaluation(width: int) -> Evaluation:
    return ToyProblem().evaluate(Job.make(Genome((width, 8, 1)), 1, 10, run_seed=0))


def trials(journal: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.load_study(study_name=STUDY_NAME, storage=storage).trials


def test_evaluations_become_trials_and_each_only_once(tmp_path: Path) -> None:
    path, journal = tmp_path / LEDGER_FILE, tmp_path / JOURNAL_FILE
    failed = Evaluation.failure(evaluation(12).job, "it broke")
    with Ledger.open(path, "me", facts={"genes": GENES}) as ledger:
        for found in (evaluation(4), evaluation(8)):
            ledger.append("evaluation", found.to_json())
        assert mirror(path, journal) == 2
        ledger.append("evaluation", failed.to_json())
        assert mirror(path, journal) == 1
        assert mirror(path, journal) == 0
    first, _, last = trials(journal)
    assert first.params == {"width:a": 4, "width:b": 8, "depth:c": 1}
    assert first.values == [1064.0, evaluation(4).drop]
    assert first.user_attrs["ram_bytes"] == 256
    assert first.user_attrs["rung"] == 1
    assert (last.state, last.user_attrs["note"]) == (optuna.trial.TrialState.FAIL, "it broke")


def test_the_runs_own_objectives_are_mirrored(tmp_path: Path) -> None:
    path, journal = tmp_path / LEDGER_FILE, tmp_path / JOURNAL_FILE
    with Ledger.open(path, "me", facts={"objectives": ["ram_bytes", "size_bytes", "drop"]}) as ledger:
        ledger.append("evaluation", evaluation(4).to_json())
    mirror(path, journal)
    assert [trial.values for trial in trials(journal)] == [[256.0, 1064.0, evaluation(4).drop]]


def test_an_untrained_look_has_no_values(tmp_path: Path) -> None:
    path, journal = tmp_path / LEDGER_FILE, tmp_path / JOURNAL_FILE
    with Ledger.open(path, "me") as ledger:
        ledger.append("evaluation", Evaluation(evaluation(4).job, evaluation(4).cost, kl=0.5).to_json())
        ledger.append("evaluation", evaluation(8).to_json())
    assert mirror(path, journal) == 2
    look, trained = trials(journal)
    assert (look.state, look.user_attrs["kl"]) == (optuna.trial.TrialState.FAIL, 0.5)
    assert trained.params == {"gene 0": 8, "gene 1": 8, "gene 2": 1}


def test_a_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Ledger.open(tmp_path / name, name).close()
    mirror(tmp_path / "one", tmp_path / JOURNAL_FILE)
    with pytest.raises(RunFolderError, match="mirrors another run"):
        mirror(tmp_path / "two", tmp_path / JOURNAL_FILE)


def test_without_a_run_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot read the ledger"):
        mirror(tmp_path / LEDGER_FILE, tmp_path / JOURNAL_FILE)
    (tmp_path / LEDGER_FILE).write_bytes(b"")
    with pytest.raises(RunFolderError, match="is empty"):
        mirror(tmp_path / LEDGER_FILE, tmp_path / JOURNAL_FILE)
