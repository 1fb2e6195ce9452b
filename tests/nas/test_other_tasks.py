"""Whole runs of tasks other than classification, on scikit-learn's digits: several labels, numbers, odd ones out."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nas.data.feed import feed
from nas.result import Front
from nas.runtime import Ending
from nas.tasks import load_task, metrics
from search_spaces.errors import DataError, InputError, ModelError
from tests import digits, litert
from tests.nas.digits_run import optimize

LOOPS = (0, 6, 8, 9)


def several_labels(folder: Path) -> tuple[Path, Path]:
    """Even? At least 5? Drawn with a loop? The model ends in a sigmoid."""
    data = digits.arrays()
    for part in ("train", "val", "test"):
        y = data[f"y_{part}"]
        data[f"y_{part}"] = np.stack([y % 2 == 0, y >= 5, np.isin(y, LOOPS)], 1).astype(np.float32)
    net = digits.network(nn.Linear(32, 3), nn.Sigmoid())
    return digits.trained(net, data, F.binary_cross_entropy, folder, epochs=12)


def two_numbers(folder: Path) -> tuple[Path, Path]:
    """How much ink there is, and how far right its centre lies: numbers of about 50 and 3.5."""
    data = digits.arrays()
    for part in ("train", "val", "test"):
        x = data[f"x_{part}"][:, 0].astype(np.float32)
        ink = x.sum((1, 2))
        data[f"y_{part}"] = np.stack([ink / 100, x.sum(1) @ np.arange(8) / ink], 1).astype(np.float32)
    y = torch.from_numpy(data["y_train"])
    head = nn.Linear(32, 2)
    head.bias.data = y.mean(0)
    loss = lambda found, wanted: F.mse_loss(found / y.std(0), wanted / y.std(0))  # noqa: E731
    return digits.trained(digits.network(head), data, loss, folder, epochs=30)


def odd_ones(folder: Path) -> tuple[Path, Path]:
    """An autoencoder of the digits 0 to 4, drawn as 64 numbers; the others are anomalies."""
    data = {}
    for name, array in digits.arrays().items():
        data[name] = array.reshape(len(array), -1).astype(np.float32) / 255 if name.startswith("x") else array
    normal = data["y_train"] < 5
    data["x_train"] = data["x_train"][normal]
    sizes = (64, 48, 6, 48, 64)
    layers: list[nn.Module] = []
    for into, out in pairwise(sizes):
        layers += [nn.Linear(into, out), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    model, file = digits.trained(net, data | {"y_train": data["x_train"]}, F.mse_loss, folder, epochs=40)
    flags = {f"y_{part}": (data[f"y_{part}"] >= 5).astype(int) for part in ("val", "test")}
    np.savez(file, **{k: v for k, v in data.items() if k[0] == "x"} | flags)  # type: ignore[arg-type]
    return model, file


MAKERS = {"multilabel": several_labels, "regression": two_numbers, "anomaly": odd_ones}


@pytest.fixture(scope="module", params=MAKERS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def files(task: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return MAKERS[task](tmp_path_factory.mktemp(task))


@pytest.fixture(scope="module")
def front(task: str, files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Front:
    out = tmp_path_factory.mktemp(task) / "run"
    return optimize(files, out, task=task, budget="120steps", max_drop="30%", max_size="20KB")


def test_a_front_is_found_and_its_metric_is_named(front: Front, task: str) -> None:
    assert front.chosen is not None
    assert front.result.original.accuracy["final_val"] > 80
    label = load_task(task).metric.name
    assert front.result.metric == label
    assert label in (front.folder / "report.html").read_text()
    summary = json.loads((front.folder / "summary.json").read_text())
    assert (summary["data"]["task"], summary["data"]["metric"]) == (task, label)


def test_the_exported_file_scores_what_was_reported(front: Front, task: str, files: tuple[Path, Path]) -> None:
    """Scored here from the file alone: probabilities undone, or the error of each reproduction."""
    with np.load(files[1]) as data:
        x, y = data["x_test"], data["y_test"]
    ending = Ending("sigmoid", 1 / 512) if task == "multilabel" else None
    for point in front.points:
        assert (front.folder / point.tflite).stat().st_size == point.cost.size_bytes
        steps, scale, zero_point = litert.int8_outputs((front.folder / point.tflite).read_bytes(), x)
        found = (scale * (steps.astype(np.float32) - zero_point)).reshape(len(x), -1)
        found = found if ending is None else ending.undone(found)
        if task == "anomaly":
            expected = metrics.auc(((found - feed(x)) ** 2).mean(1), y)
        else:
            expected = {"multilabel": metrics.mean_average_precision, "regression": metrics.r2}[task](found, y)
        assert point.test_accuracy == pytest.approx(expected, abs=1e-3)


def test_a_metric_of_ones_own_judges_the_run(digits: tuple[Path, Path], tmp_path: Path) -> None:
    front = optimize(digits, tmp_path / "run", metric=f"{__name__}:worst_class", budget="60steps", max_drop="90%")
    assert front.result.metric == "worst_class"
    assert "worst_class lost" in (front.folder / "report.html").read_text()
    assert front.points[0].val_accuracy <= 100 - front.points[0].val_drop


def worst_class(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of the class that is recognised least, in percent."""
    right = outputs.argmax(1) == labels
    return 100 * min(float(right[labels == k].mean()) for k in np.unique(labels))


@pytest.mark.parametrize(
    ("flags", "error", "text"),
    [
        ({"task": "anomaly"}, ModelError, "reproduces its input"),
        ({"task": "multilabel"}, DataError, "N x 10"),
        ({"task": "regression"}, DataError, "N x 10"),
        ({"task": "clasification"}, InputError, "did you mean"),
        ({"task": "anomaly", "normalize": "0.5/0.5"}, InputError, "normalize the data"),
    ],
)
def test_a_task_that_does_not_fit_is_refused_in_one_line(
    digits: tuple[Path, Path], tmp_path: Path, flags: dict[str, str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as refused:
        optimize(digits, tmp_path / "run", **flags)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run" / "ledger.jsonl").exists()
