"""The report's section on what `nas verify` found."""

from __future__ import annotations

from html import escape

from nas import wording
from nas.report.markup import badge, table
from nas.verify import words
from nas.verify.record import Verification


def proofs(found: Verification | None) -> str:
    """What each runtime answered, beside LiteRT's reference kernels; nothing if nothing was verified."""
    if found is None or not found.proofs:
        return ""
    heads = ["model", "runtime", found.metric, *words.HEADS, ""]
    rows = []
    for proof in found.proofs:
        for k, row in enumerate(proof.answers):
            mark = badge("not", "broken") if proof.broken and k == 0 else ""
            name = f"<code>{escape(proof.id)}</code>" if k == 0 else ""
            cells = [escape(cell) for cell in (row.runtime, wording.percent(row.accuracy), *words.beside(row))]
            rows.append(([name, *cells, mark], False))
    said = (
        f"{words.verdict(found)}. The compiled C must answer as TFLM's interpreter byte for byte, both as LiteRT's "
        "reference kernels to within one step of the int8 output (LSB); onnxruntime rounds otherwise and must decide "
        "alike. Accuracies here are on these images, a sample of the test set."
    )
    broken = "".join(f"<p>{escape(p.id)}: {escape(why)}</p>" for p in found.proofs for why in p.broken)
    missing = "; ".join(f"{escape(name)} ({escape(needs)})" for name, needs in found.missing.items())
    parts = [
        f"<h2>What the runtimes answer</h2>\n<p>{escape(said)}</p>",
        f'<div class="notice bad">{broken}</div>' if broken else "",
        table(heads, rows),
        f"<p>Not there: {missing}.</p>" if missing else "",
    ]
    return "\n".join(part for part in parts if part)
