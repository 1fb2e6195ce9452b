"""Data sets, checked: train for training, search_val for the search, final_val for the verdict, test for the end.

A drop is judged only on images the original was not trained on, so the two validation splits come from `x_val` where
it is given, else from the test set, never from the training images. What was done is said in `DataSet.notes`.

uint8 arrays are images and are fed to the model as x/255; float arrays are fed as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.data import sources
from nas.data.pictures import Pictures, Told, decode_all
from nas.data.scratch import Scratch
from nas.data.splits import PARTS, SPLITS, Pair, four
from nas.tasks import CLASSIFICATION, Task
from search_spaces.errors import DataError, in_words

# Drops below this many final_val images come with a 95 % bound wider than about 0.7 points (one standard error of a
# paired difference with 4 % of answers changed is sqrt(0.04 / n)).
FEW_IMAGES = 2000


@dataclass(frozen=True)
class DataSet:
    """Four splits of one task's data, checked against a model.

    Attributes:
        x_train, x_search, x_final, x_test: `N x C x H x W` or `N x features`; uint8, or float32 as the model takes it.
        y_train, y_search, y_final, y_test: targets as the task has them, `N` long.
        task: what the targets mean.
        outputs: how many numbers the model answers to a row.
        image: the arrays are uint8 and are fed as x/255.
        name: for the report.
        notes: how the splits were made and what looks odd, one sentence each.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_search: np.ndarray
    y_search: np.ndarray
    x_final: np.ndarray
    y_final: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    task: Task
    outputs: int
    image: bool
    name: str
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Images and labels by the split's full name."""
        return {
            "train": (self.x_train, self.y_train),
            "search_val": (self.x_search, self.y_search),
            "final_val": (self.x_final, self.y_final),
            "test": (self.x_test, self.y_test),
        }

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each split."""
        return {split: len(y) for split, (_, y) in self.splits.items()}

    def digests(self) -> dict[str, str]:
        """SHA-256 of every array's dtype, shape and bytes, for the manifest."""
        found = {}
        for split, (x, y) in self.splits.items():
            found[f"x_{split}"], found[f"y_{split}"] = _digest(x), _digest(y)
        return found


def load_data(
    spec: sources.Spec,
    input_shape: tuple[int, ...],
    outputs: int,
    task: Task = CLASSIFICATION,
    *,
    seed: int = 0,
    scratch: Scratch | None = None,
    told: Told = lambda text, share: None,
) -> DataSet:
    """The data set behind `--data`, split and checked.

    Args:
        spec: None for the bundled quickstart; an `.npz`; a folder of class folders; `package.module:function`; the
            arrays themselves; or what `sources.read` returned. Arrays are `x_train, y_train` and `x_val, y_val`
            and/or `x_test, y_test`, or the four splits by name (`x_search_val`, `x_final_val`); `groups_val` and the
            like say who each row belongs to (a person, a machine), and no group is then cut by a split made here.
            A task without labels needs no `y_train`.
        input_shape: the model's input without the batch axis, `(C, H, W)` or `(features,)`.
        outputs: how many numbers the model answers to a row.
        task: what the data is for.
        seed: of the split, where one has to be made.
        scratch: where decoded pictures go that are too large for memory; None keeps all in memory.
        told: hears how far decoding is.

    Raises:
        DataError: the data cannot be read, or does not fit the model.
        RunFolderError: decoded pictures have no room.
    """
    source = sources.read(spec, input_shape, seed=seed)
    given = [part for part in PARTS if f"x_{part}" in source.arrays or f"y_{part}" in source.arrays]
    pairs = {part: _pair(source.arrays, part, input_shape, outputs, task) for part in given}
    groups = {part: _groups(source.arrays[f"groups_{part}"], part, pairs) for part in _grouped(source.arrays)}
    splits, notes = four(pairs, seed=seed, strata=task.strata, groups=groups)
    notes += _met_before(groups)
    for split in SPLITS:
        notes += task.examine(split, splits[split][1], outputs)
    pictures = {split: x for split, (x, _) in splits.items() if isinstance(x, Pictures)}
    decoded = decode_all(pictures, scratch, told)
    splits = {split: (decoded.get(split, x), y) for split, (x, y) in splits.items()}
    _check_scale(splits)
    notes += _remarks(splits)
    (x_train, y_train), (x_search, y_search), (x_final, y_final), (x_test, y_test) = (splits[name] for name in SPLITS)
    return DataSet(
        x_train=x_train,
        y_train=y_train,
        x_search=x_search,
        y_search=y_search,
        x_final=x_final,
        y_final=y_final,
        x_test=x_test,
        y_test=y_test,
        task=task,
        outputs=outputs,
        image=x_train.dtype == np.uint8,
        name=source.name,
        notes=(*source.notes, *notes),
    )


def _pair(arrays: Mapping[str, Any], split: str, input_shape: tuple[int, ...], outputs: int, task: Task) -> Pair:
    """One split's arrays, checked one by one and brought to their dtypes."""
    if split == "train" and not task.labelled and "y_train" not in arrays:
        arrays = {**arrays, "y_train": np.zeros(len(arrays["x_train"]), np.int64)}
    if f"y_{split}" not in arrays or f"x_{split}" not in arrays:
        missing = f"{'y' if f'x_{split}' in arrays else 'x'}_{split}"
        raise DataError(f"data must hold x_{split} and y_{split} together, {missing} is missing")
    x: Any = arrays[f"x_{split}"]
    x, y = x if isinstance(x, Pictures) else _array(x, f"x_{split}"), _array(arrays[f"y_{split}"], f"y_{split}")
    if x.ndim == len(input_shape) and len(input_shape) == 3 and input_shape[0] == 1:
        x = x[:, None]  # N x H x W holds the one channel already
    if x.ndim == 3 and tuple(input_shape) == (x.shape[1], 1, x.shape[2]):
        x = x[:, :, None]  # a series, N x C x length, is a map of height 1
    if x.shape[1:] != tuple(input_shape):
        law = f"must be N x {in_words(input_shape)} as the model's input"
        raise DataError(f"x_{split} {law}, {_shape_advice(x, input_shape)}")
    y = task.targets(y, split, outputs)
    if len(x) != len(y):
        raise DataError(f"x_{split} and y_{split} must be equally long, got {len(x)} and {len(y)}")
    if len(x) == 0:
        raise DataError(f"x_{split} is empty; every split needs images")
    return _values(x, split), y


def _grouped(arrays: Mapping[str, Any]) -> list[str]:
    return [part for part in PARTS if f"groups_{part}" in arrays]


def _groups(given: Any, part: str, pairs: Mapping[str, Pair]) -> np.ndarray:
    """Who each row of a part belongs to."""
    words = (
        isinstance(given, np.ndarray) and given.dtype == object and all(isinstance(name, str) for name in given.flat)
    )
    found = given if words else _array(given, f"groups_{part}")
    if part not in pairs or found.shape != (len(pairs[part][1]),):
        rows = len(pairs[part][1]) if part in pairs else 0
        raise DataError(f"groups_{part} must name one group for each of {rows} rows, got shape {found.shape}")
    return found


def _met_before(groups: Mapping[str, np.ndarray]) -> list[str]:
    """A sentence if a group of the training rows is in another part as well."""
    known = set(groups.get("train", np.empty(0)).tolist())
    shared = sorted({str(g) for part, g in groups.items() if part != "train" for g in g.tolist() if g in known})
    if not shared:
        return []
    return [f"groups {', '.join(shared[:4])} are in x_train and elsewhere: drops look smaller than on new ones."]


def _values(x: Any, split: str) -> Any:
    """The images as uint8 or finite float32; files as they are."""
    if isinstance(x, Pictures):
        return x
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    if x.dtype.kind != "f":
        raise DataError(f"x_{split} must be uint8 (fed as x/255) or float (fed as it is), got {x.dtype}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite and is refused below
        x = np.ascontiguousarray(x, np.float32)
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    if bad.any():
        law = "must hold finite numbers only"
        raise DataError(f"x_{split} {law}, {int(bad.sum())} of {len(x)} rows have NaN or inf, first row {bad.argmax()}")
    return x


def _array(given: Any, name: str) -> np.ndarray:
    """What was given as an array.

    Raises:
        DataError: its rows are of several lengths, or it holds objects.
    """
    law = "must be one array of numbers, its rows all of one shape"
    try:
        found = np.asarray(given)
    except Exception as error:  # rows of several lengths, or an object that fails to become an array
        raise DataError(f"{name} {law} ({str(error)[:100]}); pad them or cut them alike") from None
    if found.dtype.hasobject:
        raise DataError(f"{name} {law}, got {in_words(found.shape)} objects; pad or cut them alike")
    return found


def _shape_advice(x: np.ndarray, input_shape: tuple[int, ...]) -> str:
    got = f"got {in_words(x.shape)}"
    if x.ndim == 4 and len(input_shape) == 3 and (x.shape[3], *x.shape[1:3]) == tuple(input_shape):
        return f"{got}; channels come first here: x.transpose(0, 3, 1, 2)"
    if x.ndim == 3 and (x.shape[2], 1, x.shape[1]) == tuple(input_shape):
        return f"{got}; channels come first here: x.transpose(0, 2, 1)"
    if x.ndim > 1 and int(np.prod(x.shape[1:])) == int(np.prod(input_shape)):
        return f"{got}; the same number of values: x.reshape(-1, {', '.join(map(str, input_shape))}) if the order fits"
    return got


def _check_scale(splits: dict[str, Pair]) -> None:
    """One split in [0, 1] and another in [0, 255] is a preprocessing slip, and so is a mix of dtypes."""
    x_train = splits["train"][0]
    reach = _reach(x_train)
    if x_train.min() == x_train.max():
        raise DataError(f"x_train must vary, every value is {float(x_train.flat[0]):g}")
    for split, (x, _) in splits.items():
        if x.dtype != x_train.dtype:
            raise DataError(f"all splits must have one dtype, x_train is {x_train.dtype} and x_{split} {x.dtype}")
        other = _reach(x)
        if max(reach, other) > 50 * max(min(reach, other), 1e-12):
            law = "all splits must be scaled alike"
            raise DataError(f"{law}, x_train reaches {reach:g} and x_{split} reaches {other:g}")


def _reach(x: np.ndarray) -> float:
    """The largest magnitude, found without a copy."""
    return max(abs(float(x.min())), abs(float(x.max())))


def _remarks(splits: dict[str, Pair]) -> list[str]:
    """What a careful reader would ask about."""
    notes = []
    x_train, count = splits["train"][0], len(splits["final_val"][1])
    if x_train.dtype != np.uint8 and x_train.ndim == 4 and x_train.max() > 2 and x_train.min() >= 0:
        note = f"x is float and reaches {float(x_train.max()):g}: it is fed as it is; uint8 images are fed as x/255."
        notes.append(note)
    if count < FEW_IMAGES:
        notes.append(f"final_val holds {count} images: the 95 % bound of a drop is wide, `proven` is hard to reach.")
    seen = {hash(row.tobytes()) for row in x_train}  # 64 bits a row, so that a large data set is not held twice
    for split in SPLITS[1:]:
        x = splits[split][0]
        twins = sum(hash(row.tobytes()) in seen for row in x)
        if twins > 0.01 * len(x):
            note = f"{100 * twins / len(x):.0f} % of {split} are also in x_train: drops look smaller than they are."
            notes.append(note)
    return notes


def _digest(array: np.ndarray) -> str:
    """SHA-256 over dtype, shape and bytes, so that a reshaped array is another one."""
    found = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
