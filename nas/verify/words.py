"""How a verification is put into words, the same in the report and the terminal."""

from __future__ import annotations

from nas import wording
from nas.verify.record import Answers, Verification
from nas.verify.runner import LITERT

HEADS = ("decides alike", "values that differ", "worst")


def verdict(found: Verification) -> str:
    """One sentence."""
    images = max((proof.images for proof in found.proofs), default=0)
    runtimes = max((len(proof.answers) for proof in found.proofs), default=0)
    broken = sum(bool(proof.broken) for proof in found.proofs)
    said = f"{_counted(len(found.proofs), 'model')}, {_counted(images, 'test image')}, {_counted(runtimes, 'runtime')}"
    return f"{said}: {f'{broken} broken' if broken else 'all answer as they must'}"


def beside(row: Answers) -> tuple[str, str, str]:
    """Under `HEADS`: agreement, values that differ and the worst difference, beside LiteRT's reference kernels."""
    if row.runtime == LITERT:
        return "", "", ""
    return wording.percent(row.agreement), f"{row.differing}", f"{row.worst_lsb} LSB"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
