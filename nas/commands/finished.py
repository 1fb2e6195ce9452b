"""Commands over the folder of a run."""

from __future__ import annotations

import typer

from nas.commands.guard import guarded
from nas.commands.options import Folder


@guarded
def report_command(folder: Folder) -> None:
    """Make a finished run's tables, pictures and report again."""
    from nas.report import page

    typer.echo(page.rewrite(folder))


@guarded
def dashboard_command(folder: Folder) -> None:
    """Mirror a run, finished or not, for optuna-dashboard."""
    from nas import dashboard

    journal = folder / dashboard.JOURNAL_FILE
    added = dashboard.mirror(folder / "ledger.jsonl", journal)
    typer.echo(f"{added} evaluations added; now run: optuna-dashboard {journal}")
