"""A whole run in which images must be smaller and layers two: the exported files take what was scored."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from nas.data.resize import sized
from nas.data.splits import four
from nas.result import Front
from nas.runtime import Session
from search_spaces.declare import Declaration
from search_spaces.from_onnx import load_model
from search_spaces.space import derive
from targets.cost import estimate
from targets.device import load_device
from tests import litert
from tests.digits import arrays
from tests.nas.digits_run import optimize, outcomes

DECLARED = "width = false\ndepth = false\nkernel = false\nresolution = true\nrank = true\n"


@pytest.fixture(scope="module")
def front(digits: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Front:
    """A run within the size and RAM of 6x6 images at rank 8: larger images and the 32 x 48 layer as one are over."""
    folder = tmp_path_factory.mktemp("optional")
    (folder / "space.toml").write_text(DECLARED)
    graph, _ = load_model(digits[0])
    space = derive(graph, Declaration(False, depth=False, kernel=False, resolution=True, rank=True))
    (resolution, rank) = (gene.name for gene in space.genes)
    cost = estimate(space.apply(space.genome({resolution: 6, rank: 8})), load_device("nrf52840"))
    limits = {"max_size": f"{cost.size_bytes}B", "max_ram": f"{cost.ram_bytes}B", "max_drop": "50%"}
    return optimize(digits, folder / "run", space=str(folder / "space.toml"), budget="80steps", **limits)


def test_what_is_found_has_smaller_images_and_two_layers_for_one(front: Front) -> None:
    assert {evaluation.status for evaluation in outcomes(front.folder)} == {"ok"}
    assert front.chosen is not None
    for point in front.points:
        assert point.input_shape in ((1, 4, 4), (1, 5, 5), (1, 6, 6))
        (rank,) = (value for name, value in point.values.items() if name.startswith("rank:"))
        assert rank in (4, 8)
        assert point.values["resolution:image"] == point.input_shape[1]


def test_the_exported_file_takes_the_small_image_and_scores_what_was_reported(front: Front) -> None:
    given = arrays()
    pairs = {part: (given[f"x_{part}"], given[f"y_{part}"]) for part in ("train", "val", "test")}
    splits, _ = four(pairs, seed=front.result.seed)
    for point in front.points:
        session = Session(front.folder / point.onnx)
        assert session.sides[1:] == point.input_shape
        x, y = splits["final_val"]
        right = session.logits(sized(x, point.input_shape)).argmax(1) == y
        assert 100 * right.mean() == pytest.approx(point.val_accuracy)
        file = (front.folder / point.tflite).read_bytes()
        x, y = splits["test"]
        right = litert.int8_outputs(file, sized(x, point.input_shape))[0].argmax(1) == y
        assert 100 * right.mean() == pytest.approx(point.test_accuracy)
        assert len(file) == point.cost.size_bytes
        small = sized(splits["test"][0][:40], point.input_shape)
        outputs, scale, zero = litert.int8_outputs(file, small)
        steps = (scale * (outputs.astype(float) - zero) - session.logits(small)) / scale
        assert np.abs(steps).max() < 2.5


def test_the_tables_say_the_size(front: Front) -> None:
    with (front.folder / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["input_shape"] for row in rows] == ["x".join(map(str, p.input_shape)) for p in front.points]
    for point in front.points:
        kept = json.loads((front.folder / "models" / point.id / "genome.json").read_text())
        assert (kept["values"], tuple(kept["input_shape"])) == (point.values, point.input_shape)
    assert f"<td>{rows[0]['input_shape']}</td>" in (front.folder / "report.html").read_text()
