"""Every error a user can cause, and the exit code it ends with.

EngineError
├── InputError            exit 2: one line, the law, the value, what to do
│   ├── ModelError        the model file or its graph
│   │   └── UnsupportedOp an operator that is neither understood nor frozen; names the node
│   ├── DataError         the data set
│   ├── LimitError        a size, time, drop or budget that cannot be read
│   ├── SpaceError        a space declaration or a genome
│   ├── TargetError       a device, a runtime, or an operator the runtime lacks
│   └── RunFolderError    the output folder, its ledger, the disk
├── NothingFits           exit 1: no network meets the limits
├── ProofBroken           exit 1: a runtime answers otherwise than it must
└── Interrupted           exit 130: stopped by the user, state kept
"""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with line breaks, terminal codes and whatever else cannot be printed escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class EngineError(Exception):
    """Base of all errors whose text is meant for the user: one line, whatever names a file brings into it."""

    exit_code = 2

    def __str__(self) -> str:
        return printable(super().__str__())


class InputError(EngineError):
    """What the user gave cannot be used."""


class ModelError(InputError):
    """The model file or its graph cannot be used."""


class UnsupportedOp(ModelError):
    """An operator without a rule; the message names the node, the operator and the nearest advice."""


class DataError(InputError):
    """The data set cannot be used."""


class LimitError(InputError):
    """A limit or budget cannot be read."""


class SpaceError(InputError):
    """A space declaration or a genome is not valid."""


class TargetError(InputError):
    """A device or runtime is unknown, or lacks an operator."""


class RunFolderError(InputError):
    """The output folder cannot be used."""


class NothingFits(EngineError):
    """No network meets the limits; the message names the limit that binds."""

    exit_code = 1


class ProofBroken(EngineError):
    """A runtime answers otherwise than it must; the message counts the models."""

    exit_code = 1


class Interrupted(EngineError):
    """The user stopped the run; what was finished is kept."""

    exit_code = 130


def in_words(shape: tuple[object, ...]) -> str:
    """`3 x 96 x 96`, for messages."""
    return " x ".join(map(str, shape)) or "a single number"
