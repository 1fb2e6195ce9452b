"""Declarations from names and files, and every way to get one wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.declare import Declaration, declared, load_declaration
from search_spaces.errors import SpaceError


def test_the_declarations_that_come_along() -> None:
    assert declared() == ["mcu", "mcu-wide", "npu", "width-only"]
    assert load_declaration("mcu") == Declaration(True, 4, 4, True, True, False)
    assert load_declaration("width-only") == Declaration(width=True, depth=False, kernel=False)
    wide = [name for name in declared() if load_declaration(name).resolution or load_declaration(name).rank]
    assert wide == ["mcu-wide"]


def test_a_file_of_the_users_keeps_defaults_for_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "coarse.toml"
    path.write_text("width_step = 16\nkernel = false\n")
    assert load_declaration(path) == Declaration(width_step=16, kernel=False)


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("widht = true", "unknown key 'widht'.*did you mean 'width'"),
        ("resolutions = true", "unknown key 'resolutions'.*did you mean 'resolution'"),
        ("rank = 2", "rank must be true or false, got 2"),
        ("width = 1", "width must be true or false, got 1"),
        ("width_step = 0", "width_step must be a whole number of at least 1, got 0"),
        ("width_min = true", "width_min must be a whole number"),
        ("kernel = false\nkernel_growth = true", "needs kernel = true"),
        ("width = ", "is not a TOML file"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, law: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SpaceError, match=law) as caught:
        load_declaration(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(
        SpaceError,
        match=r"mcu, mcu-wide, npu, width-only or a \.toml file, got 'width_only'; did you mean 'width-only'",
    ):
        load_declaration("width_only")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="cannot read the space declaration"):
        load_declaration(tmp_path / "none.toml")
