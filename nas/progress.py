"""What a run shows while it works: a live view in a terminal, a plain line every ten seconds elsewhere, or nothing.

It goes to standard error, so that standard output holds results only. The only module that imports rich.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas import wording

LINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a run is.

    Attributes:
        phase: what is being done, in a few words.
        evaluations: jobs that came back; None before the search.
        under_way: jobs being worked on.
        best_size_bytes, best_drop: the smallest int8 model within the drop limit so far, on search_val; None before.
        hypervolume: of everything scored within the limits so far; None before.
        share: of the phase that is done, in the search of the step plan, 0 to 1; None where that is not known.
        seconds_left: until the budget ends, as of now; None for a budget in steps.
    """

    phase: str
    evaluations: int | None = None
    under_way: int = 0
    best_size_bytes: int | None = None
    best_drop: float | None = None
    hypervolume: float | None = None
    share: float | None = None
    seconds_left: float | None = None


class Progress:
    """Shows where a run is; use as a context manager.

    Args:
        title: what the run is about, shown above the live view.
        quiet: show nothing at all.
        console: for tests; standard error by default.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        title: str = "",
        *,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._title, self._quiet, self._clock = title, quiet, clock
        self._now = Snapshot("starting")
        self._taken = self._begun = clock()
        self._line_at = -math.inf
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        self._begun = self._clock()
        if self._console.is_terminal and not self._quiet:
            self._live = Live(get_renderable=self._view, console=self._console, refresh_per_second=2, transient=True)
            self._live.start()
        elif self._title and not self._quiet:
            self._print(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, snapshot: Snapshot) -> None:
        """The run as it stands now; a change of phase is told at once, all else when it is time."""
        changed = snapshot.phase != self._now.phase
        self._now, self._taken = snapshot, self._clock()
        if self._live is None and (changed or self._taken - self._line_at >= LINE_SECONDS):
            self._line_at = self._taken
            self._print(self._line())

    def phase(self, name: str, share: float | None = None) -> None:
        """A phase, in a few words, and how much of it is done; everything else stays as it was."""
        self.update(replace(self._now, phase=name, share=share))

    def _print(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text, markup=False, soft_wrap=True)

    def _left(self) -> float | None:
        """Seconds left by now: those of the last state, less what has passed since."""
        if self._now.seconds_left is None:
            return None
        return max(0.0, self._now.seconds_left - (self._clock() - self._taken))

    def _facts(self) -> dict[str, str]:
        """What is known, by name."""
        now, left = self._now, self._left()
        facts = {}
        if now.evaluations is not None:
            facts["evaluations"] = f"{now.evaluations}" + (f", {now.under_way} under way" if now.under_way else "")
        if now.best_size_bytes is not None:
            facts["best"] = f"{wording.size(now.best_size_bytes)} at {wording.points(now.best_drop)}"
        if now.hypervolume is not None:
            facts["hypervolume"] = wording.number(now.hypervolume, 3)
        if left is not None:
            facts["left"] = wording.duration(left)
        elif now.share is not None:
            facts["done"] = f"{100 * now.share:.0f} %"
        return facts

    def _line(self) -> str:
        """`[1 min 20 s] search: evaluations 12; best 141.2 KB at 1.62 points; left 8 min 02 s`."""
        facts = "; ".join(f"{name} {value}" for name, value in self._facts().items())
        elapsed = wording.duration(self._clock() - self._begun)
        return f"[{elapsed}] {self._now.phase}" + (f": {facts}" if facts else "")

    def _view(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_column()
        table.add_row("phase", Text(self._now.phase, style="bold"))
        facts = self._facts()
        for name in ("evaluations", "best", "hypervolume", "done" if "done" in facts else "left"):
            table.add_row(name, facts.get(name, wording.UNKNOWN))
        share = self._now.share
        bar = ProgressBar(total=1.0, completed=min(1.0, share or 0.0), pulse=share is None, width=52)
        elapsed = wording.duration(self._clock() - self._begun)
        view = Group(table, Text(), bar)
        return Panel(
            view,
            title=Text(self._title) if self._title else None,
            subtitle=elapsed,
            title_align="left",
            expand=False,
            padding=(0, 2),
        )
