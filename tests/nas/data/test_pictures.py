"""Folders are checked before anything is decoded, decoded by threads, and large ones lie in a file of the run only."""

from __future__ import annotations

import os
import pickle
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import pictures
from nas.data.dataset import load_data
from nas.data.scratch import PREFIX, Scratch, opened, portable
from search_spaces.errors import DataError, RunFolderError
from tests import fuzzing
from tests.nas.fuzz_data import DAMAGES

SHAPE = (3, 8, 8)


def photos(home: Path, per_class: int = 20) -> Path:
    """Two classes of random pictures, 8 x 8 in colour."""
    rng = np.random.default_rng(0)
    for name in ("ants", "bees"):
        (home / "photos" / name).mkdir(parents=True)
        for k in range(per_class):
            made = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
            made.save(home / "photos" / name / f"{k:02}.png")
    return home / "photos"


def test_nothing_is_decoded_before_everything_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = photos(tmp_path)
    (root / "bees" / "19.png").write_bytes(b"no picture")
    monkeypatch.setattr(pictures, "_decoded", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match=r"19\.png is not a readable image"):
        load_data(str(root), SHAPE, 2)


def test_a_large_folder_lies_in_files_of_the_run_and_holds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, run = photos(tmp_path), tmp_path / "deep" / "run"
    kept = load_data(str(root), SHAPE, 2)
    assert not isinstance(kept.x_train, np.memmap)
    monkeypatch.setattr(pictures, "KEPT_BYTES", 40 * 192 - 1)
    told: list[tuple[str, float]] = []
    with Scratch(run) as scratch:
        found = load_data(str(root), SHAPE, 2, scratch=scratch, told=lambda *now: told.append(now))
        assert isinstance(found.x_train, np.memmap)
        assert found.digests() == kept.digests()
        folder = Path(found.x_train.filename).parent
        assert folder.parent == run
        assert {file.stem for file in folder.iterdir()} == set(found.splits)
    assert told == [("decoding 40 pictures", k / 40) for k in range(1, 41)]
    assert not (tmp_path / "deep").exists()  # nothing else came into it


def test_the_run_folder_keeps_what_others_put_there(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}of-a-killed-run"
    left.mkdir()
    with Scratch(tmp_path / "run") as scratch:
        scratch.empty("train", (2, 3))
        (tmp_path / "run" / "ledger.jsonl").write_text("mine")
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["ledger.jsonl"]
    with Scratch(tmp_path) as scratch:
        array = scratch.empty("train", (2, 3))
        scratch.sweep()
        assert not left.exists()
        assert Path(array.filename).exists()


def test_a_file_travels_by_its_name_and_a_part_of_one_by_its_numbers(tmp_path: Path) -> None:
    with Scratch(tmp_path) as scratch:
        array = scratch.empty("train", (1000, 50))
        array[:] = np.arange(50)
        given = {"whole": array, "view": array[None], "part": array[5:], "plain": np.ones(3)}
        sent = {name: pickle.dumps(value) for name, value in portable(given).items()}
        assert len(sent["whole"]) < 1000 > len(sent["view"])
        assert len(sent["part"]) > 995 * 50
        found = opened({name: pickle.loads(value) for name, value in sent.items()})
        for name, value in given.items():
            assert np.array_equal(found[name], value)
        assert not found["whole"].flags.writeable


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path) -> None:
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, most[1]))
    try:
        with (
            Scratch(tmp_path / "run") as scratch,
            pytest.raises(RunFolderError, match=r"4 MB of decoded pictures must have room in .*: File too large; free"),
        ):
            scratch.empty("train", (4 << 20,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert not (tmp_path / "run").exists()


def test_pictures_of_other_kinds_are_converted_and_that_is_said(tmp_path: Path) -> None:
    root = photos(tmp_path)
    with Image.open(root / "ants" / "00.png") as one:
        one.convert("L").save(root / "ants" / "00.png")
    with Image.open(root / "bees" / "00.png") as one:
        one.convert("RGBA").save(root / "bees" / "00.png")
    assert "2 of 40 images were converted from L, RGBA to RGB." in load_data(str(root), SHAPE, 2).notes


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    root = photos(tmp_path)
    Image.new("1", (9500, 9500)).save(root / "ants" / "00.png")
    with pytest.raises(DataError, match=r"at most 89 million pixels, its header says 9500 x 9500; scale it down"):
        load_data(str(root), SHAPE, 2)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (
            lambda root: (root / "ants" / "x.png").symlink_to(root.parent / "out.png"),
            "x.png must lie in .*; put a copy",
        ),
        (lambda root: (root / "cats").symlink_to(root.parent), "cats must lie in .*, it is a link to"),
        (lambda root: (root / "ants" / "more").symlink_to(root / "bees"), "more must be a folder, it is a link to one"),
        (lambda root: (root / "ants" / "x.png").symlink_to(root / "ants" / "x.png"), "x.png must be a file"),
        (lambda root: os.mkfifo(root / "ants" / "x.png"), "x.png must be a file, it is a broken link or something"),
        (lambda root: (root / "ants" / "x\ny.png").write_bytes(b""), r"x\\ny.png is not a readable image"),
        (lambda root: (root / "ants" / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"), "is not a readable image"),
    ],
)
def test_what_is_no_picture_of_the_folder_is_refused(tmp_path: Path, place: object, text: str) -> None:
    root = photos(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "out.png")
    place(root)
    with pytest.raises(DataError, match=text) as caught:
        load_data(str(root), SHAPE, 2)
    assert str(caught.value).isprintable()


def test_links_inside_the_folder_and_hidden_files_are_no_bad_input(tmp_path: Path) -> None:
    root = photos(tmp_path)
    (root / "ants" / "x.png").symlink_to(root / "ants" / "00.png")
    (root / "ants" / "._00.png").write_bytes(b"what another system left")
    assert sum(load_data(str(root), SHAPE, 2).sizes.values()) == 41


def test_damaged_data_is_read_or_refused_in_one_line() -> None:
    rows = fuzzing.table("tests.nas.fuzz_data", 5 * len(DAMAGES), 1)
    assert [row["damage"] for row in rows] == [damage.__name__ for damage in DAMAGES]
    assert sum(int(row["refused"]) for row in rows) > 2 * len(DAMAGES)
