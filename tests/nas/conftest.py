"""Settings and runs that the tests of `nas` share."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.result import Front
from tests.nas.digits_run import optimize


@pytest.fixture(scope="session")
def undisturbed(digits: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Front:
    """A finished run on the digits, made once a session; never write to its folder."""
    return optimize(digits, tmp_path_factory.mktemp("undisturbed") / "run")
