"""The view: a line every ten seconds where there is no terminal, a live panel in one, silence on request."""

from __future__ import annotations

import io
import re

from rich.console import Console

from nas.progress import Progress, Snapshot


class Clock:
    """Seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(*, quiet: bool = False) -> tuple[Progress, Clock, io.StringIO]:
    file, clock = io.StringIO(), Clock()
    return Progress("title", quiet=quiet, console=Console(file=file, width=200), clock=clock), clock, file


def search(evaluations: int) -> Snapshot:
    return Snapshot("search", evaluations, 2, 144_588, 1.62, 2.3456, 0.25, 200.0)


def test_without_a_terminal_a_line_comes_every_ten_seconds() -> None:
    progress, clock, file = lines()
    with progress:
        for second in range(21):
            clock.now = 100.0 + second
            progress.update(search(second))
    told = file.getvalue().splitlines()
    assert told[0] == "title"
    assert [re.search(r"evaluations (\d+)", line)[1] for line in told[1:]] == ["0", "10", "20"]
    assert told[2] == (
        "[10 s] search: evaluations 10, 2 under way; best 141.2 KB at 1.62 points; hypervolume 2.346; left 3 min 20 s"
    )


def test_a_new_phase_is_told_at_once() -> None:
    progress, _, file = lines()
    with progress:
        progress.phase("measuring the original")
        progress.phase("timing")
    assert file.getvalue().splitlines() == ["title", "[0 s] measuring the original", "[0 s] timing"]


def test_a_budget_in_steps_shows_what_is_done() -> None:
    progress, _, file = lines()
    with progress:
        progress.update(Snapshot("search", 3, share=0.4))
    assert file.getvalue().splitlines()[-1] == "[0 s] search: evaluations 3; done 40 %"


def test_quiet_is_silent() -> None:
    progress, _, file = lines(quiet=True)
    with progress:
        progress.update(search(1))
    assert file.getvalue() == ""


def test_a_terminal_gets_a_live_panel_whose_time_runs_down() -> None:
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, width=80, force_terminal=True, color_system=None)
    with Progress("net[1].onnx", console=console, clock=clock) as progress:
        progress.update(search(12))
        clock.now += 30
        console.print(progress._view())
    shown = file.getvalue()
    assert "net[1].onnx" in shown
    assert "141.2 KB at 1.62 points" in shown
    assert "2 min 50 s" in shown
