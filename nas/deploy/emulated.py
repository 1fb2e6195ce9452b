"""What an emulated core did with a firmware, whichever emulator ran it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.deploy.cycles import Block
from search_spaces.errors import EngineError


class EmulationError(EngineError):
    """The emulated firmware does not run to its end."""


@dataclass(frozen=True)
class Emulated:
    """What an emulated core did.

    Attributes:
        emulator: its name.
        answers: int8, one row per image.
        stack_bytes: the most the code used of the stack.
        blocks: executed for the last image; empty where the emulator could not count.
        misaligned: reads on the bus more than there are loads, for that image.
    """

    emulator: str
    answers: np.ndarray
    stack_bytes: int
    blocks: tuple[Block, ...]
    misaligned: int


def check_guard(broken: int) -> None:
    """Raises EmulationError if words beside the arena, which nothing may write, were written."""
    if broken:
        raise EmulationError(
            f"the firmware must write inside its arena, it wrote {broken} words beside it: do not ship this export"
        )
