"""Fits the loop prices of every core to its measured calls and writes `targets/data/cortex_*.toml`.

python experiments/cost_model/fit.py
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
from fitting import SHARED, Prices, fit_all, held_out, loops_of, section
from rows import EXTENSIONS, Row, rows

from targets.core import DATA

HEAD = """\
# int8 CMSIS-NN kernels (commit 99f736a6, 2026-07-15), GCC 12.2 -O3: loop prices of {title}.
#
# Written by experiments/cost_model/fit.py from {calls} emulated calls: data/cmsis_nn/{core}.csv there.
# {what}
# Errors are of calls held out in 5 folds.
title = "{title}"
extension = "{extension}"  # which of its code CMSIS-NN compiles: targets/kernels.py
measured = [{measured}]  # the columns below, each time the loop of that name runs
"""

CYCLES = """Cycles are executed instructions priced by the Cortex-M4 Technical Reference Manual: no caches, no flash
# wait states. What a board adds is in its device file."""
COUNTS = "How many cycles an instruction takes is in the device file (`cycles_scale`)."
VECTORS = """
# Loads from the weights were counted by lanes, not by instructions, so they are left out."""

ASSUMED_LOOPS = {
    "concat": (2, 200), "pad": (2, 200), "slice": (2, 200), "reshape": (2, 100), "transpose": (20, 300),
    "resize_nearest": (4, 300), "resize_linear": (80, 500),
}  # fmt: skip
"""Of a byte and of a call: TFLM's own loops. A byte copied costs 0.6 (newlib's word loop) to 7 (its byte loop)."""

RESCALING = {"relu": 1, "leaky_relu": 1, "requantize": 1, "hard_swish": 3}
"""Kernels that rescale each value as a mul does, so many times."""

ALIKE = {
    "sub": "add", "logistic": "softmax", "tanh": "softmax", "elu": "relu", "crop": "slice",
    "transpose_conv": "conv", "transpose_conv_reversed": "conv",
}  # fmt: skip
"""Paths priced as another; a transposed convolution in the counts of an equivalent one (`targets.kernels`)."""

BROADCAST = {"add": 2.14, "mul": 2.52}
"""An element of TFLM's indexed loops (BroadcastAdd4DSlow, BroadcastMul4DSlow) against one of the straight loop."""


def main() -> None:
    every = {core: rows(core) for core in EXTENSIONS}
    out = held_out(every)
    known = tomllib.loads((Path(__file__).parent / "cores.toml").read_text())
    for core, prices in fit_all(every).items():
        what = "cycles" if "cycles" in prices else "insns"
        errors = {(row.kind, row.shape): 100 * abs(said / row.measured[what] - 1) for row, said in out[core, what]}
        text = head(core, known[core]["title"], every[core], "cycles" in prices)
        text += fitted(core, prices, every[core], errors) + assumed(core, prices)
        (DATA / f"cortex_{core}.toml").write_text(text)


def head(core: str, title: str, found: list[Row], cycles: bool) -> str:
    measured = ['"cycles"'] if cycles else []
    vectors = VECTORS if EXTENSIONS[core] == "mve" else ""
    return HEAD.format(
        title=title,
        core=core,
        calls=f"{len(found):,}",
        what=(CYCLES if cycles else COUNTS) + vectors,
        extension=EXTENSIONS[core],
        measured=", ".join([*measured, '"instructions"', '"weight_loads"']),
    )


def fitted(
    core: str, prices: dict[str, Prices], found: list[Row], errors: dict[tuple[str, tuple[int, ...]], float]
) -> str:
    text = ""
    for name in prices["insns"]:
        mine = [errors[row.kind, row.shape] for row in found if section(row.code, core) == name]
        said = "no call: another core's prices"
        if mine:
            said = f"{len(mine)} calls, mean {np.mean(mine):.2f} %, p95 {np.quantile(mine, 0.95):.2f} %"
        text += f"\n[loops.{name}]  # {said}\n"
        text += "".join(f"{loop} = {columns(prices, name, loop)}\n" for loop in loops_of(name, core))
        if name in BROADCAST:
            elements = [BROADCAST[name] * of[name]["fours"] / 4 for of in columns_of(prices) if name in of]
            text += f"broadcast_elements = {row([*elements, 0.0])}  # assumed\n"
    return text


def columns_of(prices: dict[str, Prices]) -> list[Prices]:
    return [prices[what] for what in ("cycles", "insns") if what in prices]


def columns(prices: dict[str, Prices], name: str, loop: str) -> str:
    """The prices of a loop; an element left over of a mul is a quarter of four: no row has one."""
    values = [of[name]["fours"] / 4 if (name, loop) == ("mul", "ones") else of[name][loop] for of in columns_of(prices)]
    return row([*values, prices.get("loads", {}).get(name, {}).get(loop, 0.0)])


def row(values: list[float]) -> str:
    return "[" + ", ".join(f"{value:.3f}".rstrip("0").rstrip(".") for value in values) + "]"


def assumed(core: str, prices: dict[str, Prices]) -> str:
    every = columns_of(prices)
    text = "\n# Not in the measured rows: assumed, and small beside convolutions.\n"
    for name, times in RESCALING.items():
        byte, call = [times * of["mul"]["fours"] / 4 for of in every], [of["mul"]["calls"] for of in every]
        text += f"\n[loops.{name}]  # as {times} mul\nbytes_written = {row([*byte, 0])}\ncalls = {row([*call, 0])}\n"
    for name, (byte, call) in ASSUMED_LOOPS.items():
        text += f"\n[loops.{name}]\nbytes_written = {row([byte] * len(every) + [0])}\n"
        text += f"calls = {row([call] * len(every) + [0])}\n"
    same = ALIKE | SHARED.get(EXTENSIONS[core], {})
    return (
        text
        + "\n[loops]  # priced as another: assumed, but for paths of one product\n"
        + "".join(f'{name} = "{other}"\n' for name, other in same.items())
    )


if __name__ == "__main__":
    main()
