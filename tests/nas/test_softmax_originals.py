"""A model that ends in a softmax teaches by what was before it, as every other model does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas import baseline
from nas.runtime import Ending, Session, ending_of
from nas.students.candidate import Student
from nas.tasks import load_task
from search_spaces.to_onnx import to_onnx
from tests.toys import chain, every_kind, images


def test_probabilities_become_logits_up_to_a_constant_per_image() -> None:
    graph, weights = every_kind()
    assert graph.by_name[graph.outputs[0]].kind == "softmax"
    x = images(graph, 20)
    session = Session(to_onnx(graph, weights).SerializeToString(), ending=ending_of(graph, "softmax", int8=False))
    with torch.inference_mode():
        expected = Student(graph, weights).eval()(torch.from_numpy(x)).numpy()
    found = session.logits(x)
    assert np.ptp(found - expected, axis=1) == pytest.approx(0, abs=1e-3)
    assert load_task().distance(expected, found) == pytest.approx(0, abs=1e-6)


def test_a_probability_of_zero_stays_finite() -> None:
    """An int8 softmax has steps of 1/256: what it calls 0 is taken for half a step."""
    graph, weights = every_kind()
    weights["logits.bias"] = np.array([0, 0, 0, 0, 500], np.float32)
    session = Session(to_onnx(graph, weights).SerializeToString(), ending=ending_of(graph, "softmax", int8=True))
    assert session.logits(images(graph, 3))[:, 0] == pytest.approx(np.log(1 / 512))


def test_other_models_give_what_they_give() -> None:
    assert ending_of(chain()[0], "softmax", int8=True) is None
    assert ending_of(every_kind()[0], "sigmoid", int8=True) is None
    assert ending_of(every_kind()[0], "", int8=True) is None


def test_a_sigmoid_is_undone() -> None:
    logits = np.array([[-20.0, -1.5, 0.0, 3.0, 20.0]], np.float32)
    found = Ending("sigmoid", 1e-30).undone(1 / (1 + np.exp(-logits)))
    assert found[0, 1:4] == pytest.approx(logits[0, 1:4], abs=1e-5)
    assert np.isfinite(found).all()


def test_doubts_are_said_where_test_is_far_below_what_the_original_may_have_seen() -> None:
    fine = {"train": 99.0, "search_val": 93.0, "final_val": 93.4, "test": 93.1}
    assert baseline.doubts(fine, load_task(), 10) == []
    seen = {"train": 99.0, "search_val": 99.1, "final_val": 98.9, "test": 93.1}
    assert len(baseline.doubts(seen, load_task(), 10)) == 1
    chance = {"train": 10.0, "search_val": 11.0, "final_val": 9.0, "test": 10.0}
    assert "near chance" in baseline.doubts(chance, load_task(), 10)[0]
