"""Predicted against measured, one panel a core or board."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#888888"  # Okabe and Ito's, told apart by the colour-blind
Told = list[tuple[float, float]]


def draw(folder: Path, calls: dict[str, Told], boards: dict[str, Told], networks: dict[str, Told]) -> None:
    units = {"insns": "instructions", "cycles": "cycles"}
    titles = {f"{name.split()[0].upper()}, {units[name.split()[1]]}": told for name, told in calls.items()}
    _page(folder / "cost-model-calls.png", titles, "emulated, a kernel call", 4, size=3)
    found = {f"{board}, cycles a layer": told for board, told in boards.items()}
    found |= {f"{board}, cycles a network": told for board, told in networks.items()}
    _page(folder / "cost-model-boards.png", found, "measured on the board", 4, size=9)


def draw_arenas(folder: Path, boards: dict[str, Told], interpreted: Told) -> None:
    panels = {f"{board}, a layer": told for board, told in boards.items()}
    panels["TFLM on a PC, planned part"] = interpreted
    _page(
        folder / "cost-model-arena.png", panels, "arena as TFLM reports it, bytes", 4, size=5, said="predicted, bytes"
    )


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
    figure.savefig(file, dpi=70)
    plt.close(figure)


def _panel(axis: Axes, title: str, told: Told, size: int) -> None:
    measured, said = np.array(told).T
    ends = [min(measured.min(), said.min()), max(measured.max(), said.max())]
    axis.plot(ends, ends, color=GREY, linewidth=1)
    far = np.abs(said / measured - 1) > 0.05
    axis.scatter(measured[~far], said[~far], s=size, color=BLUE, label="within 5 %")
    axis.scatter(measured[far], said[far], s=4 * size, color=ORANGE, marker="x", label="beyond")
    axis.set(xscale="log", yscale="log", title=f"{title} ({len(told)})")
    axis.title.set_fontsize(9)
    for each in (axis.xaxis, axis.yaxis):
        each.set_minor_formatter(NullFormatter())
    axis.legend(fontsize=7, loc="upper left")
