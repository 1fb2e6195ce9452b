"""What `nas verify` prints."""

from __future__ import annotations

from nas import wording
from nas.verify import words
from nas.verify.record import Verification


def text(found: Verification) -> str:
    """A table, what breaks the law, which runtimes were not there, and the verdict."""
    rows = [("model", "runtime", found.metric, *words.HEADS)]
    for proof in found.proofs:
        for k, row in enumerate(proof.answers):
            name = proof.id if k == 0 else ""
            rows.append((name, row.runtime, wording.percent(row.accuracy), *words.beside(row)))
    lines = [wording.columns(rows, left=2), ""]
    lines += [f"{proof.id}: {sentence}" for proof in found.proofs for sentence in proof.broken]
    lines += [f"not there: {name}; {needs}" for name, needs in found.missing.items()]
    return "\n".join([*lines, words.verdict(found)])
