"""One kernel call by the names of the measured rows, so that anyone can check a core's prices on rows of their own."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple, SupportsInt

from search_spaces.errors import TargetError
from targets.core import call_cost, load_core
from targets.geometry import Geometry
from targets.program import CallKind

CORES = {name: f"cortex_{name}" for name in ("m0", "m3", "m4", "m7", "m33", "m55")}
KINDS: dict[str, CallKind] = {
    "conv": "conv",
    "dw": "dw",
    "fc": "fc",
    "add": "add",
    "mul": "mul",
    "maxpool": "max_pool",
    "avgpool": "avg_pool",
    "softmax": "softmax",
}
KEYS = ("H", "W", "C", "OC", "KH", "KW", "SH", "SW", "PH", "PW", "OH", "OW")
POSITIVE = frozenset(KEYS) - {"PH", "PW"}


class KernelCost(NamedTuple):
    """What one int8 CMSIS-NN call costs on a core.

    Attributes:
        cycles: priced by the core's reference manual, memory never waiting; None without a cycle table.
        instructions: executed.
        scratch_bytes: working memory.
    """

    cycles: float | None
    instructions: float
    scratch_bytes: int


def kernel_cost(core: str, kind: str, **shape: int) -> KernelCost:
    """The cost of one kernel call; which of the library's kernels runs follows from the shape.

    Args:
        core: "m0" (M0+ too), "m3", "m4", "m7", "m33" or "m55".
        kind: "conv", "dw", "fc", "add", "mul", "maxpool", "avgpool" or "softmax".
        shape: all of H, W, C (input), OC, OH, OW (output), KH, KW (kernel), SH, SW (stride), PH, PW (pads above and on
            the left), for every kind; what a kind has no use for is 1, or 0 for pads. A linear layer reads C features
            and makes OC; a softmax has H x W rows of C.

    Raises:
        TargetError: the core, the kind or a key is unknown, or a key is missing or no whole number in its range.
    """
    if core not in CORES:
        raise TargetError(f"core must be one of {', '.join(CORES)}, got {core!r}")
    found = call_cost(load_core(CORES[core]), call_geometry(kind, **shape))
    return KernelCost(found.cycles, found.instructions, found.scratch_bytes)


def call_geometry(kind: str, **shape: int) -> Geometry:
    """The geometry of a call given as in `kernel_cost`, which says what is raised."""
    if kind not in KINDS:
        raise TargetError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    for key in shape:
        if key not in KEYS:
            near = get_close_matches(key.upper(), KEYS, n=1)
            raise TargetError(f"a kernel call has no {key!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    missing = [key for key in KEYS if key not in shape]
    if missing:
        raise TargetError(f"a kernel call needs {', '.join(missing)} too")
    n = {key: _whole(key, value) for key, value in shape.items()}
    if kind == "dw" and n["OC"] % n["C"]:
        raise TargetError(f"OC of a dw must be a multiple of C, got {n['OC']} and {n['C']}")
    size = n["H"], n["W"]
    return Geometry(
        KINDS[kind],
        size if kind != "fc" else (1, 1),
        n["C"],
        (n["OH"], n["OW"]) if kind != "fc" else (1, 1),
        n["OC"],
        (n["KH"], n["KW"]),
        (n["SH"], n["SW"]),
        pads=(n["PH"], n["PW"]),
        multiplier=n["OC"] // n["C"] if kind == "dw" else 1,
        operands=n["H"] * n["W"] * n["C"] * (2 if kind in ("add", "mul") else 1),
    )


def _whole(key: str, value: int) -> int:
    """`value`, which a table may hold as a float or in an array's own type."""
    least = 1 if key in POSITIVE else 0
    if not isinstance(value, SupportsInt) or isinstance(value, str) or not least <= value < 1 << 31 or value % 1:
        raise TargetError(f"{key} must be a whole number of at least {least}, got {value!r}")
    return int(value)
