"""The report's section that puts the chosen model beside the original and beside the ladder, the control."""

from __future__ import annotations

import math
from html import escape

from nas import wording
from nas.report.markup import badge
from nas.result import Point, RunResult
from targets.cost import Cost


def comparison(result: RunResult) -> str:
    """The chosen model beside the original and beside the ladder, the uniform-width control."""
    point, original = result.chosen_point, result.original
    if point is None:
        return ""
    entries: list[tuple[str, list[str]]] = [
        ("original, fp32", _original_column(result)),
        ("original, int8", _column(original.cost, original.int8_accuracy, original.accuracy)),
        ("chosen", _point_column(point)),
    ]
    rivals = _rivals(result, point)
    entries += [(label, _point_column(rival)) for label, rival in rivals]
    flash = "weights and commands" if result.told_by else "flash with runtime"
    labels = ("file", "parameters", "MACs", flash, "RAM", "latency", "energy",
              f"final_val {result.metric}", "final_val drop", "95 % bound", f"test {result.metric}",
              "test drop")  # fmt: skip
    head_row = "<tr><th></th>" + "".join(f"<th>{escape(name)}</th>" for name, _ in entries) + "</tr>"
    rows = []
    for i, label in enumerate(labels):
        cells = (f'<td class="{"chosen" if name == "chosen" else ""}">{column[i]}</td>' for name, column in entries)
        rows.append(f"<tr><td>{label}</td>{''.join(cells)}</tr>")
    body = f'<div class="wide"><table><thead>{head_row}</thead><tbody>{"".join(rows)}</tbody></table></div>'
    return f"<h2>Beside the original and the ladder</h2>\n<p>{escape(_against_ladder(result, point))}</p>\n{body}"


def _original_column(result: RunResult) -> list[str]:
    original, unknown = result.original, wording.UNKNOWN
    final, test = (wording.percent(original.accuracy.get(split)) for split in ("final_val", "test"))
    counts = [wording.size(original.file_bytes), wording.count(original.params), wording.count(original.macs)]
    return [*counts, *[unknown] * 4, final, unknown, unknown, test, unknown]


def _column(cost: Cost | None, accuracy: dict[str, float], reference: dict[str, float]) -> list[str]:
    def drop(split: str) -> str:
        known = split in accuracy and split in reference
        return wording.number(reference[split] - accuracy[split]) if known else wording.UNKNOWN

    final, test = (wording.percent(accuracy.get(split)) for split in ("final_val", "test"))
    return [*_costs(cost), final, drop("final_val"), wording.UNKNOWN, test, drop("test")]


def _point_column(point: Point) -> list[str]:
    scores = [wording.percent(point.val_accuracy), wording.number(point.val_drop)]
    bound = f"{wording.number(point.val_drop_upper95)} {badge(point.verdict)}"
    return [*_costs(point.cost), *scores, bound, wording.percent(point.test_accuracy), wording.number(point.test_drop)]


def _costs(cost: Cost | None) -> list[str]:
    if cost is None:
        return [wording.UNKNOWN] * 7
    return [
        wording.size(cost.size_bytes), wording.count(cost.params), wording.count(cost.macs),
        wording.size(cost.flash_bytes), wording.size(cost.ram_bytes), wording.milliseconds(cost.latency_ms),
        wording.energy(cost.energy_uj),
    ]  # fmt: skip


def _good_rungs(result: RunResult, point: Point) -> list[Point]:
    """Ladder points within the limits whose verdict is as good as the chosen one's, smallest first."""
    wanted = ("proven",) if point.verdict == "proven" else ("proven", "likely")
    return [rung for rung in result.ladder if rung.within_limits and rung.verdict in wanted]


def _rivals(result: RunResult, point: Point) -> list[tuple[str, Point]]:
    """The ladder point nearest in size, and the smallest with as good a verdict; one column where they are one."""
    others = [rung for rung in result.ladder if rung.id != point.id]
    if not others:
        return []
    near = min(others, key=lambda rung: abs(math.log(rung.cost.size_bytes / point.cost.size_bytes)))
    good = next((rung for rung in _good_rungs(result, point) if rung.id != point.id), None)
    if good is None or good.id == near.id:
        return [("ladder, nearest size", near)]
    return [("ladder, nearest size", near), (f"ladder, smallest {good.verdict}", good)]


def _against_ladder(result: RunResult, point: Point) -> str:
    """One honest sentence on what the search was worth."""
    if point.is_ladder:
        return "The chosen model is a uniform-width copy of the original: the search found nothing better."
    good = _good_rungs(result, point)
    if not result.ladder:
        return "No uniform-width copy was finished, so there is no control to compare with."
    if not good:
        return "No finished uniform-width copy of the original meets the limits as well as the chosen model does."
    theirs, ours = (float(getattr(p.cost, result.resource)) for p in (good[0], point))
    size, saved = wording.quantity(result.resource, theirs), 1 - ours / theirs
    told = f"The smallest uniform-width copy of the original with as good a verdict is {size}"
    if saved > 0:
        said = "smaller" if result.resource == "size_bytes" else f"less in {wording.MEANING[result.resource]}"
        return f"{told}; the chosen model is {100 * saved:.0f} % {said}."
    return f"{told}: the search did not beat it."
