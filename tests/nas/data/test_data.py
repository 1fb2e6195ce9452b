"""The splits are honest, and data that does not fit is refused in one line."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.dataset import DataSet, load_data
from nas.data.splits import deal, deal_groups
from search_spaces.errors import DataError

SHAPE = (1, 4, 4)


def images(count: int, *, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Random uint8 images, classes in turn."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *SHAPE), np.uint8), np.arange(count) % classes


def arrays(**counts: int) -> dict[str, np.ndarray]:
    found = {}
    for seed, (part, count) in enumerate(counts.items()):
        found[f"x_{part}"], found[f"y_{part}"] = images(count, seed=seed)
    return found


def rows(x: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in x}


def test_val_is_halved_by_class_and_nothing_is_lost() -> None:
    given = arrays(train=30, val=60, test=30)
    data = load_data(given, SHAPE, 3)
    assert data.sizes == {"train": 30, "search_val": 30, "final_val": 30, "test": 30}
    assert np.bincount(data.y_search).tolist() == [10, 10, 10]
    assert rows(data.x_search) | rows(data.x_final) == rows(given["x_val"])
    assert not rows(data.x_search) & rows(data.x_final)
    assert data.image
    assert "halved" in data.notes[0]


def test_without_val_half_of_the_test_set_is_set_aside_and_train_is_left_alone() -> None:
    given = arrays(train=30, test=120)
    data = load_data(given, SHAPE, 3)
    assert data.sizes == {"train": 30, "search_val": 30, "final_val": 30, "test": 60}
    assert rows(data.x_train) == rows(given["x_train"])
    assert rows(data.x_search) | rows(data.x_final) | rows(data.x_test) == rows(given["x_test"])
    assert "set aside" in data.notes[0]


def test_without_test_val_is_cut_in_three() -> None:
    data = load_data(arrays(train=30, val=90), SHAPE, 3)
    assert data.sizes == {"train": 30, "search_val": 30, "final_val": 30, "test": 30}


def test_four_given_splits_stay_as_they_are() -> None:
    given = arrays(train=30, search_val=12, final_val=15, test=18)
    data = load_data(given, SHAPE, 3)
    assert np.array_equal(data.x_final, given["x_final_val"])
    assert not any("halved" in note or "set aside" in note for note in data.notes)


def test_labels_stay_with_their_images() -> None:
    given = arrays(train=30, val=60, test=30)
    data = load_data(given, SHAPE, 3)
    label_of = {row.tobytes(): label for row, label in zip(given["x_val"], given["y_val"], strict=True)}
    assert [label_of[row.tobytes()] for row in data.x_final] == data.y_final.tolist()


def test_the_same_seed_splits_alike_and_another_does_not() -> None:
    given = arrays(train=30, val=60, test=30)
    first, again, other = (load_data(given, SHAPE, 3, seed=seed) for seed in (1, 1, 2))
    assert first.digests() == again.digests()
    assert first.digests()["x_final_val"] != other.digests()["x_final_val"]
    assert first.digests()["x_test"] == other.digests()["x_test"]


def test_dealing_is_even_in_all_and_in_each_class() -> None:
    labels = np.array([0] * 7 + [1] * 4 + [2] * 5)
    hands = deal(labels, 3, seed=0)
    assert sorted(len(hand) for hand in hands) == [5, 5, 6]
    assert sorted(np.concatenate(hands).tolist()) == list(range(16))
    for label, count in enumerate((7, 4, 5)):
        shares = [int((labels[hand] == label).sum()) for hand in hands]
        assert sum(shares) == count
        assert max(shares) - min(shares) <= 1


def test_a_missing_channel_axis_is_added() -> None:
    given = arrays(train=30, val=60, test=30)
    flat = {key: value[:, 0] if key.startswith("x") else value for key, value in given.items()}
    assert np.array_equal(load_data(flat, SHAPE, 3).x_train, given["x_train"])


def test_a_series_with_its_channels_last_is_told_how_to_turn() -> None:
    given = arrays(train=30, val=60, test=30)
    given |= {key: np.zeros((len(value), 32, 6), np.float32) for key, value in given.items() if key.startswith("x")}
    with pytest.raises(DataError, match=r"got 30 x 32 x 6; channels come first here: x\.transpose\(0, 2, 1\)"):
        load_data(given, (6, 1, 32), 3)


def test_float_features_are_fed_as_they_are() -> None:
    rng = np.random.default_rng(0)
    given = {f"x_{part}": rng.normal(size=(30, 5)) for part in ("train", "val", "test")}
    given |= {f"y_{part}": np.arange(30) % 2 for part in ("train", "val", "test")}
    data = load_data(given, (5,), 2)
    assert data.x_train.dtype == np.float32
    assert not data.image


def broken(**changes: np.ndarray | None) -> dict[str, np.ndarray]:
    given: dict[str, np.ndarray | None] = {**arrays(train=30, val=60, test=30), **changes}
    return {key: value for key, value in given.items() if value is not None}


def with_nan() -> np.ndarray:
    x = np.zeros((30, *SHAPE), np.float32)
    x[7, 0, 0, 0] = np.nan
    return x


@pytest.mark.parametrize(
    ("given", "classes", "text"),
    [
        (broken(x_train=np.zeros((30, 3, 4, 4), np.uint8)), 3, r"x_train must be N x 1 x 4 x 4 .*got 30 x 3 x 4 x 4"),
        (broken(x_train=np.zeros((30, 4, 4, 1), np.uint8)), 3, r"channels come first here: x.transpose\(0, 3, 1, 2\)"),
        (broken(x_train=np.zeros((30, 16), np.uint8)), 3, r"x.reshape\(-1, 1, 4, 4\)"),
        (arrays(train=30, val=60, test=30), 2, r"y_train must lie in 0..1 \(the model has 2 outputs\), got 2"),
        (broken(y_val=np.full(60, -1)), 3, r"y_val must lie in 0..2 .*got -1"),
        (arrays(train=30, val=60, test=30), 4, r"every class needs images in train, class 3"),
        (broken(y_train=np.arange(30) % 2), 3, r"every class needs images in train, class 2 of the model's 3"),
        (broken(x_train=with_nan()), 3, r"x_train must hold finite numbers only, 1 of 30 rows .*first row 7"),
        (broken(x_test=np.full((30, *SHAPE), np.inf)), 3, r"x_test must hold finite numbers"),
        (broken(y_test=np.zeros(29, int)), 3, r"x_test and y_test must be equally long, got 30 and 29"),
        (broken(y_test=np.eye(3)[np.arange(30) % 3]), 3, r"class numbers \(one_hot.argmax\(1\)\)"),
        (broken(y_test=np.zeros(30)), 3, r"y_test must be N integers"),
        (broken(x_train=np.zeros((30, *SHAPE), np.int64)), 3, r"x_train must be uint8 .* got int64"),
        (broken(x_val=np.zeros((0, *SHAPE), np.uint8), y_val=np.zeros(0, int)), 3, r"x_val is empty"),
        (broken(x_train=np.zeros((30, *SHAPE), np.uint8)), 3, r"x_train must vary, every value is 0"),
        (broken(x_val=np.ones((60, *SHAPE), np.float32)), 3, r"one dtype, x_train is uint8 and x_search_val float32"),
        (broken(y_val=None), 3, r"x_val and y_val together, y_val is missing"),
        (arrays(train=30), 3, r"images the original was not trained on"),
        (arrays(val=30, test=30), 3, r"got test, val"),
        ({"images": np.zeros(3)}, 3, r"must hold x_train, y_train, x_val, ..., got images"),
    ],
)
def test_data_that_does_not_fit_is_refused_in_one_line(given: dict, classes: int, text: str) -> None:
    with pytest.raises(DataError, match=text) as caught:
        load_data(given, SHAPE, classes)
    assert "\n" not in str(caught.value)


def test_splits_of_different_scale_are_refused() -> None:
    given = arrays(train=30, val=60, test=30)
    given = {key: x.astype(np.float32) if key.startswith("x") else x for key, x in given.items()}
    load_data(given, SHAPE, 3)
    given["x_test"] /= 255
    with pytest.raises(DataError, match=r"scaled alike, x_train reaches 2\d\d and x_test reaches (1|0\.9\d*)$"):
        load_data(given, SHAPE, 3)


def test_training_images_in_a_validation_split_are_reported() -> None:
    given = arrays(train=30, val=60, test=30)
    given["x_test"][:3] = given["x_train"][:3]
    assert "10 % of test are also in x_train: drops look smaller than they are." in load_data(given, SHAPE, 3).notes


def test_an_npz_is_read_and_an_unknown_array_is_named(tmp_path: Path) -> None:
    given = arrays(train=30, val=60, test=30)
    np.savez(tmp_path / "plants.npz", **given, names=np.array(["a", "b"]))
    data = load_data(str(tmp_path / "plants.npz"), SHAPE, 3)
    assert data.name == "plants.npz"
    assert np.array_equal(data.x_train, given["x_train"])
    assert "ignored in plants.npz: names." in data.notes


def test_a_truncated_npz_a_pickle_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", **arrays(train=30, val=60, test=30))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:900])
    np.savez(tmp_path / "pickle.npz", x_train=np.array([{}], dtype=object))
    for name, text in (("cut", "cut short"), ("pickle", "never pickled objects"), ("none", "does not exist")):
        with pytest.raises(DataError, match=text) as caught:
            load_data(str(tmp_path / f"{name}.npz"), SHAPE, 3)
        assert "\n" not in str(caught.value)


def save_images(folder: Path, per_class: int, *, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            Image.fromarray(rng.integers(0, 256, (4, 4), np.uint8)).save(folder / name / f"{i}.png")


def test_class_folders_are_numbered_alphabetically(tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "val", "test")):
        save_images(tmp_path / part, 6, seed=seed)
    data = load_data(str(tmp_path), SHAPE, 2)
    assert data.sizes == {"train": 12, "search_val": 6, "final_val": 6, "test": 12}
    first_dog = np.asarray(Image.open(tmp_path / "train" / "dog" / "0.png"))
    assert data.y_train.tolist() == [0] * 6 + [1] * 6
    assert np.array_equal(data.x_train[6, 0], first_dog)
    assert any("0 = cat, 1 = dog" in note for note in data.notes)


def test_one_level_of_class_folders_is_split_with_a_warning(tmp_path: Path) -> None:
    save_images(tmp_path, 20, seed=0)
    data = load_data(str(tmp_path), SHAPE, 2)
    assert data.sizes == {"train": 24, "search_val": 4, "final_val": 4, "test": 8}
    assert any("no train/val/test folders" in note for note in data.notes)


def test_images_of_another_size_are_brought_to_the_models_and_that_is_said(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        save_images(tmp_path / part, 6, seed=0)
    for file in (tmp_path / "test").rglob("*.png"):
        Image.fromarray(np.repeat(np.uint8([[10, 10, 200, 200, 10, 10]]), 4, axis=0)).save(file)  # cut to the middle
    data = load_data(str(tmp_path), SHAPE, 2)
    assert data.x_test[0, 0].tolist() == [[10, 200, 200, 10]] * 4
    assert [note for note in data.notes if "scaled" in note] == [
        "test: 12 of 12 images were scaled to cover 4 x 4 and cut at the centre: "
        "the original must have been trained on images made alike."
    ]
    assert load_data(str(tmp_path), (3, 8, 8), 2).x_train.shape == (12, 3, 8, 8)


def test_image_folders_are_never_guessed(tmp_path: Path) -> None:
    save_images(tmp_path, 20, seed=0)
    with pytest.raises(DataError, match="class 2 of the model's 3"):
        load_data(str(tmp_path), SHAPE, 3)
    (tmp_path / "cat" / "0.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match="not a readable image"):
        load_data(str(tmp_path), SHAPE, 2)


def grown(png: bytes, side: int) -> bytes:
    """The picture with a header that claims `side` x `side` pixels."""
    header = png[12:16] + struct.pack(">II", side, side) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


@pytest.mark.parametrize("damage", ["cut short", "a bomb", "nothing"])
def test_pictures_that_cannot_be_decoded_are_named(tmp_path: Path, damage: str) -> None:
    save_images(tmp_path, 20, seed=0)
    file = tmp_path / "dog" / "7.png"
    whole = file.read_bytes()
    file.write_bytes({"cut short": whole[: len(whole) // 2], "a bomb": grown(whole, 40_000), "nothing": b""}[damage])
    with pytest.raises(DataError, match=r"7\.png is not a readable image"):
        load_data(str(tmp_path), SHAPE, 2)


def test_ragged_arrays_are_refused() -> None:
    given = arrays(train=30, val=60, test=30)
    ragged = np.empty(30, dtype=object)
    ragged[:] = [np.zeros((1, 4, 4 + row % 2)) for row in range(30)]
    with pytest.raises(DataError, match="x_train must"):
        load_data(given | {"x_train": ragged}, SHAPE, 3)


def test_a_csv_is_a_row_a_sample(tmp_path: Path) -> None:
    """Series of 2 channels x 3 values, channel by channel, of persons who are never cut in two."""
    lines = ["split,label,group,a0,a1,a2,b0,b1,b2"]
    for row in range(60):
        split = ("train", "val", "test")[row % 3]
        lines.append(f"{split},{('still', 'walk')[row % 2]},p{row % 12},{row},1,2,3,4,5.5")
    (tmp_path / "motion.csv").write_text("\n".join(lines))
    data = load_data(str(tmp_path / "motion.csv"), (2, 1, 3), 2)
    assert data.x_train[0].tolist() == [[[0, 1, 2]], [[3, 4, 5.5]]]
    assert data.y_train[:3].tolist() == [0, 1, 0]
    assert data.sizes == {"train": 20, "search_val": 10, "final_val": 10, "test": 20}
    person = {row % 12 for row in range(60) if row in data.x_search[:, 0, 0, 0]}
    assert not person & {row % 12 for row in range(60) if row in data.x_final[:, 0, 0, 0]}
    assert any("0 = still, 1 = walk" in note for note in data.notes)
    assert any("halved by group" in note for note in data.notes)


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("split,a\ntrain,1", "columns split and label, label is missing"),
        ("split,label,a\ntrain,0,", "no empty cells, row 1 lacks 'a'"),
        ("split,label,a\ntrain,0,x", "numbers beside split, label, column 'a' does not: row 1 has 'x'"),
        ("split,label,a\ntrain,0", "3 cells in each row, row 1 has 2"),
        ("split,label,a\ntrain,0,1,2", "3 cells in each row, row 1 has 4"),
        ("split,label,a", "rows below the names of the columns, it has none"),
        ("split,label\ntrain,0", "numbers beside split, label, it has no other column"),
        ('split,label,a\ntrain,0,"1', r"not a readable CSV file: .*unexpected end of data"),
        ("split,label,a\nholdout,0,1", "split must be one of .* got 'holdout'"),
        ("", "columns split and label, split and label is missing"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused(tmp_path: Path, text: str, law: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(DataError, match=law):
        load_data(str(tmp_path / "bad.csv"), (1,), 2)


def test_a_series_is_given_a_height_of_one() -> None:
    given = {name: x[:, 0] if name[0] == "x" else x for name, x in arrays(train=30, val=60, test=30).items()}
    data = load_data(given, (4, 1, 4), 3)
    assert data.x_train.shape == (30, 4, 1, 4)
    assert np.array_equal(data.x_train[:, :, 0], given["x_train"])


def test_groups_are_never_cut_and_their_classes_are_spread() -> None:
    """Ten persons of 12 rows each, every class with each; 5 to either side."""
    groups, labels = np.repeat(np.arange(10), 12), np.tile(np.arange(3), 40)
    first, second = deal_groups(labels, groups, 2, seed=0)
    assert sorted([*first, *second]) == list(range(120))
    assert not set(groups[first]) & set(groups[second])
    assert np.bincount(labels[first]).tolist() == [20, 20, 20]
    assert [rows.tolist() for rows in deal_groups(labels, groups, 2, seed=0)] == [first.tolist(), second.tolist()]
    with pytest.raises(DataError, match="at least 11 to be dealt into 11 parts, got 10"):
        deal_groups(labels, groups, 11, seed=0)


def test_a_group_on_both_sides_is_reported() -> None:
    given = arrays(train=30, val=60, test=30)
    given |= {"groups_train": np.arange(30) % 5, "groups_val": np.arange(60) % 6}
    assert any("groups 0, 1, 2, 3 are in x_train and elsewhere" in note for note in load_data(given, SHAPE, 3).notes)
    with pytest.raises(DataError, match=r"groups_val must name one group for each of 60 rows, got shape \(3,\)"):
        load_data(given | {"groups_val": np.arange(3)}, SHAPE, 3)


def test_a_function_gives_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plant_data.py").write_text(
        "import numpy as np\n"
        "def splits():\n"
        "    x = np.arange(30 * 16, dtype=np.uint8).reshape(30, 1, 4, 4)\n"
        "    y = np.arange(30) % 3\n"
        "    return {f'{a}_{p}': x if a == 'x' else y for a in 'xy' for p in ('train', 'val', 'test')}\n"
        "def broken():\n"
        "    raise KeyError('camera')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    data = load_data("plant_data:splits", SHAPE, 3)
    assert isinstance(data, DataSet)
    assert data.name == "plant_data:splits"
    for spec, text in (
        ("plant_data:broken", "raised KeyError: 'camera'"),
        ("plant_data:none", "has no function none"),
        ("no_such_module:f", "cannot be imported"),
    ):
        with pytest.raises(DataError, match=text):
            load_data(spec, SHAPE, 3)
    sys.modules.pop("plant_data")


def test_the_quickstart_is_balanced_and_needs_no_split() -> None:
    data = load_data(None, (1, 28, 28), 10)
    assert data.sizes == {"train": 50_000, "search_val": 5_000, "final_val": 5_000, "test": 10_000}
    assert np.bincount(data.y_final).tolist() == [500] * 10
    assert data.notes == ()
