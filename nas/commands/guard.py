"""Around every command: an error becomes one line and an exit code, a record becomes JSON."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import typer

from search_spaces.errors import EngineError, Interrupted

P = ParamSpec("P")
R = TypeVar("R")


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turns an error meant for the user into one line and its exit code; a defect keeps its traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except EngineError as error:
            typer.secho(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:  # whatever the system refuses and no room has put into words
            what = f"{error.filename}: " if error.filename else ""
            typer.secho(f"error: {what}{error.strerror or error}", err=True)
            raise typer.Exit(EngineError.exit_code) from None
        except KeyboardInterrupt:
            typer.secho("stopped", err=True)
            raise typer.Exit(Interrupted.exit_code) from None

    return guarded


def print_json(value: Any) -> None:
    """A command's answer for machines."""
    typer.echo(json.dumps(value, indent=2))
