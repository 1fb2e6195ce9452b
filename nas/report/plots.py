"""Two pictures of a run: the front against the limits, and the chosen model's bill layer by layer.

The only module that imports matplotlib. Figures are built without pyplot, so that nothing is global and nothing leaks.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from nas import pareto, wording
from nas.objectives import resources, value_of
from nas.report.theme import LIGHT, Theme
from nas.result import VERDICTS, RunResult
from targets.cost import CallBill, Cost

MARKERS = {"proven": "o", "likely": "^", "not": "X"}
MEANINGS = {"proven": "proven within the drop limit", "likely": "likely within it", "not": "over it"}
FONTS = {"font.family": "DejaVu Sans", "font.size": 11.0, "svg.hashsalt": "nas", "svg.fonttype": "path"}


LABELS = {
    "size_bytes": "size of the .tflite file, KB (1 KB = 1024 bytes)",
    "flash_bytes": "flash with runtime, KB",
    "ram_bytes": "RAM, KB",
    "latency_ms": "latency, ms",
    "energy_uj": "energy, µJ",
    "macs": "MACs",
}
NEAR = 4.0
"""A limit of something other than the size is drawn if it is at most this many times the largest value."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Two objectives of a run, by name: across and up."""

    x: str
    y: str

    def at(self, cost: Cost, drop: float) -> tuple[float, float]:
        return value_of(self.x, cost, drop), value_of(self.y, cost, drop)


def panels(objectives: tuple[str, ...]) -> list[Panel]:
    """Every resource against the drop; without the drop, every other resource against the first."""
    kinds = resources(objectives)
    if "drop" in objectives:
        return [Panel(name, "drop") for name in kinds]
    return [Panel(kinds[0], name) for name in kinds[1:]]


def pareto_figure(result: RunResult, theme: Theme = LIGHT) -> Figure:
    """The front: finished models by verdict, the ladder, the search in grey, the limits as lines; a panel for each
    pair of `panels`, side by side.

    Finished models stand at their drop on final_val with a whisker up to the 95 % bound; the search's evaluations stand
    at their drop on search_val, half-trained as they were. What lies above the picture is counted in its corner.
    """
    pairs = panels(result.objectives)
    with matplotlib.rc_context(FONTS):
        width = {1: 10.0, 2: 13.0, 3: 16.0}[len(pairs)]
        figure = Figure(figsize=(width, 6), facecolor=theme.paper, layout="constrained")
        every = figure.subplots(1, len(pairs), squeeze=False, sharey=pairs[0].y == "drop")[0]
        for axes, panel in zip(every, pairs, strict=True):
            _panel(axes, result, panel, theme)
        if pairs[0].y == "drop":
            _count_above(every[0], result, theme)
        original = result.original
        given = f"{original.name}, {wording.size(original.file_bytes)}"
        accuracy = original.accuracy.get("final_val")
        told = f"{given} as fp32 at {wording.percent(accuracy)}" if accuracy is not None else given
        title = f"int8 models for {result.target}, made from {told}"
        if len(pairs) == 1:
            every[0].set_title(title, color=theme.ink, loc="left", pad=12)
        else:
            figure.suptitle(title, color=theme.ink, x=0.01, ha="left", fontsize=13)
        legend = every[-1].legend(handles=_legend(result, theme), loc="upper right", frameon=True, fontsize=9.5)
        legend.get_frame().set(facecolor=theme.paper, edgecolor=theme.line, alpha=0.9)
        for text in legend.get_texts():
            text.set_color(theme.ink)
    return figure


def _panel(axes: Axes, result: RunResult, panel: Panel, theme: Theme) -> None:
    """One pair of objectives."""
    _dress(axes, theme)
    _archive(axes, result, panel, theme)
    _limits(axes, result, panel, theme)
    _front(axes, result, panel, theme)
    _ladder(axes, result, panel, theme)
    _resource_axis(axes, result, panel.x, "x")
    axes.set_xlabel(LABELS[panel.x], color=theme.muted)
    if panel.y == "drop":
        axes.set_ylim(*_drop_range(result))
        axes.set_ylabel(f"{result.metric} lost, percentage points", color=theme.muted)
    else:
        _resource_axis(axes, result, panel.y, "y")
        axes.set_ylabel(LABELS[panel.y], color=theme.muted)
    axes.label_outer()
    _limit_labels(axes, result, panel, theme)
    _chosen(axes, result, panel, theme)


def bill_figure(bill: Sequence[CallBill], theme: Theme = LIGHT) -> Figure:
    """Each kernel call's weights, latency and RAM in use, in execution order from top to bottom."""
    with matplotlib.rc_context(FONTS):
        figure = Figure(figsize=(10, 1.3 + 0.21 * max(len(bill), 4)), facecolor=theme.paper, layout="constrained")
        rows = range(len(bill))
        weights = [call.weights_bytes / 1024 for call in bill]
        latency = [call.ms for call in bill if call.ms is not None]
        live = [call.live_bytes / 1024 for call in bill if call.live_bytes is not None]
        columns = [
            (f"weights and biases: {wording.number(sum(weights), 1)} KB", weights),
            (f"latency: {wording.number(sum(latency), 1)} ms", latency),
            (f"RAM in use: at most {wording.number(max(live, default=0.0), 1)} KB", live),
        ]
        columns = [column for column in columns if len(column[1]) == len(bill)]  # what is not known has no panel
        panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, (title, values) in zip(panels, columns, strict=True):
            _dress(axes, theme, grid="x")
            top = max(values, default=0.0)
            colors = [theme.likely if value == top > 0 else theme.accent for value in values]
            axes.barh(rows, values, height=0.72, color=colors)
            axes.set_title(title, color=theme.ink, fontsize=10.5, loc="left")
            axes.set_xlim(0, 1.2 * top or 1)
            for row, value in zip(rows, values, strict=True):
                if value >= 0.15 * top > 0:
                    label = wording.number(value, 1 if top >= 2 else 2)
                    axes.text(value + 0.015 * top, row, label, va="center", fontsize=8, color=theme.muted)
        panels[0].set_yticks(rows, [f"{row + 1}  {_call_label(call)}" for row, call in zip(rows, bill, strict=True)])
        panels[0].tick_params(axis="y", labelsize=8.5)
        panels[0].set_ylim(len(bill) - 0.4, -0.6)
    return figure


def png(figure: Figure, *, dpi: int = 160) -> bytes:
    """The figure as a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as an SVG file with letters as outlines; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(FONTS):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _dress(axes: Axes, theme: Theme, *, grid: Literal["both", "x"] = "both") -> None:
    axes.set_facecolor(theme.paper)
    axes.grid(True, axis=grid, color=theme.line, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.muted, length=0)
    for side, spine in axes.spines.items():
        spine.set(color=theme.line, visible=side in ("left", "bottom"))


def _drop_range(result: RunResult) -> tuple[float, float]:
    """From just below the best drop to well above the limit and the front, or above the nearest misses without one."""
    drops = [point.val_drop for point in result.points] or [0.0]
    bounds = [point.val_drop_upper95 for point in result.front or result.points] or [1.0]
    limit = result.limits.drop
    wanted = [1.15 * max(bounds), 1.0, *([1.9 * limit] if limit else [])]
    top = max(wanted)
    return min(0.0, *drops) - 0.06 * top, top


def _resource_axis(axes: Axes, result: RunResult, name: str, side: Literal["x", "y"]) -> None:
    """log2, over the finished models and a near limit; ticks at powers of two and, where few, at 1.5 times them."""
    unit = 1024.0 if name.endswith("_bytes") else 1.0
    values = [value_of(name, point.cost, 0.0) / unit for point in result.points]
    if (limit := result.limits.active.get(name)) and _near(result, name, limit):
        values.append(limit / unit)
    least, most = (min(values), max(values)) if values else (16.0, 256.0)
    margin = 2 ** max(0.08 * math.log2(most / least), 0.25)
    low, high = least / margin, most * margin
    powers = range(math.floor(math.log2(low)) - 1, math.ceil(math.log2(high)) + 1)
    ticks = [factor * 2.0**k for k in powers for factor in ((1,) if high > 12 * low else (1, 1.5))]
    written = wording.count if name == "macs" else "{:.3g}".format
    axis = axes.xaxis if side == "x" else axes.yaxis
    scale, between = (axes.set_xscale, axes.set_xlim) if side == "x" else (axes.set_yscale, axes.set_ylim)
    scale("log", base=2)
    between(low * unit, high * unit)
    axis.set_major_locator(FixedLocator([tick * unit for tick in ticks if low <= tick <= high]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: written(value / unit)))
    axis.set_minor_locator(NullLocator())


def _near(result: RunResult, name: str, limit: float) -> bool:
    """Is a limit worth a place in the picture? That of the size always, a device's whole memory seldom."""
    values = [value_of(name, point.cost, point.val_drop) for point in result.points]
    return name in ("size_bytes", "drop") or not values or limit <= NEAR * max(values)


def _archive(axes: Axes, result: RunResult, panel: Panel, theme: Theme) -> None:
    rows = [panel.at(row.cost, row.drop) for row in result.archive if row.cost and row.drop is not None]
    axes.scatter([x for x, _ in rows], [y for _, y in rows], s=14, color=theme.archive, linewidths=0, zorder=2)
    for point in result.points:
        if not point.on_front and not point.is_ladder:
            axes.plot(*panel.at(point.cost, point.val_drop), marker=MARKERS[point.verdict], color=theme.muted,
                      markersize=7, markeredgewidth=0, linestyle="none", zorder=3)  # fmt: skip


def _count_above(axes: Axes, result: RunResult, theme: Theme) -> None:
    """How many networks the picture is not high enough for."""
    top = _drop_range(result)[1]
    above = sum(row.drop is not None and row.drop > top for row in result.archive)
    finished = sum(point.val_drop > top for point in result.points)
    if above or finished:
        text = f"{above} half-trained" + (f" and {finished} finished" if finished else "") + " networks lie above"
        axes.text(0.012, 0.985, text, transform=axes.transAxes, va="top", fontsize=9, color=theme.muted)


def _limits(axes: Axes, result: RunResult, panel: Panel, theme: Theme) -> None:
    """The limits as dashed lines, and what lies beyond them shaded."""
    dashed: dict[str, Any] = {"color": theme.muted, "linestyle": (0, (5, 3)), "linewidth": 1.2, "zorder": 3}
    beyond: dict[str, Any] = {"color": theme.panel, "zorder": 0, "linewidth": 0}
    if (limit := _drawn(result, panel.x)) is not None:
        axes.axvspan(limit, limit * 2**12, **beyond)
        axes.axvline(limit, **dashed)
    if (limit := _drawn(result, panel.y)) is not None:
        axes.axhspan(limit, limit * 2**12 + 1000, **beyond)
        axes.axhline(limit, **dashed)


def _drawn(result: RunResult, name: str) -> float | None:
    """The limit on an objective, if it has one that is near enough to be drawn."""
    limit = result.limits.active.get(name)
    return limit if limit is not None and _near(result, name, limit) else None


def _limit_labels(axes: Axes, result: RunResult, panel: Panel, theme: Theme) -> None:
    style: dict[str, Any] = {"fontsize": 9.5, "color": theme.muted, "textcoords": "offset points"}
    (_, high), (bottom, _) = axes.get_xlim(), axes.get_ylim()
    if (limit := _drawn(result, panel.x)) is not None:
        axes.annotate(f" limit {wording.quantity(panel.x, limit)}", (limit, bottom), (3, 5), rotation=90, **style)
    if (limit := _drawn(result, panel.y)) is not None:
        said = f"{wording.number(limit, 1)} points" if panel.y == "drop" else wording.quantity(panel.y, limit)
        behind = {"facecolor": theme.panel, "edgecolor": "none", "pad": 1.5}
        axes.annotate(f"limit {said}", (high, limit), (-5, 5), ha="right", bbox=behind, **style)


def _front(axes: Axes, result: RunResult, panel: Panel, theme: Theme) -> None:
    """Every front point by its verdict, the staircase of those that none beats in these two, and the knee."""
    front = result.front
    places = [panel.at(point.cost, point.val_drop) for point in front]
    if len(front) > 1:
        stairs = sorted(places[k] for k in pareto.front(np.array(places)))
        axes.step(*zip(*stairs, strict=True), where="post", color=theme.archive, linewidth=1.3, zorder=3)
    for point, (x, y) in zip(front, places, strict=True):
        color = theme.verdict(point.verdict)
        if panel.y == "drop":
            axes.plot([x, x], [y, point.val_drop_upper95], color=color, linewidth=1.6, zorder=4)
            axes.plot(x, point.val_drop_upper95, marker="_", color=color, markersize=9, zorder=4)
        axes.plot(x, y, marker=MARKERS[point.verdict], color=color, markersize=9,
                  markeredgecolor=theme.paper, markeredgewidth=1, zorder=6)  # fmt: skip
        if point.knee:
            axes.plot(x, y, marker="o", markersize=30, markerfacecolor="none", color=theme.ink,
                      markeredgewidth=1.6, zorder=7)  # fmt: skip


def _ladder(axes: Axes, result: RunResult, panel: Panel, theme: Theme) -> None:
    """Uniform-width copies of the original, the control: open squares on a thin dotted line."""
    places = [panel.at(p.cost, p.val_drop) for p in result.ladder]
    axes.plot([x for x, _ in places], [y for _, y in places], color=theme.ink, linewidth=1, linestyle=":", marker="s",
              markersize=12, markerfacecolor=theme.paper, markeredgewidth=1.1, zorder=5)  # fmt: skip


LABEL_OFFSETS = ((30.0, -48.0), (-190.0, -48.0), (30.0, 60.0), (-190.0, 60.0), (30.0, 110.0), (-190.0, 110.0))
LABEL_SIZE, LABEL_MARGIN = np.array([225.0, 44.0]), np.array([10.0, 14.0])
"""In points, with the rings around other models; the margin lies left of and below the text's corner."""


def _chosen(axes: Axes, result: RunResult, panel: Panel, theme: Theme) -> None:
    point = result.chosen_point
    if point is None:
        return
    x, y = panel.at(point.cost, point.val_drop)
    axes.plot(x, y, marker="*", color=theme.verdict(point.verdict), markersize=24, markeredgecolor=theme.ink,
              markeredgewidth=1.1, zorder=8)  # fmt: skip
    label = f"{wording.quantity(panel.x, x)}, {wording.quantity(panel.y, y)}"
    others = [
        panel.at(other.cost, drop) for other in result.points for drop in (other.val_drop, other.val_drop_upper95)
    ]
    axes.annotate(
        f"chosen: {label}", (x, y), _label_offset(axes, (x, y), others), textcoords="offset points", fontsize=11,
        color=theme.ink, fontweight="bold", zorder=9, ha="left",
        arrowprops={"arrowstyle": "-", "color": theme.ink, "linewidth": 0.9, "shrinkB": 9},
        bbox={"boxstyle": "round,pad=0.35", "facecolor": theme.paper, "edgecolor": theme.line},
    )  # fmt: skip


def _label_offset(axes: Axes, star: tuple[float, float], others: list[tuple[float, float]]) -> tuple[float, float]:
    """Where the label goes, in points from the star: inside the picture and over as few other models as may be."""
    per_pixel = 72 / axes.figure.dpi
    places = axes.transData.transform([star, *others]) * per_pixel
    frame = axes.bbox.get_points() * per_pixel

    def covered(offset: tuple[float, float]) -> int:
        low = places[0] + offset - LABEL_MARGIN
        high = low + LABEL_SIZE
        outside = bool((low < frame[0]).any() or (high > frame[1]).any())
        return 1000 * outside + int(((places[1:] > low) & (places[1:] < high)).all(axis=1).sum())

    return min(LABEL_OFFSETS, key=covered)


def _legend(result: RunResult, theme: Theme) -> list[Line2D]:
    seen = {point.verdict for point in result.front}
    handles = [
        _key(MARKERS[verdict], theme.verdict(verdict), MEANINGS[verdict]) for verdict in VERDICTS if verdict in seen
    ]
    if result.ladder:
        handles.append(_key("s", theme.ink, "uniform width (the control)", hollow=True))
    if any(point.knee for point in result.front):
        handles.append(_key("o", theme.ink, "knee of the front", hollow=True))
    if any(not point.on_front and not point.is_ladder for point in result.points):
        handles.append(_key("o", theme.muted, "finished, not on the front"))
    if result.archive:
        handles.append(_key(".", theme.archive, "search, half-trained"))
    return handles


def _key(marker: str, color: str, label: str, *, hollow: bool = False) -> Line2D:
    face = "none" if hollow else color
    return Line2D([], [], marker=marker, color=color, markerfacecolor=face, linestyle="none", markersize=8, label=label)


def _call_label(call: CallBill) -> str:
    """`conv 14x14x32`: the kernel and what it makes."""
    return f"{call.kind}  {wording.shape(call.shape)}"
