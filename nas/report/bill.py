"""The report's layer-by-layer bill: one row a kernel call, with bars that show where a resource goes."""

from __future__ import annotations

from html import escape

from nas import wording
from nas.result import RunResult

Column = list[float | None]


def bill(result: RunResult) -> str:
    """Weights, MACs, latency and RAM of every kernel call of the chosen model, and what dominates each.

    RAM in use counts the tensors alive during the call and its scratch; the plan's gaps and the runtime's own data come
    on top, so `ram_bytes` is at least the largest of them.
    """
    calls = result.bill
    if not calls:
        return ""
    weights: Column = [call.weights_bytes for call in calls]
    latency: Column = [call.ms for call in calls]
    live: Column = [call.live_bytes for call in calls]
    tops = [max(_known(column), default=0.0) for column in (weights, latency, live)]
    rows = []
    for i, call in enumerate(calls):
        cells = (
            _bar(wording.size(weights[i]), weights[i], tops[0]),
            f"<td>{wording.count(call.macs)}</td>",
            _bar(wording.milliseconds(latency[i]), latency[i], tops[1]),
            _bar(wording.size(live[i]), live[i], tops[2]),
        )
        name = escape(call.op)
        rows.append(
            f'<tr><td>{i + 1}</td><td class="left">{escape(call.kind)}</td>'
            f'<td class="left op" title="{name}">{name}</td>'
            f"<td>{wording.shape(call.shape)}</td>{''.join(cells)}</tr>"
        )
    total = (
        f"<tr><td></td><td class='left'>in all</td><td></td><td></td><td>{wording.size(sum(_known(weights)))}</td>"
        f"<td>{wording.count(sum(call.macs for call in calls))}</td>"
        f"<td>{wording.milliseconds(sum(_known(latency)) or None)}</td>"
        f"<td>{f'at most {wording.size(tops[2])}' if tops[2] else wording.UNKNOWN}</td></tr>"
    )
    heads = (
        "<tr><th></th><th class='left'>kernel</th><th class='left'>operator</th><th>output</th><th>weights</th>"
        "<th>MACs</th><th>latency</th><th>RAM in use</th></tr>"
    )
    table = (
        f'<div class="wide"><table class="bill"><thead>{heads}</thead><tbody>{"".join(rows)}</tbody>'
        f"<tfoot>{total}</tfoot></table></div>"
    )
    return f"<h2>The bill, layer by layer</h2>\n<p>{escape(_dominates(result, weights, latency, live))}</p>\n{table}"


def _known(column: Column) -> list[float]:
    return [value for value in column if value is not None]


def _dominates(result: RunResult, weights: Column, latency: Column, live: Column) -> str:
    """Which call is the largest of each column, in one sentence; nothing of a column that is not known."""

    def named(column: Column) -> str:
        place = column.index(max(_known(column)))
        return f"call {place + 1} ({result.bill[place].kind})"

    def share(column: Column) -> str:
        known = _known(column)
        return f"{100 * max(known) / (sum(known) or 1):.0f} %"

    said = [
        f"Of the chosen model's {len(result.bill)} kernel calls, {named(weights)} holds most weights, {share(weights)}"
    ]
    if _known(latency):
        said.append(f"{named(latency)} takes most time, {share(latency)}")
    if _known(live):
        said.append(f"RAM peaks at {named(live)}, {wording.size(max(_known(live)))}")
    return f"{'; '.join(said)}."


def _bar(text: str, value: float | None, top: float) -> str:
    """A cell with a bar behind its figure; the column's largest stands out."""
    width = 0.0 if top <= 0 or value is None else value / top
    largest = " top" if value == top > 0 else ""
    return f'<td class="bar{largest}"><i style="width:calc({width:.3f} * (100% - 20px))"></i><b>{text}</b></td>'
