"""Which kinds of genes a space has, and their bounds: read from `declared/<name>.toml` or a file of the user's."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from search_spaces.errors import SpaceError

DECLARED = Path(__file__).parent / "declared"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a space may change.

    Attributes:
        width: channel counts change.
        width_step: distance of neighbouring widths up to 8 steps; twice that up to 32 steps, four times that above.
        width_min: the least width; a layer that starts narrower keeps its width.
        depth: residual branches and plain segments may be left out.
        kernel: spatial kernels may shrink.
        kernel_growth: spatial kernels may also grow by one size; needs `kernel`.
        resolution: square images may be smaller, where no weight and no output depends on their size.
        rank: large linear layers and 1x1 convolutions may become two smaller ones.
        same_padding: every network pads as TensorFlow's SAME does where that leaves all shapes as they are, so that no
            padded copy of a map costs RAM. What is inherited then lies off by a pixel and wants longer training.
        bits: weights of convolutions may have 4 bits in place of 8.

    Raises:
        SpaceError: a value has the wrong type or range.
    """

    width: bool = True
    width_step: int = 4
    width_min: int = 4
    depth: bool = True
    kernel: bool = True
    kernel_growth: bool = False
    resolution: bool = False
    rank: bool = False
    same_padding: bool = False
    bits: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("width_step", "width_min"):
                if type(value) is not int or value < 1:
                    raise SpaceError(f"{field.name} must be a whole number of at least 1, got {value!r}")
            elif type(value) is not bool:
                raise SpaceError(f"{field.name} must be true or false, got {value!r}")
        if self.kernel_growth and not self.kernel:
            raise SpaceError("kernel_growth = true needs kernel = true")


def declared() -> list[str]:
    """Names of the spaces that come with the engine."""
    return sorted(path.stem for path in DECLARED.glob("*.toml"))


def load_declaration(name_or_path: str | Path) -> Declaration:
    """The declaration of that name, or in that `.toml` file; keys left out keep their defaults.

    Raises:
        SpaceError: no such declaration, not TOML, an unknown key, or a value out of range.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in declared():
            raise SpaceError(
                f"a space is one of {', '.join(declared())} or a .toml file, got {str(name_or_path)!r}"
                + _hint(str(name_or_path), declared())
            )
        path = DECLARED / f"{name_or_path}.toml"
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpaceError(f"cannot read the space declaration {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path} is not a TOML file: {error}") from error
    known = [field.name for field in fields(Declaration)]
    for key in table:
        if key not in known:
            raise SpaceError(f"{path} has the unknown key {key!r}; keys are {', '.join(known)}{_hint(key, known)}")
    try:
        return Declaration(**table)
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from error


def _hint(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
