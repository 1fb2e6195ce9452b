"""A `.tflite` file's tensors and operators. The bytes may be anybody's: what does not hold is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import TypeVar

import numpy as np

from search_spaces.errors import ModelError
from targets import tflite_schema as schema

T = TypeVar("T")
MOST_VALUES = 1 << 28
"""A tensor has no more values than this; a microcontroller holds far fewer."""

TYPES: dict[int, np.dtype] = {schema.INT8: np.dtype(np.int8), schema.INT32: np.dtype("<i4")}


@dataclass(frozen=True)
class FileTensor:
    """A tensor of the file.

    Attributes:
        shape: with the batch axis.
        dtype: int8 or int32.
        scales, zero_points: one, or one per filter; empty where the tensor is no quantized one.
        data: of a constant, in that shape; else None.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    scales: np.ndarray
    zero_points: np.ndarray
    data: np.ndarray | None


@dataclass(frozen=True)
class FileOperator:
    """An operator of the file: its number in TFLite's schema, the tensors it joins, and its table of options."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table = field(repr=False)


@dataclass(frozen=True)
class FileModel:
    """The file: one network with one input and one output."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    input: int
    output: int


class Table:
    """A FlatBuffers table: its fields by slot. https://flatbuffers.dev/internals"""

    def __init__(self, file: bytes, at: int) -> None:
        self.file, self.at = file, at
        if at:
            self.slots = at - self._read("<i", at)
            self.count = (self._read("<H", self.slots) - 4) // 2

    def _read(self, form: str, at: int) -> int:
        if not 0 <= at <= len(self.file) - struct.calcsize(form):
            raise ModelError(f"the .tflite file is broken: offset {at} leaves its {len(self.file)} bytes")
        return struct.unpack_from(form, self.file, at)[0]

    def _place(self, slot: int) -> int:
        """Where a field lies; 0 if it is not there."""
        if not self.at or slot >= self.count:
            return 0
        offset = self._read("<H", self.slots + 4 + 2 * slot)
        return self.at + offset if offset else 0

    def number(self, slot: int, form: str, default: float = 0) -> float:
        at = self._place(slot)
        return self._read("<" + form, at) if at else default

    def integer(self, slot: int, form: str = "i", default: int = 0) -> int:
        return int(self.number(slot, form, default))

    def table(self, slot: int) -> Table:
        """A table in a field; an empty one where it is not there."""
        at = self._place(slot)
        return Table(self.file, at + self._read("<I", at) if at else 0)

    def _vector(self, slot: int, size: int) -> tuple[int, int]:
        at = self._place(slot)
        if not at:
            return 0, 0
        start = at + self._read("<I", at)
        count = self._read("<I", start)
        if start + 4 + count * size > len(self.file):
            raise ModelError(f"the .tflite file is broken: {count} values at {start} leave its {len(self.file)} bytes")
        return start + 4, count

    def array(self, slot: int, dtype: str) -> np.ndarray:
        """A vector of numbers, empty where it is not there."""
        form = np.dtype(dtype)
        start, count = self._vector(slot, form.itemsize)
        return np.frombuffer(self.file, form, count, start)

    def each(self, slot: int, make: Callable[[Table], T]) -> tuple[T, ...]:
        """What `make` makes of every table of a vector."""
        start, count = self._vector(slot, 4)
        places = [start + 4 * k for k in range(count)]
        return tuple(make(Table(self.file, at + self._read("<I", at))) for at in places)


def read(file: bytes) -> FileModel:
    """The content of a `.tflite` file.

    Raises:
        ModelError: it is none, it is broken, or it is not one int8 network with one input and one output.
    """
    if len(file) < 8 or file[4:8] != schema.IDENTIFIER:
        raise ModelError("a .tflite file must have TFL3 at its fifth byte, this one has not")
    model = Table(file, struct.unpack_from("<I", file)[0])
    codes = model.each(1, lambda t: max(t.integer(0, "b"), t.integer(3)))
    subgraphs = model.each(2, lambda t: t)
    if len(subgraphs) != 1:
        raise ModelError(f"a .tflite file must hold one network, this one holds {len(subgraphs)}")
    (graph,) = subgraphs
    blobs = model.each(4, lambda t: t.array(0, "u1"))
    tensors = graph.each(0, lambda t: _tensor(t, blobs))
    inputs, outputs = _indices(graph, 1, len(tensors)), _indices(graph, 2, len(tensors))
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"the network must have one input and one output, got {len(inputs)} and {len(outputs)}")
    return FileModel(tensors, graph.each(3, lambda t: _operator(t, codes, len(tensors))), inputs[0], outputs[0])


def _tensor(table: Table, blobs: tuple[np.ndarray, ...]) -> FileTensor:
    shape = tuple(int(side) for side in table.array(0, "<i4"))
    kind, number = table.integer(1, "b"), table.integer(2, "I")
    if kind == schema.INT4:
        raise ModelError("generated C has no kernels for weights of 4 bits; export a network that has 8")
    if kind not in TYPES or min(shape, default=1) < 1 or prod(shape) > MOST_VALUES or number >= len(blobs):
        raise ModelError(f"a tensor must be int8 or int32 and of a fixed shape, got type {kind}, shape {shape}")
    dtype, blob = TYPES[kind], blobs[number]
    if len(blob) and len(blob) != prod(shape) * dtype.itemsize:
        raise ModelError(f"a constant of shape {shape} must have {prod(shape) * dtype.itemsize} bytes, has {len(blob)}")
    data = blob.view(dtype).reshape(shape) if len(blob) else None
    quantization = table.table(4)
    scales, zeros = quantization.array(2, "<f4"), quantization.array(3, "<i8")
    if not (np.isfinite(scales).all() and (scales > 0).all() and len(scales) == len(zeros)):
        raise ModelError("a tensor's scales must be positive numbers, and as many as its zero points")
    return FileTensor(shape, dtype, scales, zeros, data)


def _operator(table: Table, codes: tuple[int, ...], tensors: int) -> FileOperator:
    number = table.integer(0, "I")
    if number >= len(codes):
        raise ModelError(f"the .tflite file is broken: operator code {number} of {len(codes)}")
    return FileOperator(codes[number], _indices(table, 1, tensors), _indices(table, 2, tensors), table.table(4))


def _indices(table: Table, slot: int, count: int) -> tuple[int, ...]:
    found = tuple(int(k) for k in table.array(slot, "<i4"))
    if not all(0 <= k < count for k in found):
        raise ModelError(f"the .tflite file is broken: tensors {found} of {count}")
    return found
