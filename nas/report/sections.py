"""The report's sections on what was found and how, each a function from the run's result to HTML."""

from __future__ import annotations

from html import escape

from nas import wording
from nas.objectives import resources, violation
from nas.report.markup import badge, table, unbroken
from nas.result import Point, RunResult

_PHASES = {
    "training": "proven",
    "quantizing": "likely",
    "refit, scoring, the original": "muted",
    "overhead": "line",
}


def head(result: RunResult) -> str:
    """What was found, in one breath, and its figures."""
    original, point = result.original, result.chosen_point
    data = f"{original.name} on {result.data_name}, for {result.target} with the {result.runtime} runtime"
    found, _, rest = wording.headline(result).partition(": ")
    if point is None:
        title, lead = "No network met the limits", result.binding
    else:
        title, lead = found.partition(", ")[0], f"{found.partition(', ')[2]}: {rest}"
    notes = "".join(f"<p>{escape(note)}</p>" for note in result.notes)
    parts = [
        f'<p class="over">{escape(data)}</p>',
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(lead[:1].upper() + lead[1:])} {badge(point.verdict) if point else ""}</p>',
        _warning(result),
        f'<div class="notice">{notes}</div>' if notes else "",
        _tiles(result, point) if point else "",
    ]
    return "\n".join(part for part in parts if part)


def front_picture(result: RunResult, picture: str) -> str:
    """The front plot with what its marks mean."""
    caption = (
        "Finished models stand at the drop of their exported file on final_val, images that neither the original's "
        "training nor the search has seen; the whisker reaches to the one-sided 95 % bound. Grey dots are the search's "
        "evaluations, half-trained, on search_val. The ring is the knee of the front, where it bends most."
    )
    if len(result.objectives) > 2:
        caption += f" The front is one of {wording.listed(result.objectives)}; each panel shows two of them."
    return f"<h2>The front</h2>\n<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def limits(result: RunResult) -> str:
    """How full each limit is, and which one binds."""
    point = result.chosen_point
    title = f"<h2>Which limit binds</h2>\n<p>{escape(result.binding)}</p>"
    if point is None:
        return title
    rows = []
    for name, value, limit, share in wording.usage(point.cost, result.limits, point.val_drop_upper95):
        kind = "full" if share > 1 else "near" if share > 0.8 else ""
        said = f"{wording.quantity(name, value)} of {wording.quantity(name, limit)}"
        what = "drop (95 % bound)" if name == "drop" else wording.MEANING[name]
        width = max(0.0, min(100.0, 100 * share))
        rows.append(
            f"<span>{what}</span><div class='{kind}'><i style='width:{width:.1f}%'></i></div>"
            f"<span class='said'>{said} ({100 * share:.0f} %)</span>"
        )
    return f'{title}\n<div class="meter">{"".join(rows)}</div>'


def front(result: RunResult) -> str:
    """The front as a table, smallest first; without one, the finished networks nearest to the limits."""
    scores = [f"val {result.metric}", "val drop", "95 % bound", *seeds_head(result), "verdict", "test drop"]
    heads = ["model", "input", *[wording.MEANING[name] for name in shown(result)], *scores]
    if result.front:
        rows = [([*_figures(result, p), _files(p)], p.id == result.chosen) for p in result.front]
        others = len(result.points) - len(result.front)
        were = "was finished and is" if others == 1 else "were finished and are"
        more = f" {others} more {were} dominated or over a limit: see <code>archive.csv</code>."
        fitting = wording.numbered(len(result.front), "model")
        fitting += " that fits" if len(result.front) == 1 else " that fit"
        said = f"{fitting}, none beaten by another in {wording.listed(result.objectives)}."
        said += f"{more if others else ''} All figures are in <code>front.csv</code>."
        return f"<h2>The models</h2>\n<p>{said}</p>\n{table([*heads, 'files'], rows)}"
    nearest = sorted(result.points, key=lambda p: violation(p.cost, result.limits, p.val_drop))[:5]
    if not nearest:
        return ""
    return f"<h2>The nearest misses</h2>\n{table(heads, [(_figures(result, p), False) for p in nearest])}"


def shown(result: RunResult) -> list[str]:
    """What a table says of each model beside its drop: size, RAM and latency always, and what else was minimised."""
    return list(dict.fromkeys(("size_bytes", "ram_bytes", "latency_ms", *resources(result.objectives))))


def seeds_head(result: RunResult) -> list[str]:
    """The head of the column on trainings with other seeds, if there were any."""
    return ["over seeds"] if any(p.seed_drops for p in result.points) else []


def run(result: RunResult) -> str:
    """Where the time went, and what the search did with it."""
    total = result.seconds.get("total", 0.0)
    done = sum(row.status == "ok" for row in result.archive)
    refused = sum(row.status == "infeasible" for row in result.archive)
    failed = sum(row.status == "failed" for row in result.archive)
    said = (
        f"{wording.duration(total)} in all: {done} evaluations scored, {refused} turned away by a limit before training"
    )
    said += f", {failed} failed" if failed else ""
    said += f"; {wording.numbered(len(result.points), 'model')} finished. Hypervolume {result.hypervolume:.3f} of "
    said += f"{wording.listed(result.objectives)} below the limits."
    if result.overhead_share is not None:
        said += f" Overhead, idle workers counted: {100 * result.overhead_share:.1f} % of the workers' time."
    shares = _wall_shares(result)
    bar = "".join(
        f'<i style="width:{100 * share:.2f}%;background:var(--{_PHASES[name]})"></i>' for name, share in shares.items()
    )
    key = "".join(
        f'<li><i style="background:var(--{_PHASES[name]})"></i>{name} {100 * share:.0f} %</li>'
        for name, share in shares.items()
    )
    return f'<h2>The run</h2>\n<p>{escape(said)}</p>\n<div class="stack">{bar}</div>\n<ul class="key">{key}</ul>'


def again(result: RunResult, config_text: str) -> str:
    """How to see the same run again, and what lies in the folder."""
    data = ", ".join(f"{split} {count:,}" for split, count in result.splits.items())
    facts = (
        f"<p>Seed {result.seed}, strategy <code>{escape(result.strategy)}</code>, version {escape(result.version)}; "
        f"{escape(result.data_name)}: {data}, {escape(result.outputs)}. The same seed and step plan give the same "
        "front; a budget in seconds is turned into a step plan by timing, so another machine plans otherwise. SHA-256 "
        "of data, original and models: <code>manifest.json</code>.</p>"
    )
    command = "optimize --config config.toml --out AGAIN\nnas report ."
    shown = f"<pre>{escape(config_text.strip())}</pre>" if config_text else ""
    footer = f"Made by nas {escape(result.version)} from result.json. Nothing on this page loads from outside."
    return f"<h2>How to see it again</h2>\n{facts}\n<pre>{command}</pre>\n{shown}\n<footer>{footer}</footer>"


def _wall_shares(result: RunResult) -> dict[str, float]:
    """Shares of the workers' time, from 0 to 1, by what it was spent on; together 1."""
    seconds, workers = result.seconds, max(1, int(result.plan.get("workers", 1)))
    total = seconds.get("total", 0.0) or 1.0
    training, quantizing = (seconds.get(name, 0.0) / workers / total for name in ("train", "quantize"))
    overhead = seconds.get("overhead", 0.0) / total
    rest = max(0.0, 1.0 - training - quantizing - overhead)
    return dict(zip(_PHASES, (training, quantizing, rest, overhead), strict=True))


def _figures(result: RunResult, p: Point) -> list[str]:
    over = f" {badge('not', 'over on test')}" if result.breaks_on_test(p) else ""
    kind = (" (ladder)" if p.is_ladder else "") + (" (knee)" if p.knee else "")
    return [
        f"<code>{escape(p.id)}</code>{kind}", "x".join(map(str, p.input_shape)),
        *[wording.quantity(name, getattr(p.cost, name)) for name in shown(result)],
        wording.percent(p.val_accuracy), wording.number(p.val_drop), wording.number(p.val_drop_upper95),
        *[wording.spread(p.seed_drops) for _ in seeds_head(result)], badge(p.verdict),
        wording.number(p.test_drop) + over,
    ]  # fmt: skip


def _files(p: Point) -> str:
    return f'<a href="{escape(p.tflite)}">tflite</a> <a href="{escape(p.onnx)}">onnx</a>'


def _warning(result: RunResult) -> str:
    """What must not be overlooked: an unproven choice, and a choice whose test drop breaks the limit."""
    point, limit = result.chosen_point, result.limits.drop
    if point is None:
        return ""
    lines = []
    if point.verdict != "proven":
        bound = wording.number(point.val_drop_upper95)
        lines.append(f"Not proven: the 95 % bound is {bound} points, the limit {wording.number(limit)}.")
    if result.breaks_on_test(point):
        lines.append(f"On the test set it loses {wording.number(point.test_drop)} points, more than the limit.")
    return f'<div class="notice bad">{"".join(f"<p>{line}</p>" for line in lines)}</div>' if lines else ""


def _tiles(result: RunResult, point: Point) -> str:
    cost, original = point.cost, result.original
    by = result.told_by
    sure = "the upper end of a band" if result.runtime in wording.CLOSED else f"by {by}" if by else "estimated"
    tiles = (
        (wording.size(cost.size_bytes), f".tflite file, from {wording.size(original.file_bytes)}"),
        (wording.points(point.val_drop), f"{result.metric} lost, {wording.percent(point.val_accuracy)} left"),
        (wording.milliseconds(cost.latency_ms), f"an inference, {sure}"),
        (wording.size(cost.ram_bytes), f"RAM, {sure}"),
        (wording.size(cost.flash_bytes), f"{'weights and commands' if by else 'flash with runtime'}, {sure}"),
        (wording.count(cost.macs), f"MACs, from {wording.count(original.macs)}"),
    )
    cells = "".join(
        f'<div class="tile"><b>{value}</b><span>{unbroken(escape(what))}</span></div>'
        for value, what in tiles
        if value != wording.UNKNOWN
    )
    return f'<div class="tiles">{cells}</div>'
