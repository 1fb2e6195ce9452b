"""Fits X-CUBE-AI's releases to published networks, and writes `targets/data/x_cube_ai.toml`.

    python experiments/cost_model/x_cube_ai.py     # prints every error, each network left out of its fit

`data/x_cube_ai.csv` has the rows with their sources; the networks are rebuilt (`published_networks.py`), and where a
source states MACs or parameters, these are the same. MLPerf Tiny's visual wake words network has dead channels, which
releases from 8.1 on remove: it is in no fit, and tells of the older ones whether a depthwise MAC costs nine 1x1 ones.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from baselines import relative_nnls
from published_networks import network

from targets.core import call_costs, load_core
from targets.lower import lower
from targets.x_cube_ai import FILE, RUNTIME, executed_calls, live_bytes, macs_by_kind

TABLE = Path(__file__).parent / "data" / "x_cube_ai.csv"
DEAD_CHANNELS = "mobilenet_v1 0.25 3x96x96 2"
ZOO = "STM32H747I-DISCO"
FITTED = ("8.1", "10.0")
OLDEST = 8.1
DEPTHWISE = 9.0
"""A depthwise MAC against a 1x1 one: 8.6 and 9.5 on the H747, where twelve networks and more tell them apart."""
SMALL_BYTES = 16_384
SIZES = ("flash_code_bytes", "ram_activation_bytes", "ram_runtime_bytes")
HEAD = """\
# Fits to published networks of X-CUBE-AI (ST Edge AI). Written by experiments/cost_model/x_cube_ai.py from
# data/x_cube_ai.csv there, whose rows name their sources. `low` and `high`: measured over predicted, each network left
# out of its fit, the least and the greatest.
"""
ACTIVATIONS = """
# Activations over the bytes of tensors that live at once; `added_bytes` more at most, as many as live, for unrolled
# windows. {rows} rows, from {least:.2f} to {most:.2f}; beyond the band: {beyond}.
[activations]
least = {low:.2f}
greatest = {high:.2f}
added_bytes = {added}
"""
FIT = """\
[{name}."{version}"]  # {note}
prices = {prices}
low = {low:.3f}
high = {high:.3f}"""


Prices = tuple[float, float, float, float]


@dataclass(frozen=True)
class Counts:
    """What a network's figures are told from."""

    calls: int
    filters: int
    weights_bytes: int
    live_bytes: int
    macs: tuple[int, int, int, int]


@cache
def counts(name: str) -> Counts:
    program = lower(network(name), RUNTIME)
    costs = call_costs(program, load_core("cortex_m4"))
    return Counts(
        executed_calls(program),
        sum(cost.filters for cost in costs),
        sum(cost.weights_bytes for cost in costs),
        live_bytes(program, costs),
        macs_by_kind(program.calls, costs),
    )


@dataclass(frozen=True)
class Published:
    """A row; figures that the source does not state are None."""

    network: str
    board: str
    core: str
    version: str
    cycles: float
    code_bytes: float | None
    activation_bytes: float | None
    data_bytes: float | None


@cache
def published() -> list[Published]:
    with TABLE.open() as file:
        return [_row(row) for row in csv.DictReader(file)]


def _row(row: dict[str, str]) -> Published:
    known = [float(row[key]) if row[key] else None for key in SIZES]
    cycles = 1e3 * float(row["latency_ms"]) * float(row["clock_mhz"])
    return Published(row["network"], row["board"], row["core"].replace("Cortex-M", "m"), row["version"], cycles, *known)


def main() -> None:
    lines = [HEAD, "# Flash beside weights and biases: bytes of a network, a kernel call and a filter."]
    lines += _sizes("code", "code_bytes", lambda c: (1, c.calls, c.filters))
    lines += ["", "# RAM beside activations: bytes of a network and a kernel call."]
    lines += _sizes("data", "data_bytes", lambda c: (1, c.calls))
    lines += [_activations()]
    lines += ["# Cycles per multiply-accumulate of convolutions, 1x1 ones, depthwise ones and linear layers."]
    lines += _cycles()
    FILE.write_text("\n".join(lines) + "\n")


def _sizes(name: str, field: str, terms: Callable[[Counts], tuple[int, ...]]) -> list[str]:
    lines, prices, spread = [], np.zeros(0), (1.0, 1.0)
    for version in FITTED:
        rows = _once(row for row in published() if row.version == version and getattr(row, field) is not None)
        shapes = np.array([terms(counts(row.network)) for row in rows], float)
        prices, text, spread = _fit(name, version, rows, shapes, np.array([getattr(row, field) for row in rows]))
        lines.append(text)
    newest = {row.network: getattr(row, field) for row in published() if row.version == "10.0" and getattr(row, field)}
    core = [getattr(row, field) / newest[row.network] for row in published() if row.version == "core 3.0"]
    print(f"{name}: ST Edge AI Core 3.0 has {min(core):.3f} to {max(core):.3f} of 10.0's, {len(core)} networks")
    note = f"10.0's times {min(core):.3f}, as {len(core)} networks have it"
    scaled = _numbers(min(core) * prices)
    low, high = spread
    return [*lines, FIT.format(name=name, version="core 3.0", note=note, prices=scaled, low=low, high=high)]


def _once(rows: Iterable[Published]) -> list[Published]:
    """One row a network: image sizes and boards do not change its code."""
    return list({(row.network, row.version): row for row in rows}.values())


def _fit(
    name: str, version: str, rows: Sequence[Published], shapes: np.ndarray, measured: np.ndarray
) -> tuple[np.ndarray, str, tuple[float, float]]:
    """The prices, the lines of the file, and measured over predicted: the least and the greatest."""
    said, names = np.zeros(len(measured)), np.array([row.network for row in rows])
    for left in set(names):
        said[names == left] = shapes[names == left] @ relative_nnls(shapes[names != left], measured[names != left])
    share, error = measured / said, 100 * (said / measured - 1)
    told = f"{len(rows)} rows, left out {np.abs(error).mean():.1f} % mean, {np.abs(error).max():.1f} % worst"
    print(f"{name} {version}: {told}")
    print("  " + ", ".join(f"{row.network} {value:+.0f}" for row, value in zip(rows, error, strict=True)))
    prices, (low, high) = relative_nnls(shapes, measured), (float(share.min()), float(share.max()))
    text = FIT.format(name=name, version=version, note=told, prices=_numbers(prices), low=low, high=high)
    return prices, text, (low, high)


def _numbers(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def _activations() -> str:
    """Activations as a share of what lives at once; small networks have buffers of unrolled windows besides."""
    rows = [row for row in published() if row.activation_bytes is not None and row.version != "7.3"]
    shares = sorted((row.activation_bytes or 0) / counts(row.network).live_bytes for row in rows)
    low, high = np.floor(20 * shares[0]) / 20, 1.2
    over = [row for row in rows if (row.activation_bytes or 0) > _most(counts(row.network).live_bytes, high)]
    beyond = ", ".join(f"{row.network} of {row.version}" for row in over) or "none"
    print(
        f"activations: {len(rows)} rows, {shares[0]:.2f} to {shares[-1]:.2f} of what lives; beyond the band: {beyond}"
    )
    return ACTIVATIONS.format(
        rows=len(rows), least=shares[0], most=shares[-1], beyond=beyond, low=low, high=high, added=SMALL_BYTES
    )


def _most(live: int, greatest: float) -> float:
    return greatest * live + min(live, SMALL_BYTES)


def _cycles() -> list[str]:
    lines, spread = [], (1.0, 1.0)
    for version in FITTED:
        rows = [row for row in published() if (row.board, row.version) == (ZOO, version)]
        rows = [row for row in rows if row.network != DEAD_CHANNELS]
        shapes, cycles = np.array([counts(row.network).macs[:3] for row in rows], float), [row.cycles for row in rows]
        _, text, (low, high) = _fit("cycles.m7", f"{version} on {ZOO}", rows, shapes, np.array(cycles))
        spread = min(spread[0], low), max(spread[1], high)
        lines.append(text.replace("]\nlow", f", {_linear('m7'):.4g}]\nlow"))
    boards = dict.fromkeys((row.core, row.board, row.version) for row in published() if row.board.startswith("NUCLEO"))
    for core, board, version in sorted(boards):
        found = {row.network: row.cycles for row in published() if (row.board, row.version) == (board, version)}
        if not {"keywords", "resnet 1 10"} <= found.keys():
            continue
        prices = _solved(found, core)
        if float(version.split()[0]) < OLDEST:
            _dead_channels(board, version, prices, found[DEAD_CHANNELS])
            continue
        note, (low, high) = "solved from three networks; the spread is the H747's", spread
        name, release, values = f"cycles.{core}", f"{version} on {board}", _numbers(prices)
        lines.append(FIT.format(name=name, version=release, note=note, prices=values, low=low, high=high))
    return lines


def _dead_channels(board: str, version: str, prices: Prices, cycles: float) -> None:
    """What a release that keeps dead channels says of the network that has some."""
    said = sum(price * macs for price, macs in zip(prices, counts(DEAD_CHANNELS).macs, strict=True))
    print(f"{board} {version}: {DEAD_CHANNELS} told from the other three {100 * (said / cycles - 1):+.1f} %")


def _linear(core: str) -> float:
    """Linear layers hardly weigh in the zoo's networks: the anomaly detector's price on the slowest release."""
    rows = [row for row in published() if (row.core, row.network, row.version) == (core, "autoencoder", "8.1")]
    return rows[0].cycles / counts("autoencoder").macs[3]


def _solved(found: dict[str, float], core: str) -> Prices:
    """Prices from image classification, keywords and anomalies; options were published without the last."""
    linear = found["autoencoder"] / counts("autoencoder").macs[3] if "autoencoder" in found else _linear(core)
    both = [(found[name], counts(name).macs) for name in ("resnet 1 10", "keywords")]
    sums = [cycles - linear * macs[3] for cycles, macs in both]
    conv, pointwise = np.linalg.solve([[macs[0], macs[1] + DEPTHWISE * macs[2]] for _, macs in both], sums)
    return float(conv), float(pointwise), float(DEPTHWISE * pointwise), linear


if __name__ == "__main__":
    main()
