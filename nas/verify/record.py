"""`verify.json`: what was proven of a run."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas import records
from nas.atomic import write_json

VERIFY_FILE = "verify.json"


@dataclass(frozen=True, slots=True)
class Answers:
    """What one runtime answered, beside LiteRT's reference kernels.

    Attributes:
        runtime: its name.
        accuracy: the task's metric on these images; None where they do not tell.
        agreement: percent of images on which both decide the same; None where the task decides nothing.
        differing: values that are not equal.
        worst_lsb: the largest difference, in steps of the int8 output.
    """

    runtime: str
    accuracy: float | None
    agreement: float | None
    differing: int
    worst_lsb: int


@dataclass(frozen=True, slots=True)
class Proof:
    """One point's.

    Attributes:
        id: of the point.
        images, values: how many test images were answered, and how many int8 values that makes.
        answers: of every runtime that was there, LiteRT's reference kernels first.
        broken: what breaks the law of `nas.verify.proof`, one sentence each; empty if it holds.
    """

    id: str
    images: int
    values: int
    answers: tuple[Answers, ...]
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """A run's.

    Attributes:
        metric: what an accuracy is.
        proofs: of every point that was looked at.
        missing: runtimes that were not there, and the line that installs each.
        version: of the engine that verified.
    """

    metric: str
    proofs: tuple[Proof, ...]
    missing: dict[str, str]
    version: str

    @property
    def holds(self) -> bool:
        """Is no proof broken?"""
        return not any(proof.broken for proof in self.proofs)

    def to_json(self) -> dict[str, Any]:
        return {"holds": self.holds, **dataclasses.asdict(self)}


def write(found: Verification, folder: Path) -> None:
    """Leaves a verification in a run's folder.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    write_json(folder / VERIFY_FILE, found.to_json())


def load(folder: Path) -> Verification | None:
    """What was last verified in a run's folder; None where nothing was, or nothing that can be read."""
    try:
        content = json.loads((folder / VERIFY_FILE).read_text(encoding="utf-8"))
        content.pop("holds")
        found: Verification = records.built(Verification, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found
