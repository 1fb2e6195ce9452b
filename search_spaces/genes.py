"""What can change in a network, and one choice of it.

A `Gene` is a name and its options in ascending order; the last option is the original's value unless growth is
declared. A `Genome` is one value per gene: hashable, JSON both ways, and canonical (see `SearchSpace.canonical`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import SpaceError

GeneKind = Literal["width", "depth", "kernel", "resolution", "rank", "bits"]


@dataclass(frozen=True, slots=True)
class Gene:
    """One thing that can change.

    Attributes:
        name: `width:<tensor>`, `resolution:<input>`, or the kind and an operator, as `kernel:<op>`; unique in a space.
        kind: what it changes.
        options: the values it may take, ascending, at least one. Widths are channel counts, depths are 0 (removed) or
            1 (kept), kernels and resolutions are side lengths, ranks are the channels between the two layers that
            stand in for one; the original's rank is one layer. Bits are those of a stored weight, 4 or 8.
        original: the original network's value.
    """

    name: str
    kind: GeneKind
    options: tuple[int, ...]
    original: int

    def __post_init__(self) -> None:
        if not self.options or list(self.options) != sorted(set(self.options)):
            raise SpaceError(f"gene {self.name!r} needs ascending, distinct options, got {self.options}")


@dataclass(frozen=True, slots=True)
class Genome:
    """One value per gene, in the order of the space's genes."""

    values: tuple[int, ...]

    def to_json(self) -> list[int]:
        return list(self.values)

    @staticmethod
    def from_json(values: list[int]) -> Genome:
        return Genome(tuple(int(v) for v in values))

    @property
    def key(self) -> str:
        """Ten hexadecimal digits of the genome's SHA-256: the name of a model's folder."""
        return hashlib.sha256(json.dumps(list(self.values)).encode()).hexdigest()[:10]
