"""Colours of the pictures and the report, on light and on dark paper.

Verdicts are told apart by colour-blind-safe hues (after Okabe and Ito, jfly.uni-koeln.de/color) and by shape.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """One set of colours, each `#rrggbb`.

    Attributes:
        paper, panel: the page and a raised box on it.
        ink, muted, line: text, text of less weight, rules and grids.
        proven, likely, against: the three verdicts.
        accent: bars and links.
        archive: the search's evaluations.
    """

    paper: str
    panel: str
    ink: str
    muted: str
    line: str
    proven: str
    likely: str
    against: str
    accent: str
    archive: str

    def verdict(self, verdict: str) -> str:
        """The colour of a verdict."""
        return {"proven": self.proven, "likely": self.likely}.get(verdict, self.against)


LIGHT = Theme(
    paper="#ffffff", panel="#f5f7f9", ink="#1a2027", muted="#5d6873", line="#dce1e6",
    proven="#0072b2", likely="#b87400", against="#c8451b", accent="#3b82a8", archive="#b4bcc4",
)  # fmt: skip
DARK = Theme(
    paper="#12161b", panel="#1a2027", ink="#e7ebef", muted="#9aa5b0", line="#2d3640",
    proven="#56b4e9", likely="#f0b93a", against="#f0805a", accent="#6fb3d2", archive="#55606b",
)  # fmt: skip
