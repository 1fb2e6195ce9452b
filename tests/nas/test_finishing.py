"""How a finish spends its steps, and what it keeps where it trained on as int8."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas import evaluate
from nas.artefacts import RunFolder
from nas.closing import finale_seconds
from nas.data.splits import four
from nas.evaluate import Phases, RealProblem
from nas.ledger import LEDGER_FILE, evaluations, read
from nas.runtime import Session
from search_spaces.graph import Op
from tests.digits import arrays
from tests.nas.digits_run import optimize


class Steps:
    """A distiller that counts."""

    def __init__(self) -> None:
        self.trained = self.cooling = 0
        self.student = SimpleNamespace(folded=dict)

    def run(self, steps: int) -> None:
        self.trained += steps

    def cooled(self, steps: int) -> dict[str, Any]:
        self.cooling = steps
        return {}


class Losing(RealProblem):
    """A problem that says what rounding loses, and knows nothing else."""

    def __init__(self, loss: float, cutoff: float | None = None) -> None:
        self.loss = loss
        self.setup: Any = SimpleNamespace(cutoff=cutoff)

    def _rounding_loss(self, *_: Any) -> float:
        return self.loss


@pytest.mark.parametrize(
    ("loss", "trained", "cooling", "left"),
    [
        (0.29, 700, 300, 0),  # 30 % of 1,000 steps at a falling rate
        (0.3, 630, 270, 100),  # a tenth as int8, and 30 % of 900 at a falling rate
    ],
)
def test_a_finish_spends_its_steps_either_way(loss: float, trained: int, cooling: int, left: int) -> None:
    distiller: Any = Steps()
    job: Any = SimpleNamespace(steps=1000, repeat=0)
    graph: Any = SimpleNamespace(ops=())
    _, found, taken = Losing(loss)._finish(job, graph, distiller, Phases())
    assert (distiller.trained, distiller.cooling, found, taken) == (trained, cooling, left, 1000)


def test_a_finish_with_weights_of_four_bits_needs_no_look() -> None:
    distiller: Any = Steps()
    job: Any = SimpleNamespace(steps=1000, repeat=0)
    graph: Any = SimpleNamespace(ops=(Op.make("a", "linear"), Op.make("b", "conv").stored_in(4)))
    _, found, taken = Losing(0.0)._finish(job, graph, distiller, Phases())
    assert (distiller.trained, distiller.cooling, found, taken) == (630, 270, 100, 1000)


def test_a_finish_that_is_late_neither_looks_nor_trains_on() -> None:
    distiller: Any = Steps()
    job: Any = SimpleNamespace(steps=1000, repeat=0)
    graph: Any = SimpleNamespace(ops=())
    _, found, taken = Losing(5.0, cutoff=0.0)._finish(job, graph, distiller, Phases())
    assert (distiller.trained, distiller.cooling, found, taken) == (50, 300, 0, 350)


def test_a_training_with_another_seed_is_never_cut_short() -> None:
    distiller: Any = Steps()
    job: Any = SimpleNamespace(steps=1000, repeat=1)
    graph: Any = SimpleNamespace(ops=())
    Losing(0.0, cutoff=0.0)._finish(job, graph, distiller, Phases())
    assert (distiller.trained, distiller.cooling) == (700, 300)


def test_a_finish_trained_on_as_int8_is_the_file_that_is_left(
    digits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every finish made to: the accuracy of the better of its two networks is that of the file."""
    monkeypatch.setattr(evaluate, "WORTHWHILE", -100.0)
    front = optimize(digits, tmp_path)
    given = arrays()
    pairs = {part: (given[f"x_{part}"], given[f"y_{part}"]) for part in ("train", "val", "test")}
    x, y = four(pairs, seed=front.result.seed)[0]["search_val"]
    made = [found for found in evaluations(read(tmp_path / LEDGER_FILE)) if "as int8" in found.note]
    assert len(made) >= 2
    for evaluation in made:
        answers = Session(RunFolder(tmp_path).onnx(evaluation.job.id)).logits(x)
        assert 100 * np.mean(answers.argmax(1) == y) == pytest.approx(evaluation.accuracy)


@pytest.mark.parametrize(("budget", "kept"), [(3600, 144), (600, 24), (120, 22), (60, 12)])
def test_the_end_of_a_run_keeps_a_share_of_long_budgets_and_what_it_takes_of_short_ones(
    budget: float, kept: float
) -> None:
    assert finale_seconds(budget) == pytest.approx(kept)
