"""Twelve networks of other people, each of another kind: what `experiments/coverage` asks of all, on every change."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "experiments" / "coverage" / "one.py"
NAMES = (
    "torchvision:mobilenet_v2",
    "torchvision:mobilenet_v3_small",
    "torchvision:shufflenet_v2_x0_5",
    "torchvision:squeezenet1_1",
    "torchvision:densenet121",
    "timm:test_efficientnet",
    "timm:test_resnet",
    "timm:resnext26ts",
    "timm:ghostnet_050",
    "timm:repvgg_a0",
    "timm:test_convnext",
    "timm:test_vit",
)
ABSENT = [package for package in ("timm", "torchvision") if find_spec(package) is None]

pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"needs {' and '.join(ABSENT)}: pip install -e '.[zoo]'")


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, object]]:
    """All rows from one process, since importing the zoos takes most of the time."""
    command = [sys.executable, str(SCRIPT), *NAMES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["name"]: row for row in found}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_read_answers_alike_and_trains_at_half_its_widths(name: str, rows: dict[str, dict[str, object]]) -> None:
    row = rows[name]
    wrong = [column for column in ("parsed", "output_equal", "round_trip", "cut_trains") if row.get(column) is not True]
    assert not wrong, f"{', '.join(wrong)}: {row.get('why')}"
    assert row["passes"]
    assert row["kind"] == ("attention" if name == "timm:test_vit" else "cnn")
