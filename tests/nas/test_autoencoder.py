"""A convolutional autoencoder of scikit-learn's digits becomes a `.tflite` that TFLite runs, with the AUC reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn
from torch.nn import functional as F

from nas.data.feed import feed
from nas.tasks import metrics
from search_spaces.from_onnx import load_model
from tests import digits, litert
from tests.nas.digits_run import optimize


def autoencoder() -> nn.Sequential:
    """1 x 8 x 8 to 4 x 2 x 2 and back by two transposed convolutions that double height and width."""
    down = {"kernel_size": 3, "stride": 2, "padding": 1}
    return nn.Sequential(
        nn.Conv2d(1, 24, **down), nn.ReLU(),
        nn.Conv2d(24, 4, **down), nn.ReLU(),
        nn.ConvTranspose2d(4, 24, **down, output_padding=1), nn.ReLU(),
        nn.ConvTranspose2d(24, 16, kernel_size=2, stride=2), nn.ReLU(),
        nn.Conv2d(16, 1, 3, padding=1),
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The digits 0 to 4 are normal, the others anomalies."""
    folder, data = tmp_path_factory.mktemp("autoencoder"), digits.arrays()
    data["x_train"] = data["x_train"][data["y_train"] < 5]
    learned = data | {"y_train": feed(data["x_train"])}
    model, file = digits.trained(autoencoder(), learned, F.mse_loss, folder, epochs=30)
    flags = {f"y_{part}": (data[f"y_{part}"] >= 5).astype(int) for part in ("val", "test")}
    np.savez(file, **{name: array for name, array in data.items() if name.startswith("x")}, **flags)  # type: ignore[arg-type]
    return model, file


def test_it_is_fitted_and_its_file_scores_what_was_reported(files: tuple[Path, Path], tmp_path: Path) -> None:
    graph, _ = load_model(files[0])
    assert [op.kind for op in graph.ops].count("conv_transpose") == 2
    front = optimize(files, tmp_path / "run", task="anomaly", budget="60steps", max_size="12KB", max_drop="40%")
    assert front.chosen is not None
    assert front.result.original.accuracy["test"] > 65
    with np.load(files[1]) as data:
        x, y = data["x_test"], data["y_test"]
    for point in front.points:
        file = (front.folder / point.tflite).read_bytes()
        assert len(file) == point.cost.size_bytes
        steps, scale, zero_point = litert.int8_outputs(file, x)
        errors = ((scale * (steps.astype(np.float64) - zero_point) - feed(x)) ** 2).mean((1, 2, 3))
        assert metrics.auc(errors, y) == pytest.approx(point.test_accuracy, abs=0.2)
