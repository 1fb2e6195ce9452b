"""Settings of every test run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests import digits as digits_task

# One thread a process: sums are taken in one order, and tests that run side by side do not fight over the cores.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """`digits.onnx` and `digits.npz`: a trained net and its data, written once a session; never write to them."""
    return digits_task.write(tmp_path_factory.mktemp("digits"))
