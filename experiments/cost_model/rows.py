"""The measured rows: kernel calls under emulation, one file a core."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from targets.geometry import Geometry
from targets.kernels import Extension, path
from targets.one_call import KEYS, call_geometry

DATA = Path(__file__).parent / "data"
EXTENSIONS: dict[str, Extension] = {
    "m4": "dsp",
    "m7": "dsp",
    "m33": "dsp",
    "m3": "scalar",
    "m0": "scalar",
    "m55": "mve",
}
"""Cores in the order of fitting, with the code CMSIS-NN compiles for each."""


@dataclass(frozen=True)
class Row:
    """One call.

    Attributes:
        group: "random", or "mlperf_..." for a layer of an MLPerf Tiny network.
        kind, shape: as `targets.kernel_cost` takes them.
        code: the code path we say it takes; `path` is the one that was seen.
        measured: "insns" (executed instructions), "loads" (from the weights) and for the M4 "cycles".
    """

    group: str
    kind: str
    shape: tuple[int, ...]
    geometry: Geometry
    code: str
    path: str
    macs: int
    scratch_bytes: int
    measured: dict[str, float]


@cache
def rows(core: str) -> list[Row]:
    with (DATA / "cmsis_nn" / f"{core}.csv").open() as file:
        return [_row(found, core) for found in csv.DictReader(file)]


def _row(found: dict[str, str], core: str) -> Row:
    shape = tuple(int(found[key]) for key in KEYS)
    geometry = call_geometry(found["kind"], **dict(zip(KEYS, shape, strict=True)))
    measured = {"insns": float(found["insns"]), "loads": float(found["loads_weight_area"])}
    if "cycles_trm" in found:
        measured["cycles"] = float(found["cycles_trm"])
    code = path(geometry, EXTENSIONS[core.partition("_")[0]])
    macs, scratch = int(found["macs"]), int(found["scratch_bytes"])
    return Row(found["set"], found["kind"], shape, geometry, code, found["path"], macs, scratch, measured)
