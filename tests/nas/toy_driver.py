"""A whole run as a program, to be killed: `python -m tests.nas.toy_driver FOLDER [--workers 2] ...`. Always resumes."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from nas import study
from nas.ledger import LEDGER_FILE, Ledger
from nas.ray_pool import RayPool
from nas.workers import Serial, Workers
from tests.toy_problem import ToyStrategy, build


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--total", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=0.0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    strategy = ToyStrategy(seed=0, total=asked.total)
    made = partial(build, seconds=asked.seconds, log=asked.folder / "log")
    workers: Workers = Serial(made) if asked.workers == 1 else RayPool(made, count=asked.workers)
    with Ledger.open(asked.folder / LEDGER_FILE, "toy", resume=True) as opened:
        lost = study.replay(strategy, opened.entries)
        study.run(strategy, workers, opened, lost=lost)
    workers.close()


if __name__ == "__main__":
    main()
