"""Damaged data: `python -m tests.nas.fuzz_data COUNT [SEED]` prints what became of each kind of damage.

Each case is an archive, a table or a folder of pictures with one kind of damage. It must be read, or refused by an
`EngineError` of one line, within seconds and 2 GB, and nothing but itself may be in its folder afterwards; anything
else is a finding. `results/fuzz-data.csv` is what 1,800 cases printed.
"""

from __future__ import annotations

import functools
import io
import os
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nas.data import pictures
from nas.data.augment import PRESETS, preset_for
from nas.data.dataset import load_data
from nas.data.scratch import Scratch
from tests import fuzzing

SHAPE, CLASSES, ROWS = (3, 16, 16), 3, {"train": 30, "val": 12, "test": 12}
WIDTH = 12  # values in a row of the table

Rng = np.random.Generator
Damage = Callable[[Path, Rng], Path]
"""Makes a damaged data set in an empty folder, and says what `--data` would name."""

# ---- damage to any file


def flipped(content: bytes, rng: Rng) -> bytes:
    """Some bits of it."""
    changed = bytearray(content)
    for place in rng.integers(0, len(changed), int(rng.integers(1, 20))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(content: bytes, rng: Rng) -> bytes:
    """The end is missing."""
    return content[: int(rng.integers(len(content)))]


def spliced(content: bytes, rng: Rng) -> bytes:
    """A stretch of it comes twice, is missing, or is zero."""
    first, last = sorted(int(place) for place in rng.integers(0, len(content), 2))
    part = content[first:last]
    return content[:first] + (b"", part + part, bytes(len(part)))[int(rng.integers(3))] + content[last:]


def any_damage(content: bytes, rng: Rng) -> bytes:
    return (flipped, cut, spliced)[int(rng.integers(3))](content, rng)


# ---- archives


def arrays(rng: Rng) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, rows in ROWS.items():
        found[f"x_{part}"] = rng.integers(0, 256, (rows, *SHAPE), np.uint8)
        found[f"y_{part}"] = np.arange(rows) % CLASSES
    return found


def saved(found: dict[str, Any], rng: Rng) -> bytes:
    file = io.BytesIO()
    (np.savez, np.savez_compressed)[int(rng.integers(2))](file, **found)
    return file.getvalue()


def members(found: dict[str, Any]) -> dict[str, bytes]:
    """Each array as an `.npy` file."""
    content = {}
    for key, array in found.items():
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asarray(array))
        content[f"{key}.npy"] = file.getvalue()
    return content


def zipped(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, member in content.items():
            file.writestr(name, member)
    return path


def npz_bytes(folder: Path, rng: Rng) -> Path:
    path = folder / "data.npz"
    path.write_bytes(any_damage(saved(arrays(rng), rng), rng))
    return path


def npz_members(folder: Path, rng: Rng) -> Path:
    """An array's own file is damaged, and its checksum fits."""
    content = members(arrays(rng))
    name = str(rng.choice(list(content)))
    head = content[name][:160]
    content[name] = any_damage(head, rng) + content[name][160:]
    return zipped(folder / "data.npz", content)


def npz_header(folder: Path, rng: Rng) -> Path:
    """An array announces another shape or type than it has."""
    found = arrays(rng)
    content = members(found)
    key = str(rng.choice(list(found)))
    shape = list(found[key].shape)
    if rng.random() < 0.6:
        side = int(rng.choice([-1, 0, 1, 31, 10**6, 2**31, 2**62, 2**64, 10**30]))
        shape[int(rng.integers(len(shape)))] = side
    descr = found[key].dtype.str if rng.random() < 0.4 else str(rng.choice(list(DTYPES)))
    header = {"descr": descr, "fortran_order": bool(rng.random() < 0.2), "shape": tuple(shape)}
    file = io.BytesIO()
    file.write(npy_header(repr(header)))
    file.write(content[f"{key}.npy"][-found[key].nbytes :])
    return zipped(folder / "data.npz", content | {f"{key}.npy": file.getvalue()})


DTYPES = (
    "|O",
    "<f8",
    "<f4",
    "<f2",
    "<f16",
    "<U10",
    "|S3",
    "|V8",
    "<c16",
    "|b1",
    ">f4",
    ">i8",
    "<u8",
    "<M8[s]",
    "xyz",
    "",
)


def npy_header(text: str) -> bytes:
    line = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line


def npz_bomb(folder: Path, rng: Rng) -> Path:
    """A few megabytes that would become several gigabytes; the zip's own directory says so, or says less."""
    size = int(rng.choice([3, 6])) << 30
    header = npy_header(repr({"descr": "|u1", "fortran_order": False, "shape": (size // 768, *SHAPE)}))
    packed = deflated_zeros(header, size)
    path = zipped(folder / "data.npz", members(arrays(rng)) | {"x_train.npy": b""})
    claimed = int(rng.choice([size + len(header), 30 * 768 + len(header), 2**31]))
    content = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w") as new:
        for info in old.infolist():
            new.writestr(info, packed if info.filename == "x_train.npy" else old.read(info))
            if info.filename == "x_train.npy":  # what was stored is a deflated stream
                entry = new.filelist[-1]
                entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, claimed
    path.write_bytes(content.getvalue())
    return path


@functools.lru_cache(maxsize=2)
def deflated_zeros(header: bytes, size: int) -> bytes:
    """The header and `size` zeros as a raw deflate stream: one piece's code, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(header + bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * ((size >> 20) - 1) + packer.flush(zlib.Z_FINISH)


def npz_values(folder: Path, rng: Rng) -> Path:
    """Arrays that say what no data says."""
    found = arrays(rng)
    key = str(rng.choice(["x", "y"])) + "_" + str(rng.choice(list(ROWS)))
    found[key] = odd_values(found[key], rng)
    if rng.random() < 0.2:
        del found[str(rng.choice(list(found)))]
    if rng.random() < 0.2:
        found[str(rng.choice(["x_\n", "groups_train", "y_final_val", "../x_train", "x_train\x00"]))] = np.arange(30)
    path = folder / str(rng.choice(["data.npz", "da\nta.npz", "da\x1b[31mta.npz", "d\udcffta.npz"]))
    try:
        path.write_bytes(saved(found, rng))
    except ValueError:  # a name that NumPy does not write
        path.write_bytes(saved(arrays(rng), rng))
    return path


def odd_values(x: np.ndarray, rng: Rng) -> np.ndarray:
    ragged = np.empty(len(x), object)
    ragged[:] = [np.zeros(3 + row % 2) for row in range(len(x))]
    whole = x.astype(np.float64)
    odd = [
        ragged,
        np.array([{"a": 1}] * len(x)),
        np.where(rng.random(x.shape) < 0.1, np.nan, whole),
        np.where(rng.random(x.shape) < 0.1, np.inf, whole),
        whole * 1e300,
        whole,
        x.astype(np.int64) + int(rng.choice([-5, 1, 2**40])),
        x.astype(np.uint64) + np.uint64(2**63),
        x[:0],
        x[: len(x) // 2],
        x[..., None],
        x.reshape(len(x), -1),
        x * 0,
        np.array(3),
        x.astype(str),
        x.astype(complex),
        x > 1,
        np.zeros((len(x), 0)),
        x.astype(np.float16),
    ]
    return odd[int(rng.integers(len(odd)))]


# ---- tables


def table(rng: Rng) -> list[list[str]]:
    """A header and rows of `WIDTH` values."""
    rows = [["split", "label", "group", *(f"v{i}" for i in range(WIDTH))]]
    for row in range(60):
        values = [f"{value:.3f}" for value in rng.standard_normal(WIDTH)]
        rows.append([("train", "val", "test")[row % 3], str(row // 3 % CLASSES), f"p{row}", *values])
    return rows


def joined(rows: list[list[str]], mark: str = "\n") -> bytes:
    return mark.join(",".join(row) for row in rows).encode("utf-8", "surrogateescape")


def csv_bytes(folder: Path, rng: Rng) -> Path:
    path = folder / "data.csv"
    path.write_bytes(any_damage(joined(table(rng)), rng))
    return path


ODD_CELLS = (
    "", "x", "1e999", "-inf", "nan", "None", "1,5", '"', '"a\nb"', "\x00", "\udcff", "0x10", "9" * 400, "1e-400", " ",
    "=1+1", "\r", "1 2", "a" * 10**6, "true",
)  # fmt: skip


def csv_cells(folder: Path, rng: Rng) -> Path:
    """Cells that hold no number, split or label, in a row or in the header."""
    rows = table(rng)
    for _ in range(int(rng.integers(1, 4))):
        row = rows[int(rng.integers(len(rows)))]
        row[int(rng.integers(len(row)))] = str(rng.choice(ODD_CELLS))
    path = folder / "data.csv"
    path.write_bytes(joined(rows, str(rng.choice(["\n", "\r\n", "\r"]))))
    return path


def csv_ragged(folder: Path, rng: Rng) -> Path:
    """Rows that are longer or shorter than the header, or none, or a header without rows."""
    rows = table(rng)
    kind = int(rng.integers(5))
    row = rows[int(rng.integers(len(rows)))]
    if kind == 0:
        row += ["1"] * int(rng.choice([1, 5, 10**6]))
    elif kind == 1:
        del row[int(rng.integers(len(row))) :]
    elif kind == 2:
        rows = [[*row, "1"] if k else row for k, row in enumerate(rows)]
    elif kind == 3:
        rows = rows[: int(rng.integers(0, 3))]
    else:
        rows.insert(int(rng.integers(len(rows))), [])
    path = folder / "data.csv"
    path.write_bytes(joined(rows))
    return path


def csv_wide(folder: Path, rng: Rng) -> Path:
    """Up to a million columns."""
    count = int(rng.choice([50_000, 70_000, 1_000_000]))
    path = folder / "data.csv"
    path.write_bytes(joined([["split", "label", *map(str, range(count))], ["train", "0", *["1"] * count]] * 2))
    return path


# ---- folders of pictures


def folders(folder: Path, rng: Rng) -> Path:
    """A good folder; half of the time without parts."""
    root = folder / "photos"
    parts = ["train", "val", "test"] if rng.random() < 0.5 else [""]
    for part in parts:
        for name in ("ants", "bees", "cats"):
            home = root / part / name
            home.mkdir(parents=True)
            for k in range(5):
                (home / f"{k}.png").write_bytes(picture("PNG", rng))
    return root


MODES = {
    "PNG": "RGB L P RGBA 1", "JPEG": "RGB L CMYK", "BMP": "RGB L P 1", "GIF": "RGB L P 1", "TIFF": "RGB L CMYK P 1",
    "WEBP": "RGB RGBA", "PPM": "RGB L",
}  # fmt: skip


def picture(kind: str, rng: Rng, side: int = 16) -> bytes:
    mode = str(rng.choice(["RGB", "L", "P", "RGBA", "1", "CMYK"]))
    shape = (side, int(rng.integers(1, 2 * side)), 3)
    made = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
    file = io.BytesIO()
    progressive = {"progressive": bool(rng.random() < 0.5)} if kind == "JPEG" else {}
    made.convert(mode if mode in MODES[kind].split() else "RGB").save(file, kind, **progressive)
    return file.getvalue()


def one_of(root: Path, rng: Rng) -> Path:
    return Path(str(rng.choice(sorted(str(file) for file in root.rglob("*.png")))))


def png(folder: Path, rng: Rng) -> Path:
    root = folders(folder, rng)
    one_of(root, rng).write_bytes(any_damage(picture("PNG", rng), rng))
    return root


def jpeg(folder: Path, rng: Rng) -> Path:
    root = folders(folder, rng)
    one_of(root, rng).with_suffix(".jpg").write_bytes(any_damage(picture("JPEG", rng), rng))
    return root


def other_picture(folder: Path, rng: Rng) -> Path:
    root = folders(folder, rng)
    kind = str(rng.choice(["BMP", "GIF", "TIFF", "WEBP", "PPM"]))
    one_of(root, rng).write_bytes(any_damage(picture(kind, rng), rng))
    return root


def png_header(folder: Path, rng: Rng) -> Path:
    """A PNG claims another size, depth or kind, its checksum fitting; or its text would become gigabytes."""
    root = folders(folder, rng)
    content = picture("PNG", rng)
    header = bytearray(content[16:29])
    if rng.random() < 0.6:
        sides = [0, 1, 17, 9_000, 40_000, 2**31 - 1, 2**32 - 1]
        header[:8] = struct.pack(">II", *(int(rng.choice(sides)) for _ in range(2)))
    else:
        header[8 + int(rng.integers(5))] = int(rng.integers(256))
    text = b"zTXt" + b"a\x00\x00" + zlib.compress(bytes(int(rng.choice([10, 10**8]))))
    content = content[:12] + chunk(b"IHDR" + header) + chunk(text, True) + content[33:]
    one_of(root, rng).write_bytes(content)
    return root


def chunk(content: bytes, length: bool = False) -> bytes:
    """A PNG chunk; the header's length stands before it already."""
    size = struct.pack(">I", len(content) - 4) if length else b""
    return size + content + struct.pack(">I", zlib.crc32(content))


def jpeg_header(folder: Path, rng: Rng) -> Path:
    """A JPEG's frame claims another size, or another number of components."""
    root = folders(folder, rng)
    content = bytearray(picture("JPEG", rng))
    frame = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    if rng.random() < 0.8:
        sides = [0, 1, 17, 9_000, 30_000, 65_535]
        content[frame + 5 : frame + 9] = struct.pack(">HH", *(int(rng.choice(sides)) for _ in range(2)))
    else:
        content[frame + 9] = int(rng.integers(256))
    one_of(root, rng).with_suffix(".jpg").write_bytes(content)
    return root


def large_picture(folder: Path, rng: Rng) -> Path:
    """Pictures whose header is true: up to 80 million pixels in a few kilobytes, several of them."""
    root = folders(folder, rng)
    side = int(rng.choice([4_000, 8_900, 9_600]))
    for _ in range(2):
        one_of(root, rng).write_bytes(blank(side))
    return root


@functools.lru_cache(maxsize=3)
def blank(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return file.getvalue()


def strange_file(folder: Path, rng: Rng) -> Path:
    """What a folder can hold under a picture's name."""
    root = folders(folder, rng)
    file = one_of(root, rng)
    outside = folder / "outside.png"
    outside.write_bytes(picture("PNG", rng))
    file.unlink()
    makers: list[Callable[[], object]] = [
        lambda: file.symlink_to(outside),
        lambda: file.symlink_to("/dev/zero"),
        lambda: file.symlink_to(file),
        lambda: file.symlink_to("nowhere.png"),
        lambda: os.mkfifo(file),
        file.mkdir,
        lambda: file.write_bytes(b""),
        lambda: file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/out) (w) file\n"),
        lambda: file.write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        lambda: (file.parent / "more").symlink_to(folder),
        lambda: (root / "dogs").symlink_to(folder),
        lambda: (file.write_bytes(picture("PNG", rng)), file.chmod(0)),
        lambda: (file.parent / "._0.png").write_bytes(b"what another system left"),
    ]
    makers[int(rng.integers(len(makers)))]()
    return root


def strange_name(folder: Path, rng: Rng) -> Path:
    """Names with line breaks, terminal codes, bytes that are no UTF-8, of files and classes, good or damaged."""
    root = folders(folder, rng)
    name = str(rng.choice(["a\nb", "\x1b[31m", "\udcff", "\u202e", " ", "é" * 120, "-rf", "%s{0}", "a\tb"]))
    file = one_of(root, rng)
    renamed = file.with_name(f"{name}.png")
    file.rename(renamed)
    if rng.random() < 0.5:
        renamed.write_bytes(cut(picture("PNG", rng), rng))
    if rng.random() < 0.5:
        renamed.parent.rename(renamed.parent.with_name(name))
    return root


def missing_classes(folder: Path, rng: Rng) -> Path:
    """Classes without pictures, one class only, one too many, or no folders at all."""
    root = folders(folder, rng)
    tops = [root / part for part in ("train", "val", "test") if (root / part).exists()] or [root]
    top = tops[int(rng.integers(len(tops)))]
    kind = int(rng.integers(4))
    if kind == 0:
        for file in (top / "bees").iterdir():
            file.unlink()
    elif kind == 1:
        for name in ("ants", "bees"):
            shutil.rmtree(top / name)
    elif kind == 2:
        shutil.copytree(top / "ants", top / "dogs")
    else:
        shutil.rmtree(top)
        top.mkdir()
    return root


DAMAGES: tuple[Damage, ...] = (
    npz_bytes, npz_members, npz_header, npz_bomb, npz_values, csv_bytes, csv_cells, csv_ragged, csv_wide, png, jpeg,
    other_picture, png_header, jpeg_header, large_picture, strange_file, strange_name, missing_classes,
)  # fmt: skip


def read(spec: Path, shape: tuple[int, ...], rng: Rng) -> None:
    """What a run does with its data before it trains."""
    run = spec.parent / "run"
    pictures.KEPT_BYTES = int(rng.choice([0, 256 << 20]))  # files of the run folder, or memory
    try:
        with Scratch(run) as scratch:
            data = load_data(str(spec), shape, CLASSES, scratch=scratch)
            data.digests()
            "".join((data.name, *data.notes)).encode()
            preset_for(data.x_train, str(rng.choice(["", *PRESETS])))
    finally:
        if run.exists():
            raise AssertionError("something was left in the run folder")


def cases(count: int, seed: int, home: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        damage = DAMAGES[number % len(DAMAGES)]
        folder = home / str(number)
        folder.mkdir()
        spec = damage(folder, rng)
        shape = (1, 1, WIDTH) if spec.suffix == ".csv" else SHAPE
        yield damage.__name__, functools.partial(read, spec, shape, rng)
        shutil.rmtree(folder)
        assert list(home.iterdir()) == []


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as folder:
        fuzzing.run(cases(count, seed, Path(folder)))


if __name__ == "__main__":
    main()
