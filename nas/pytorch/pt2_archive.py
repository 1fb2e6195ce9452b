"""The archive that `torch.export.save` writes, read as plain data: JSON and raw tensors, never a pickle.

`torch.export.load` is not used: it unpickles the sample inputs and whatever payload says so, loads compiled libraries,
and evaluates expressions. Here those entries are not opened, and a tensor that is pickled is refused. The format is
that of torch/_export/serde/schema.py, version 8, in a zip file without compression.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.functions import first_line
from search_spaces.errors import ModelError

VERSION = 8
"""The major version of the schema since torch 2.8."""

LARGEST_FILE = 2**28
LARGEST_JSON = 2**26

DTYPES = {
    **{1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16},
    **{7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16},
}
"""Of the schema's ScalarType."""

ADVICE = "export it to ONNX: torch.onnx.export(torch.export.load(FILE).module(), (example,), 'net.onnx')"

# What reading a damaged archive, or JSON of another form, may raise.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)

_STRIDED = 7
_PAYLOAD = re.compile(r"(weight|tensor)_\d+")


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The program as the file's JSON has it, unchecked, and its parameters, buffers and constants by name.

    Raises:
        ModelError: the file cannot be read, is no such archive, holds pickled tensors, or its tensors reach beyond it.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            entries = _entries(path, archive, size)
            return _program(path, archive, entries), _tensors(path, archive, entries)
    except OSError as error:
        raise ModelError(f"the model {str(path)!r} cannot be read: {error.strerror or error}") from None
    except _DAMAGE as error:
        reason = first_line(error)[:120]
        raise ModelError(f"{path} is not a whole file of torch.export.save ({reason}); save it again") from None


def _entries(path: Path, archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The archive's entries by their names inside its one folder; none can be larger than the file says."""
    if size > LARGEST_FILE:
        raise ModelError(f"{path} may have at most {LARGEST_FILE >> 20} MB, got {size >> 20} MB; {ADVICE}")
    infos = archive.infolist()
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos) or sum(i.file_size for i in infos) > size:
        raise ModelError(f"{path} holds compressed entries, which torch.export.save does not write; save it again")
    entries = {info.filename.partition("/")[2]: info for info in infos}
    if "serialized_exported_program.json" in {*entries, *(info.filename for info in infos)}:
        raise ModelError(f"{path} is of torch 2.7 or older, which pickled its tensors and is not opened; {ADVICE}")
    if len(entries) != len(infos):
        raise ValueError("two entries have one name")
    return entries


def _program(path: Path, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
    models = [name for name in entries if re.fullmatch(r"models/[^/]+\.json", name)]
    if len(models) != 1:
        raise ModelError(f"{path} must hold one exported program, got {len(models)}; write it by torch.export.save")
    found: dict[str, Any] = _json(archive, entries[models[0]])
    if found["schema_version"]["major"] != VERSION:
        law = f"must have version {VERSION} of the schema"
        raise ModelError(f"{path} {law}, got {found['schema_version']['major']}; {ADVICE}")
    if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
        raise ModelError(f"{path} must be little-endian; {ADVICE}")
    return found


def _json(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Any:
    if entry.file_size > LARGEST_JSON:
        raise ValueError(f"{entry.filename} has {entry.file_size >> 20} MB")
    return json.loads(archive.read(entry))


def _tensors(path: Path, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> dict[str, Tensor]:
    """Every tensor of both folders; several may share one payload."""
    found: dict[str, Tensor] = {}
    for folder in ("data/weights/", "data/constants/"):
        payloads: dict[str, bytearray] = {}
        for name in [name for name in entries if name.startswith(folder) and name.endswith("_config.json")]:
            for tensor, meta in _json(archive, entries[name])["config"].items():
                payload = meta["path_name"]
                if meta["use_pickle"] is not False or not _PAYLOAD.fullmatch(payload):
                    raise ModelError(f"{path} holds {tensor!r} as a pickle, which is not opened; {ADVICE}")
                if payload not in payloads:
                    payloads[payload] = bytearray(archive.read(entries[folder + payload]))
                found[tensor] = _tensor(payloads[payload], meta["tensor_meta"])
    return found


def _tensor(payload: bytearray, meta: dict[str, Any]) -> Tensor:
    """A view of raw bytes.

    Raises:
        ValueError: it reaches beyond them, or would make more numbers of them than there are.
    """
    dtype, sizes, strides = DTYPES[meta["dtype"]], _integers(meta["sizes"]), _integers(meta["strides"])
    (offset,) = _integers([meta["storage_offset"]])
    if meta["layout"] != _STRIDED or len(sizes) != len(strides):
        raise ValueError("a tensor is not strided")
    if prod(sizes) == 0:
        return torch.zeros(sizes, dtype=dtype)
    last = offset + sum((side - 1) * stride for side, stride in zip(sizes, strides, strict=True))
    if max(last + 1, prod(sizes)) * dtype.itemsize > len(payload):
        raise ValueError("a tensor is larger than its bytes")
    return torch.frombuffer(payload, dtype=dtype).as_strided(sizes, strides, offset)


def _integers(written: list[dict[str, Any]]) -> list[int]:
    """Sizes or strides, all of them known and none negative."""
    numbers = [entry["as_int"] for entry in written]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a tensor's sides must be whole numbers")
    return numbers
