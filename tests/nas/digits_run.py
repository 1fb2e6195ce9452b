"""Small whole runs on scikit-learn's digits, shared by tests: the same flags, another folder. Also a program:

`python -m tests.nas.digits_run MODEL DATA OUT [--budget 160steps] [--resume]` runs and leaves its folder behind.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas import run
from nas.config import RunConfig
from nas.evaluation import Evaluation
from nas.ledger import LEDGER_FILE, evaluations, read
from nas.result import Front, Point

STEPS = "160steps"


def config(files: tuple[Path, Path], out: Path, **flags: Any) -> RunConfig:
    """A run with one worker whose limits leave room for a front."""
    model, data = files
    settled = {"max_size": "24KB", "max_drop": "20%", "budget": STEPS, "workers": 1} | flags
    return RunConfig(model=str(model), data=str(data), out=str(out), **settled)


def optimize(files: tuple[Path, Path], out: Path, **flags: Any) -> Front:
    return run.optimize(config(files, out, **flags), quiet=True)


def outcomes(folder: Path) -> list[Evaluation]:
    """What a run's ledger holds of its evaluations, without seconds."""
    return [evaluation.outcome for evaluation in evaluations(read(folder / LEDGER_FILE))]


def timeless(points: tuple[Point, ...]) -> list[Point]:
    """Points by id; nothing in them depends on the clock."""
    return sorted((replace(point) for point in points), key=lambda point: point.id)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("model", "data", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--budget", default=STEPS)
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_args()
    optimize((asked.model, asked.data), asked.out, budget=asked.budget, resume=asked.resume)


if __name__ == "__main__":
    main()
