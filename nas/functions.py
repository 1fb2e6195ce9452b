"""Functions that a user names as `package.module:function`: imported from the working folder, and guarded."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from typing import Any

from search_spaces.errors import InputError, printable

FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def load(spec: str, what: str, error: type[InputError]) -> Callable[..., Any]:
    """The function, wrapped so that whatever goes wrong inside it is said in one line.

    The working folder is importable, as it is for `python -m`.

    Args:
        spec: `package.module:function`, or a class.
        what: it is for, such as "model"; begins the messages.
        error: what is raised.
    """
    module_name, _, function_name = spec.partition(":")
    if not FUNCTION.fullmatch(spec):
        raise error(f"{what} must be package.module:function, got {spec!r}")
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module_name), function_name)
    except AttributeError:
        raise error(f"{what} {spec!r}: module {module_name} has no function {function_name}") from None
    except Exception as problem:  # the module is the user's code and may raise anything
        raise error(f"{what} {spec!r} cannot be imported: {first_line(problem)}") from problem

    def call(*args: Any) -> Any:
        try:
            return found(*args)
        except Exception as problem:
            raise error(f"{what} {spec!r} raised {type(problem).__name__}: {first_line(problem)}") from problem

    return call


def first_line(problem: Exception) -> str:
    """The first line of what an error says, or else its class."""
    return printable((str(problem).strip() or type(problem).__name__).splitlines()[0])
