"""Predicted against measured, one panel a core or board."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#888888"  # Okabe and Ito's, told apart by the colour-blind
Told = list[tuple[float, float]]


def draw_calls(folder: Path, calls: dict[str, Told]) -> None:
    units = {"insns": "instructions", "cycles": "cycles"}
    titles = {f"{name.split()[0].upper()}, {units[name.split()[1]]}": told for name, told in calls.items()}
    _page(folder / "cost-model-calls.png", titles, "emulated, a kernel call", 4, size=3)


def draw_arenas(folder: Path, boards: dict[str, Told], interpreted: Told) -> None:
    panels = {f"{board}, a layer": told for board, told in boards.items()}
    panels["TFLM on a PC, planned part"] = interpreted
    _page(
        folder / "cost-model-arena.png", panels, "arena as TFLM reports it, bytes", 4, size=5, said="predicted, bytes"
    )


def draw_scratch(folder: Path, cores: dict[str, Told]) -> None:
    titles = {f"{core.upper()}, bytes": told for core, told in cores.items()}
    _page(folder / "cost-model-scratch.png", titles, "asked for by the kernel, emulated", 3, size=5, said="predicted")


def draw_boards(folder: Path, boards: dict[str, Told]) -> None:
    lines = sorted(boards, key=lambda title: "1x1" in title)
    titles = {f"{title}, cycles": boards[title] for title in lines}
    _page(folder / "cost-model-boards.png", titles, "measured on the board, a layer", len(lines) // 2, size=6)


def draw_files(folder: Path, sizes: dict[str, Told]) -> None:
    _page(
        folder / "cost-model-files.png", sizes, "written, a network", 2, size=6, said="predicted before it is written"
    )


def draw_networks(folder: Path, boards: dict[str, dict[str, float]], goal_percent: float) -> None:
    """Signed errors in percent, a panel a board, a bar a network."""
    figure, axes = plt.subplots(1, len(boards), figsize=(3 * len(boards), 3.2), sharey=True, layout="constrained")
    for axis, (board, errors) in zip(axes, boards.items(), strict=True):
        values = np.array(list(errors.values()))
        colours = [BLUE if abs(value) <= goal_percent else ORANGE for value in values]
        axis.axhspan(-goal_percent, goal_percent, color=GREY, alpha=0.2, linewidth=0)
        axis.axhline(0, color=GREY, linewidth=1)
        bars = axis.bar([name.upper() for name in errors], values, color=colours)
        axis.bar_label(bars, [f"{value:+.0f}" for value in values], fontsize=8, padding=2)
        axis.margins(y=0.15)
        axis.set_title(f"{board}\nmean size {np.abs(values).mean():.1f} %", fontsize=9)
    figure.supylabel("error of the network left out, %")
    figure.supxlabel(f"MLPerf Tiny network; the grey band is the goal, {goal_percent:g} %")
    figure.savefig(folder / "cost-model-networks.png", dpi=100)
    plt.close(figure)


def draw_speed(file: Path, runs: dict[str, Told], goal: float) -> None:
    """Genomes a second by how many were priced before, a line a run."""
    figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for (name, told), colour in zip(runs.items(), (BLUE, ORANGE, "#009E73", "#CC79A7"), strict=False):
        done, rate = np.array(told).T
        axis.plot(done, rate, color=colour, marker="o", markersize=4, label=name)
    axis.axhline(goal, color=GREY, linewidth=1, linestyle="--", label=f"goal, {goal:,.0f}/s")
    axis.set(xlabel="distinct genomes priced before", ylabel="full bills a second, one core", ylim=(0, None))
    axis.legend(fontsize=8)
    figure.savefig(file, dpi=100)
    plt.close(figure)


def _page(
    file: Path, panels: dict[str, Told], measured: str, columns: int, *, size: int, said: str = "predicted, held out"
) -> None:
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(3 * columns, 3 * lines), squeeze=False, layout="constrained")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (title, told) in zip(axes.flat, panels.items(), strict=False):
        _panel(axis, title, told, size)
    figure.supxlabel(measured)
    figure.supylabel(said)
    figure.savefig(file, dpi=100)
    plt.close(figure)


def _panel(axis: Axes, title: str, told: Told, size: int) -> None:
    measured, said = np.array(told).T
    ends = [min(measured.min(), said.min()), max(measured.max(), said.max())]
    axis.plot(ends, ends, color=GREY, linewidth=1)
    far = np.abs(said - measured) > 0.05 * measured
    within = "exact" if (said == measured).all() else "within 5 %"
    axis.scatter(measured[~far], said[~far], s=size, color=BLUE, label=within)
    if far.any():
        axis.scatter(measured[far], said[far], s=4 * size, color=ORANGE, marker="x", label="beyond")
    scale = "symlog" if not measured.all() else "log"  # some kernels need no scratch at all
    axis.set(xscale=scale, yscale=scale, title=f"{title} ({len(told)})")
    axis.title.set_fontsize(9)
    for each in (axis.xaxis, axis.yaxis):
        each.set_minor_formatter(NullFormatter())
    axis.legend(fontsize=7, loc="upper left")
