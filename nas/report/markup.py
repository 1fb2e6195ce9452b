"""Small pieces of HTML that several sections of the report use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape


def badge(verdict: str, text: str = "") -> str:
    """A verdict, or another short text in its colour."""
    return f'<span class="badge {escape(verdict)}">{escape(text or verdict)}</span>'


def table(names: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]]) -> str:
    """A table of cells that are HTML already; a row with True stands out."""
    head_row = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = ""
    for cells, marked in rows:
        kind = ' class="chosen"' if marked else ""
        body += f"<tr{kind}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    return f'<div class="wide"><table><thead><tr>{head_row}</tr></thead><tbody>{body}</tbody></table></div>'


def unbroken(text: str) -> str:
    """The text with its figures kept on one line with their units."""
    return re.sub(r"(\d) (%|[kKMG]?B?\b)", "\\1&nbsp;\\2", text)
