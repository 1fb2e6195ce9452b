"""How numbers and findings are put into words, the same in the report, the pictures and the terminal.

1 KB is 1024 bytes everywhere. A figure that is not known is an en dash, never a guess.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from nas.objectives import Limits, excesses

if TYPE_CHECKING:
    from nas.result import RunResult
    from targets.cost import Cost
    from targets.device import Device

RUNTIMES = {
    "tflm": "TensorFlow Lite Micro with CMSIS-NN",
    "c": "generated C with CMSIS-NN",
    "x-cube-ai": "X-CUBE-AI (ST Edge AI)",
}
CLOSED = frozenset({"x-cube-ai"})
"""Runtimes whose kernels and planner are not public, so that their figures are bands."""

CODE_PERCENT = {"tflm": 15, "c": 3}
"""Half-width of the band a linked firmware's flash is expected in."""

UNKNOWN = "\N{EN DASH}"

PACKED = (
    "Weights may have 4 bits: of networks with such layers flash, latency and energy are not known, so the device's "
    "flash was no limit; their RAM is what TFLM's kernels ask for by their sources."
)

MEANING = {
    "size_bytes": "size",
    "drop": "accuracy drop",
    "ram_bytes": "RAM",
    "flash_bytes": "flash",
    "latency_ms": "latency",
    "energy_uj": "energy",
    "macs": "MACs",
}


def size(size_bytes: float | None) -> str:
    """`912 B`, `80.5 KB`, `12.4 MB`."""
    if size_bytes is None:
        return UNKNOWN
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    if size_bytes < 1000 * 1024:
        return f"{size_bytes / 1024:.1f} KB".replace(".0 ", " ")
    return f"{size_bytes / 1024**2:.1f} MB".replace(".0 ", " ")


def number(value: float | None, digits: int = 2) -> str:
    """A plain number with a true minus sign; a rounded zero has none."""
    if value is None:
        return UNKNOWN
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def points(drop: float | None) -> str:
    """`1.62 points`."""
    return UNKNOWN if drop is None else f"{number(drop)} points"


def spread(values: Sequence[float]) -> str:
    """`1.21 ± 0.08 of 3`: mean, standard deviation (n - 1) and number; a dash for none."""
    if not values:
        return UNKNOWN
    return f"{number(statistics.fmean(values))} ± {number(statistics.stdev(values))} of {len(values)}"


def percent(accuracy: float | None) -> str:
    """`93.40 %`."""
    return UNKNOWN if accuracy is None else f"{number(accuracy)} %"


def count(value: float | None) -> str:
    """`812`, `61.2 k`, `3.21 M`."""
    if value is None:
        return UNKNOWN
    if value < 1000:
        return f"{value:.0f}"
    return f"{value / 1e3:.1f} k" if value < 999_950 else f"{value / 1e6:.2f} M"


def numbered(how_many: int, noun: str) -> str:
    """`1 model`, `2 models`."""
    return f"{how_many} {noun}" if how_many == 1 else f"{how_many:,} {noun}s"


def shape(sides: Sequence[int]) -> str:
    """Height, width and channels with multiplication signs between them."""
    return " \N{MULTIPLICATION SIGN} ".join(str(side) for side in sides)


def milliseconds(latency_ms: float | None) -> str:
    """`0.0031 ms`, `0.82 ms`, `48.3 ms`, `1250 ms`: never more digits than the model is good for."""
    if latency_ms is None:
        return UNKNOWN
    digits = 4 if 0 < latency_ms < 0.01 else 2 if latency_ms < 10 else 1 if latency_ms < 100 else 0
    return f"{latency_ms:.{digits}f} ms"


def energy(energy_uj: float | None) -> str:
    """`812 uJ`, `4.2 mJ`."""
    if energy_uj is None:
        return UNKNOWN
    return f"{energy_uj:.0f} µJ" if energy_uj < 1000 else f"{energy_uj / 1000:.1f} mJ"


class Banded(Protocol):
    """Whatever knows the bands of a device's estimates: a `Device`, a `RunResult`."""

    @property
    def latency_band_percent(self) -> float | None: ...
    @property
    def energy_band_percent(self) -> float | None: ...
    @property
    def energy_band_factor(self) -> float | None: ...


def band(percent: float | None, factor: float | None) -> str:
    """`±25 %`, or `x2.5` for a factor either way."""
    return f"±{percent or 0:g} %" if factor is None else f"x{factor:g}"


def code_band(runtime: str, compiler_level: str) -> str:
    """What a flash figure counts beside the model, and how far to trust it."""
    if runtime in CLOSED:
        return f"weights and biases, with {RUNTIMES[runtime]}"
    return f"with the {runtime} runtime and kernels at -{compiler_level}, ±{CODE_PERCENT[runtime]} %"


def latency_band(known: Banded) -> str:
    """How far to trust a latency."""
    percent = known.latency_band_percent
    return "nobody has measured this chip" if percent is None else f"estimated, ±{percent:g} %"


def measured_apart(device: Device) -> str:
    """`conv, conv_1x1`: the kernels that the device has numbers of their own for."""
    return ", ".join(sorted(device.paths)) or UNKNOWN


def energy_band(known: Banded) -> str:
    """How far to trust an energy, and where its power is from."""
    if known.energy_band_factor is not None:
        return f"power from the data sheet, within a factor of {known.energy_band_factor:g}"
    if known.energy_band_percent is not None:
        return f"power measured while inferring, ±{known.energy_band_percent:g} %"
    return "nobody has published this chip's power while inferring"


def cautions(device: Device) -> tuple[str, ...]:
    """A sentence each on what limits nothing since it is not known, and what in a device's file was not checked."""
    said = []
    if device.kernels is None:
        said.append(f"No kernels are priced for {device.core}, so the flash and RAM of {device.name} limit nothing.")
    elif free := [word for word in ("flash", "RAM") if getattr(device, f"{word.lower()}_bytes") is None]:
        said.append(f"The size of {device.name}'s {' and '.join(free)} is the board's choice and limits nothing.")
    if device.unverified:
        said.append(f"Not checked against a data sheet: {', '.join(device.unverified)} of {device.name}.")
    return tuple(said)


def duration(seconds: float | None) -> str:
    """`42 s`, `9 min 58 s`, `2 h 05 min`."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def times_smaller(before: float, after: float) -> str:
    """`91 times smaller`; one digit more below ten."""
    ratio = before / after
    if ratio < 1:
        return f"{1 / ratio:.1f} times larger"
    return f"{ratio:.1f} times smaller" if ratio < 10 else f"{ratio:.0f} times smaller"


def quantity(name: str, value: float | None) -> str:
    """A limited or minimised quantity in its unit, by its name in `Limits` or `Cost`."""
    write = {"drop": points, "latency_ms": milliseconds, "energy_uj": energy, "macs": count}.get(name, size)
    return write(value)


def listed(names: Sequence[str]) -> str:
    """`size and accuracy drop`; `size, RAM and accuracy drop`."""
    *first, last = [MEANING[name] for name in names]
    return f"{', '.join(first)} and {last}"


def usage(cost: Cost, limits: Limits, drop: float | None = None) -> list[tuple[str, float, float, float]]:
    """Each limit with what is used of it: `(name, value, limit, share)`, the fullest first; 1.0 is at the limit."""
    values = {**{name: getattr(cost, name, None) for name in limits.active}, "drop": drop}
    rows = [
        (name, value, limits.active[name], 1 + excess)
        for name, excess in excesses(cost, limits, drop).items()
        if (value := values[name]) is not None
    ]
    return sorted(rows, key=lambda row: -row[3])


def binding_sentence(cost: Cost, limits: Limits, drop: float | None = None) -> str:
    """One sentence on the limit that is nearest or exceeded most, and on the next one.

    `The accuracy drop binds: 1.62 points of 2.00 points (81 %); next is the size, 141.2 KB of 256 KB (55 %).`
    """
    rows = usage(cost, limits, drop)
    if not rows:
        return "No limit was set."

    def told(row: tuple[str, float, float, float]) -> str:
        name, value, limit, share = row
        return f"{quantity(name, value)} of {quantity(name, limit)} ({100 * share:.0f} %)"

    first = f"The {MEANING[rows[0][0]]} binds: {told(rows[0])}"
    return f"{first}; next is the {MEANING[rows[1][0]]}, {told(rows[1])}." if len(rows) > 1 else f"{first}."


def headline(result: RunResult) -> str:
    """The run in one sentence; drops are those of the exported file on final_val."""
    point, original = result.chosen_point, result.original
    if point is None:
        return result.binding
    found = f"{size(original.file_bytes)} → {size(point.cost.size_bytes)}, "
    found += times_smaller(original.file_bytes, point.cost.size_bytes)
    lost = f"{number(point.val_drop)} points of {result.metric}" if point.val_drop > 0 else f"no {result.metric}"
    bound = f"at most {number(point.val_drop_upper95)}"
    if point.verdict == "proven":
        return f"{found}: {lost} lost, {bound} with 95 % confidence."
    return f"{found}: {lost} lost, but up to {number(point.val_drop_upper95)} with 95 % confidence: likely, not proven."


def columns(rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Rows of text in aligned columns, the first `left` to the left and the others to the right."""
    table = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = (
        "  ".join(
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)
