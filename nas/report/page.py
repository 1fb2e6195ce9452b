"""`report.html`: the run as one self-contained page, made from the run folder alone.

Everything on it comes from `result.json` and `verify.json` (and `config.toml`, quoted); pictures are inside the file,
there is no script and no link out, and it follows the reader's light or dark setting. `nas report DIR` makes it again.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from nas.atomic import write_bytes, write_json, write_text
from nas.config import CONFIG_FILE
from nas.report import plots, sections, tables
from nas.report.bill import bill
from nas.report.comparison import comparison
from nas.report.meaning import meaning
from nas.report.proofs import proofs
from nas.report.theme import DARK, LIGHT, Theme
from nas.report.trust import trust
from nas.result import RESULT_FILE, RunResult, load_result
from nas.verify import record
from nas.verify.record import Verification

REPORT_FILE = "report.html"


def write_run(result: RunResult, folder: Path) -> Path:
    """The result and everything a run folder derives from it. Returns the report's path.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    write_json(folder / RESULT_FILE, result.to_json())
    return _derive(result, folder)


def rewrite(folder: Path) -> Path:
    """Makes a finished run's tables, pictures and report again.

    Raises:
        RunFolderError: the folder holds no finished run, or cannot be written.
    """
    return _derive(load_result(folder), folder)


def _derive(result: RunResult, folder: Path) -> Path:
    """Tables, pictures, report."""
    tables.write_tables(result, folder)
    write_bytes(folder / "pareto.png", plots.png(plots.pareto_figure(result)))
    if result.bill:
        write_bytes(folder / "bill.png", plots.png(plots.bill_figure(result.bill)))
    path = folder / REPORT_FILE
    write_text(path, page(result, config_text=_config_text(folder), verification=record.load(folder)))
    return path


def page(result: RunResult, *, config_text: str = "", verification: Verification | None = None) -> str:
    """The whole page as HTML.

    Args:
        result: the run.
        config_text: the resolved `config.toml`, quoted under "how to see it again"; "" leaves it out.
        verification: what `nas verify` found, if it was called.
    """
    picture = _picture(lambda theme: plots.svg(plots.pareto_figure(result, theme)))
    parts = [
        sections.head(result),
        sections.front_picture(result, picture),
        comparison(result),
        sections.limits(result),
        trust(result),
        sections.front(result),
        bill(result),
        proofs(verification),
        meaning(result),
        sections.run(result),
        sections.again(result, config_text),
    ]
    template = Template(resources.files("nas.report").joinpath("template/report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"{result.original.name} for {result.target}"),
        light=_variables(LIGHT),
        dark=_variables(DARK),
        body="\n".join(part for part in parts if part),
    )


def _config_text(folder: Path) -> str:
    try:
        return (folder / CONFIG_FILE).read_text(encoding="utf-8")
    except OSError:
        return ""


def _variables(theme: Theme) -> str:
    return " ".join(f"--{name}: {color};" for name, color in dataclasses.asdict(theme).items())


def _picture(draw: Callable[[Theme], bytes]) -> str:
    """One drawing in both themes; the reader's setting picks."""
    light, dark = (f"data:image/svg+xml;base64,{base64.b64encode(draw(theme)).decode()}" for theme in (LIGHT, DARK))
    return (
        f'<picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="size of each model against the accuracy it loses"></picture>'
    )
