"""Fits the loop prices of generated C to its emulated calls, prints what held-out calls miss them by, and writes
`targets/data/generated_c_<core>.toml`.

    python experiments/cost_model/fit_c.py
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from calls_c import DATA as MEASURED
from fit import row
from fitting import solve
from rows import EXTENSIONS

from targets import kernels, kernels_c
from targets.core import DATA, Price, load_core
from targets.geometry import Geometry

FOLDS = 5
TABLES = ("relu", "requantize", "leaky_relu", "logistic", "tanh", "elu", "hard_swish")
SAME = {**dict.fromkeys(TABLES[1:], TABLES[0]), "crop": "slice"}
"""Paths that are one kernel."""

LOADS = {
    "conv_grouped": {"outputs": 3, "values": 1},
    "dw_any": {"outputs": 3, "valid_taps": 1},
    "transpose_conv": {"outputs": 3, "values": 1},
    "fc": {"twos": 6, "words": 2, "rest": 2, "ones": 3, "one_values": 1},
    "relu": {"elements": 1},
    "softmax": {"elements": 2},
}
"""Loads from weights, biases, scales and tables, by reading the sources; a conv's are those of TFLM's."""

HEAD = """\
# Kernels of generated C (nas/deploy/c, CMSIS-NN 4.0.0), arm-none-eabi-gcc 12.2 -O3: loop prices on a Cortex-{core}.
#
# Written by experiments/cost_model/fit_c.py from {calls} emulated calls: data/generated_c/{core_name}.csv there.
# {what}
# Errors are of calls held out in {folds} folds. A path that is not here has TFLM's prices (cortex_{core_name}.toml).
measured = [{measured}]  # the columns below, each time the loop of that name runs
"""
CYCLES = (
    "Cycles are executed instructions priced by the Cortex-M4 Technical Reference Manual: no caches, no wait states."
)
COUNTS = "How many cycles an instruction takes is in the device file (`cycles_scale`)."


class Called(NamedTuple):
    code: str
    shape: Geometry
    insns: float
    cycles: float | None


def called(core: str) -> list[Called]:
    with (MEASURED / f"{core}.csv").open(newline="") as file:
        return [
            Called(
                found["path"], _geometry(found),
                float(found["insns"]), float(found["cycles_trm"]) if found["cycles_trm"] else None,
            )
            for found in csv.DictReader(file)
        ]  # fmt: skip


def _geometry(row: Mapping[str, str]) -> Geometry:
    """Of a call; what has no column is as it is by default."""
    return Geometry(**{name: _field(row[name], name) for name in Geometry._fields if name in row})


def _field(text: str, name: str) -> Any:
    if name == "kind":
        return text
    return tuple(map(int, text.split("x"))) if "x" in text else int(text)


class Fit(NamedTuple):
    """Prices of a path's loops by what was measured, and the errors in percent of held-out calls."""

    prices: dict[str, dict[str, float]]
    errors: np.ndarray


def fitted(core: str, code: str, mine: Sequence[Called]) -> Fit:
    extension = EXTENSIONS[core]
    rule = kernels_c.COUNTS[extension][code]
    counted = [rule(call.shape) for call in mine]
    loops = list(dict.fromkeys(name for counts in counted for name in counts))
    counts = np.array([[times.get(loop, 0) for loop in loops] for times in counted], float)
    lean = known(core, code)
    prices, errors = {}, np.zeros(len(mine))
    for what in ("insns", "cycles") if mine[0].cycles is not None else ("insns",):
        measured = np.array([getattr(call, what) for call in mine], float)
        given = np.array([_of(lean[loop], what) if loop in lean else np.nan for loop in loops])
        prices[what] = dict(zip(loops, solve(counts, measured, given), strict=True))
        fold = np.random.default_rng(0).permutation(len(mine)) % FOLDS
        for k in range(FOLDS):
            out = fold == k
            found = solve(counts[~out], measured[~out], given)
            errors[out] = 100 * (counts[out] @ found / measured[out] - 1)
    return Fit(prices, errors)


def known(core: str, code: str) -> Mapping[str, Price]:
    """Prices of the same loops in TFLM's kernels, which a fit leans on."""
    base = load_core(f"cortex_{core}")
    same = kernels.COUNTS[EXTENSIONS[core]].get(code) is kernels_c.COUNTS[EXTENSIONS[core]][code]
    return base.loops[code] if same else {}


def _of(price: Price, what: str) -> float:
    return price.cycles if what == "cycles" else price.instructions


def loads(core: str, code: str) -> dict[str, float]:
    if code in LOADS:
        return dict(LOADS[code])
    return {loop: price.weight_loads for loop, price in load_core(f"cortex_{core}").loops.get(code, {}).items()}


def text(core: str, every: Sequence[Called]) -> str:
    cycles = every[0].cycles is not None
    columns = ["cycles"] * cycles + ["instructions", "weight_loads"]
    said = HEAD.format(
        core=core.upper(), core_name=core, calls=len(every), folds=FOLDS, what=CYCLES if cycles else COUNTS,
        measured=", ".join(f'"{name}"' for name in columns),
    )  # fmt: skip
    pooled: list[float] = []
    for code in sorted({call.code for call in every}):
        mine = [call for call in every if call.code == code]
        found = fitted(core, code, mine)
        size = np.abs(found.errors)
        pooled += size.tolist()
        facts = f"{len(mine)} calls, mean {size.mean():.2f} %, p95 {np.quantile(size, 0.95):.2f} %"
        print(f"{core:4}{code:16}{facts}, {found.errors.mean():+.2f} % on the whole")
        said += f"\n[loops.{code}]  # {facts}\n"
        weight = loads(core, code)
        for loop in found.prices["insns"]:
            prices = [found.prices[what][loop] for what in ("cycles", "insns") if what in found.prices]
            said += f"{loop} = {row([*prices, weight.get(loop, 0.0)])}\n"
    print(
        f"{core:4}{'all':16}{len(every)} calls, mean {np.mean(pooled):.2f} %, p95 {np.quantile(pooled, 0.95):.2f} %\n"
    )
    return said + "\n[loops]  # one kernel\n" + "".join(f'{code} = "{other}"\n' for code, other in SAME.items())


def main() -> None:
    for core in EXTENSIONS:
        if (MEASURED / f"{core}.csv").is_file():
            (DATA / f"generated_c_{core}.toml").write_text(text(core, called(core)))


if __name__ == "__main__":
    main()
