"""The two programs, `optimize` and `nas`, put together from `nas.commands`.

Exit codes: 0 a front was found, 1 nothing meets the limits or a proof is broken, 2 bad input (one line on standard
error), 130 stopped by the user with the state kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from nas.commands import finished, inspect
from nas.commands.optimize import EXAMPLES, optimize
from nas.version import VERSION


def optimize_main() -> None:
    """Entry point of `optimize`."""
    _run(optimize_app())


def main() -> None:
    """Entry point of `nas`."""
    _run(nas_app())


def optimize_app() -> typer.Typer:
    """`optimize` alone."""
    app = _app()
    app.command(epilog=EXAMPLES)(optimize)
    return app


def nas_app() -> typer.Typer:
    """`nas` with all its commands."""
    app = _app()
    app.callback()(_nas)
    app.command("optimize", epilog=EXAMPLES)(optimize)
    commands: dict[str, Callable[..., None]] = {
        "space": inspect.space_command, "cost": inspect.cost_command, "targets": inspect.targets_command,
        "calibrate": inspect.calibrate_command,
        "report": finished.report_command, "verify": finished.verify_command, "dashboard": finished.dashboard_command,
        "export": finished.export_command, "emulate": finished.emulate_command,
    }  # fmt: skip
    for name, command in commands.items():
        app.command(name)(command)
    return app


def _app() -> typer.Typer:
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


def _run(app: typer.Typer) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # an arrow must not end a run in a terminal that has none
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit()


def _nas(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and leave."),
    ] = False,
) -> None:
    """Fit trained neural networks onto microcontrollers."""
