"""A small FlatBuffer writer whose layout is known before its data: sizes first, bytes later.

A `Draft` holds nodes as plain tuples. Equal tuples are one node, so whatever is equal by construction is stored once
and pointed at from several places; data that comes later has a name (`Role`), so nothing is ever shared by the luck of
its values. Children enter before their parents, and the file holds them the other way round, since a FlatBuffer's
offsets only point forward:

    root offset, identifier | vtables | tables and vectors of offsets, parents first | vectors of data

A byte vector starts at a multiple of 16 and a 64-bit vector at a multiple of 8. The gaps before them are filled with
the other vectors, so that alignment costs next to nothing.

Format: https://flatbuffers.dev/internals
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np

Role = tuple[str, str | int]
"""The name of data that is known only when the file is written."""

Fields = tuple[tuple[int, str], ...]
"""Slot (the field's number in the schema) and `struct` code of each field of a table; `O` is an offset to a child."""

Node = tuple[Any, ...]
"""`(Layout, *values)`, `(OFFSETS, *children)`, `(INTS, *values)` or `(FLOATS | LONGS | BLOB, length, content)`.

The content is a `Role`, or numbers that are repeated up to the length. A BLOB's length is in bytes.
"""

Anchor = tuple[int, int]
"""What must stand aligned: the multiple (16 for a blob's bytes, 8 for 64-bit numbers), and the size in bytes.

The size is that of the whole node, whose first byte then stands 4 past such a multiple: a blob's table (8 bytes) and
length (4), or a vector's length (4), lead up to the aligned data.
"""


class Vector:
    """A kind of vector, by the NumPy type of its elements."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)


OFFSETS, INTS, FLOATS, LONGS = Vector("<u4"), Vector("<i4"), Vector("<f4"), Vector("<i8")
BLOB = Vector("<i4")
"""Bytes together with the table that holds them in its first field; numbers given as content are 32-bit integers."""


class Layout:
    """The form of a table: four-byte fields first, single bytes (code `b`) last, so that no field needs padding.

    Attributes:
        codes: the fields' codes, in the order in which a node gives their values.
        places: the fields' places in the table.
        size: bytes of the table, rounded up to four.
        vtable: its bytes; tables with equal vtables share one.
    """

    __slots__ = ("codes", "places", "size", "vtable")

    def __init__(self, *fields: tuple[int, str]) -> None:
        places, end = {}, 4
        for slot, code in sorted(fields, key=lambda field: field[1] == "b"):
            places[slot] = end
            end += 1 if code == "b" else 4
        slots = [places.get(slot, 0) for slot in range(1 + max(places, default=-1))]
        self.codes = tuple(code for _, code in fields)
        self.places = tuple(places[slot] for slot, _ in fields)
        self.size = end + 3 & -4
        self.vtable = struct.pack(f"<{2 + len(slots)}H", 4 + 2 * len(slots), self.size, *slots)


layout = cache(Layout)
"""A table's form; equal ones are one object."""

BLOB_TABLE = layout((0, "O"))


@cache
def scalars(fields: Fields, values: tuple[float, ...], defaults: tuple[float, ...]) -> Node:
    """The node of a table without children; fields at their default take no space."""
    kept = [k for k, value in enumerate(values) if value != defaults[k]]
    return (layout(*(fields[k] for k in kept)), *(values[k] for k in kept))


def blob_anchor(length: int) -> Anchor:
    """The anchor of a BLOB of `length` bytes."""
    return 16, 12 + (length + 3 & -4)


def longs_anchor(length: int) -> Anchor:
    """The anchor of a vector of `length` 64-bit numbers."""
    return 8, 4 + 8 * length


def head_size(layouts: Iterable[Layout]) -> int:
    """Bytes before the first table, when tables of these layouts occur: the header and the vtables."""
    return 8 + sum({layout.vtable: len(layout.vtable) for layout in layouts}.values()) + 3 & -4


def fill(position: int, anchors: Iterable[Anchor], stock: list[int]) -> tuple[int, list[tuple[int, ...]]]:
    """Leads up to every anchor with other vectors; `stock[w]` of them have a size of `w` words modulo 4.

    Args:
        position: where the first may stand.
        stock: taken from as vectors are used up.

    Returns:
        The bytes of padding that are left, and the kinds of vectors used before each anchor.
    """
    padding = 0
    used = []
    for multiple, size in anchors:
        words = (4 - position) % multiple >> 2
        position += 4 * words + size  # modulo 16, which is all that counts
        steps: tuple[int, ...] = ()
        while words:
            step = words
            while step and not stock[step]:
                step -= 1
            if not step:
                padding += 4 * words
                break
            stock[step] -= 1
            steps += (step,)
            words -= step
        used.append(steps)
    return padding, used


class Draft:
    """A FlatBuffer without its data; the node added last is the root."""

    def __init__(self) -> None:
        self._nodes: dict[Node, int] = {}

    def add(self, *node: Any) -> int:
        """The number of `node`, the same for equal nodes."""
        return self._nodes.setdefault(node, len(self._nodes))

    def write(self, data: Mapping[Role, np.ndarray], identifier: bytes) -> bytes:
        """The file.

        Raises:
            KeyError: a role has no data.
            ValueError: a role's data does not fill its vector.
        """
        places, size, vtables = self._arrange()
        out = bytearray(size)
        struct.pack_into("<I4s", out, 0, places[len(places) - 1], identifier)
        for vtable, position in vtables.items():
            out[position : position + len(vtable)] = vtable
        for (what, *values), number in self._nodes.items():
            at = places[number]
            if isinstance(what, Layout):
                struct.pack_into("<i", out, at, at - vtables[what.vtable])
                for value, code, place in zip(values, what.codes, what.places, strict=True):
                    value, code = (places[value] - at - place, "I") if code == "O" else (value, code)
                    struct.pack_into(f"<{code}", out, at + place, value)
            elif what is OFFSETS:
                steps = [places[child] - at - 4 - 4 * k for k, child in enumerate(values)]
                struct.pack_into(f"<{1 + len(steps)}I", out, at, len(steps), *steps)
            elif what is INTS:
                struct.pack_into(f"<I{len(values)}i", out, at, len(values), *values)
            else:
                if what is BLOB:
                    struct.pack_into("<iI", out, at, at - vtables[BLOB_TABLE.vtable], 4)
                    at += 8
                content = _content(what, values[0], values[1], data)
                struct.pack_into("<I", out, at, values[0])
                out[at + 4 : at + 4 + len(content)] = content
        return bytes(out)

    def _arrange(self) -> tuple[dict[int, int], int, dict[bytes, int]]:
        """The position of every node, the size of the file, and the position of every vtable."""
        tables: list[tuple[int, int]] = []
        anchors: list[tuple[Anchor, int]] = []
        fillers: tuple[list[tuple[int, int]], ...] = ([], [], [], [])
        layouts: dict[Layout, None] = {}
        for node, number in self._nodes.items():
            what = node[0]
            if isinstance(what, Layout):
                tables.append((number, what.size))
                layouts[what] = None
            elif what is OFFSETS:
                tables.append((number, 4 * len(node)))
            elif what is BLOB:
                anchors.append((blob_anchor(node[1]), number))
                layouts[BLOB_TABLE] = None
            elif what is LONGS:
                anchors.append((longs_anchor(node[1]), number))
            else:
                words = len(node) if what is INTS else 1 + node[1]
                fillers[words & 3].append((number, 4 * words))
        anchors.sort()

        vtables: dict[bytes, int] = {}
        position = 8
        for vtable in {layout.vtable: None for layout in layouts}:
            vtables[vtable] = position
            position += len(vtable)
        position = head_size(layouts)
        places: dict[int, int] = {}
        for number, size in reversed(tables):
            places[number] = position
            position += size
        _, used = fill(position, [anchor for anchor, _ in anchors], [len(kind) for kind in fillers])
        for ((multiple, size), number), kinds in zip(anchors, used, strict=True):
            for kind in kinds:
                filler, filled = fillers[kind].pop()
                places[filler] = position
                position += filled
            position += (4 - position) % multiple
            places[number] = position
            position += size
        for number, size in (one for kind in fillers for one in kind):
            places[number] = position
            position += size
        return places, position, vtables


def _content(what: Vector, length: int, content: tuple[Any, ...], data: Mapping[Role, np.ndarray]) -> bytes:
    """The bytes of a vector; numbers are repeated up to its length."""
    wanted = length * (1 if what is BLOB else what.dtype.itemsize)
    if isinstance(content[0], str):
        array = data[content]
        found = array.tobytes() if what is BLOB else array.astype(what.dtype).tobytes()
    else:
        found = np.resize(np.array(content, what.dtype), wanted // what.dtype.itemsize).tobytes()
    if len(found) != wanted:
        raise ValueError(f"{content} must fill {wanted} bytes, got {len(found)}")
    return found
