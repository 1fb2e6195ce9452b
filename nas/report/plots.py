"""Two pictures of a run: the front against the limits, and the chosen model's bill layer by layer.

The only module that imports matplotlib. Figures are built without pyplot, so that nothing is global and nothing leaks.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from nas import wording
from nas.report.theme import LIGHT, Theme
from nas.result import VERDICTS, Point, RunResult
from targets.cost import CallBill

MARKERS = {"proven": "o", "likely": "^", "not": "X"}
MEANINGS = {"proven": "proven within the drop limit", "likely": "likely within it", "not": "over it"}
FONTS = {"font.family": "DejaVu Sans", "font.size": 11.0, "svg.hashsalt": "nas", "svg.fonttype": "path"}


def pareto_figure(result: RunResult, theme: Theme = LIGHT) -> Figure:
    """Size against accuracy drop: finished models by verdict, the ladder, the search in grey, the limits as lines.

    Finished models stand at their drop on final_val with a whisker up to the 95 % bound; the search's evaluations stand
    at their drop on search_val, half-trained as they were. What lies above the picture is counted in its corner.
    """
    with matplotlib.rc_context(FONTS):
        figure = Figure(figsize=(10, 6), facecolor=theme.paper, layout="constrained")
        axes = figure.add_subplot()
        _dress(axes, theme)
        bottom, top = _drop_range(result)
        _archive(axes, result, top, theme)
        _limits(axes, result, theme)
        _front(axes, result, theme)
        _ladder(axes, result, theme)
        axes.set_ylim(bottom, top)
        _size_axis(axes, result)
        _limit_labels(axes, result, theme)
        _chosen(axes, result, theme)
        axes.set_xlabel("size of the .tflite file, KB (1 KB = 1024 bytes)", color=theme.muted)
        axes.set_ylabel(f"{result.metric} lost, percentage points", color=theme.muted)
        original = result.original
        given = f"{original.name}, {wording.size(original.file_bytes)}"
        accuracy = original.accuracy.get("final_val")
        told = f"{given} as fp32 at {wording.percent(accuracy)}" if accuracy is not None else given
        axes.set_title(f"int8 models for {result.target}, made from {told}", color=theme.ink, loc="left", pad=12)
        legend = axes.legend(handles=_legend(result, theme), loc="upper right", frameon=True, fontsize=9.5)
        legend.get_frame().set(facecolor=theme.paper, edgecolor=theme.line, alpha=0.9)
        for text in legend.get_texts():
            text.set_color(theme.ink)
    return figure


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


def _size_axis(axes: Axes, result: RunResult) -> None:
    """log2, over the finished models and the size limit; ticks at powers of two and, where few, at 1.5 times them."""
    sizes = [point.cost.size_bytes for point in result.points]
    if result.limits.size_bytes:
        sizes.append(result.limits.size_bytes)
    least, most = (min(sizes), max(sizes)) if sizes else (16 * 1024, 256 * 1024)
    margin = 2 ** max(0.08 * math.log2(most / least), 0.25)
    low, high = least / margin, most * margin
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    powers = range(math.floor(math.log2(low)) - 1, math.ceil(math.log2(high)) + 1)
    ticks = [factor * 2.0**k for k in powers for factor in ((1,) if high > 12 * low else (1, 1.5))]
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1024:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _archive(axes: Axes, result: RunResult, top: float, theme: Theme) -> None:
    rows = [(row.size_bytes, row.drop) for row in result.archive if row.size_bytes and row.drop is not None]
    axes.scatter([s for s, _ in rows], [d for _, d in rows], s=14, color=theme.archive, linewidths=0, zorder=2)
    above = sum(drop > top for _, drop in rows)
    finished = sum(point.val_drop > top for point in result.points)
    if above or finished:
        text = f"{above} half-trained" + (f" and {finished} finished" if finished else "") + " networks lie above"
        axes.text(0.012, 0.985, text, transform=axes.transAxes, va="top", fontsize=9, color=theme.muted)
    over = [point for point in result.points if not point.on_front and not point.is_ladder]
    for point in over:
        axes.plot(point.cost.size_bytes, point.val_drop, marker=MARKERS[point.verdict], color=theme.muted,
                  markersize=7, markeredgewidth=0, linestyle="none", zorder=3)  # fmt: skip


def _limits(axes: Axes, result: RunResult, theme: Theme) -> None:
    """The limits as dashed lines, and what lies beyond them shaded."""
    limits = result.limits
    if limits.size_bytes:
        axes.axvspan(limits.size_bytes, limits.size_bytes * 2**12, color=theme.panel, zorder=0, linewidth=0)
        axes.axvline(limits.size_bytes, color=theme.muted, linestyle=(0, (5, 3)), linewidth=1.2, zorder=3)
    if limits.drop is not None:
        axes.axhspan(limits.drop, 1000, color=theme.panel, zorder=0, linewidth=0)
        axes.axhline(limits.drop, color=theme.muted, linestyle=(0, (5, 3)), linewidth=1.2, zorder=3)


def _limit_labels(axes: Axes, result: RunResult, theme: Theme) -> None:
    style: dict[str, Any] = {"fontsize": 9.5, "color": theme.muted}
    limits, (_, high), (bottom, _) = result.limits, axes.get_xlim(), axes.get_ylim()
    if limits.size_bytes:
        text = f" limit {wording.size(limits.size_bytes)}"
        axes.annotate(text, (limits.size_bytes, bottom), (3, 5), textcoords="offset points", rotation=90, **style)
    if limits.drop is not None:
        text = f"limit {wording.number(limits.drop, 1)} points"
        behind = {"facecolor": theme.panel, "edgecolor": "none", "pad": 1.5}
        axes.annotate(text, (high, limits.drop), (-5, 5), textcoords="offset points", ha="right", bbox=behind, **style)


def _front(axes: Axes, result: RunResult, theme: Theme) -> None:
    """The staircase of what is not dominated, and every front point by its verdict."""
    front = result.front
    if len(front) > 1:
        sizes, drops = [p.cost.size_bytes for p in front], [p.val_drop for p in front]
        axes.step(sizes, drops, where="post", color=theme.archive, linewidth=1.3, zorder=3)
    for point in front:
        color, x = theme.verdict(point.verdict), point.cost.size_bytes
        axes.plot([x, x], [point.val_drop, point.val_drop_upper95], color=color, linewidth=1.6, zorder=4)
        axes.plot(x, point.val_drop_upper95, marker="_", color=color, markersize=9, zorder=4)
        axes.plot(x, point.val_drop, marker=MARKERS[point.verdict], color=color, markersize=9,
                  markeredgecolor=theme.paper, markeredgewidth=1, zorder=6)  # fmt: skip


def _ladder(axes: Axes, result: RunResult, theme: Theme) -> None:
    """Uniform-width copies of the original, the control: open squares on a thin dotted line."""
    sizes, drops = [p.cost.size_bytes for p in result.ladder], [p.val_drop for p in result.ladder]
    axes.plot(sizes, drops, color=theme.ink, linewidth=1, linestyle=":", marker="s", markersize=12,
              markerfacecolor=theme.paper, markeredgewidth=1.1, zorder=5)  # fmt: skip


def _chosen(axes: Axes, result: RunResult, theme: Theme) -> None:
    point = result.chosen_point
    if point is None:
        return
    x, y = point.cost.size_bytes, point.val_drop
    axes.plot(x, y, marker="*", color=theme.verdict(point.verdict), markersize=24, markeredgecolor=theme.ink,
              markeredgewidth=1.1, zorder=8)  # fmt: skip
    axes.annotate(
        f"chosen: {_label(point)}", (x, y), _label_offset(axes, x, y), textcoords="offset points", fontsize=11,
        color=theme.ink, fontweight="bold", zorder=9, ha="left",
        arrowprops={"arrowstyle": "-", "color": theme.ink, "linewidth": 0.9, "shrinkB": 9},
        bbox={"boxstyle": "round,pad=0.35", "facecolor": theme.paper, "edgecolor": theme.line},
    )  # fmt: skip


def _label_offset(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Where the label goes, in points from the star: below and left of the front there is always room."""
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    across, up = math.log2(x / low) / math.log2(high / low), (y - bottom) / (top - bottom)
    return (-170.0 if across > 0.35 else 30.0), (-48.0 if up > 0.25 else 60.0)


def _label(point: Point) -> str:
    return f"{wording.size(point.cost.size_bytes)}, {wording.points(point.val_drop)}"


def _legend(result: RunResult, theme: Theme) -> list[Line2D]:
    seen = {point.verdict for point in result.front}
    handles = [
        _key(MARKERS[verdict], theme.verdict(verdict), MEANINGS[verdict]) for verdict in VERDICTS if verdict in seen
    ]
    if result.ladder:
        handles.append(_key("s", theme.ink, "uniform width (the control)", hollow=True))
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
