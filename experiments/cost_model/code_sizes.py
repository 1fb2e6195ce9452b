"""Links the int8 kernels per core and compiler level, and writes `targets/data/code_bytes.csv`.

    python experiments/cost_model/code_sizes.py     # needs arm-none-eabi-gcc and bakenn, whose wheel has CMSIS-NN 4.0.0

Generated C is linked from its own sources (`nas/deploy/c`) and CMSIS-NN 4.0.0. CMSIS-NN 99f736a6, whose kernels TFLM is
priced with, was linked elsewhere (`code_sizes.toml`); where it was not, its bytes are carried over by the ratio that
CMSIS-NN 4.0.0 shows between the cores and levels, and the row says so.
"""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

import bakenn
from linking import FLAGS, Sources, total

from targets.code import FILE
from targets.program import LEVELS

CMSIS = Path(bakenn.__file__).parent / "backend" / "cmsis_nn" / "vendor"
OURS = Path(__file__).parents[2] / "nas" / "deploy" / "c"
KNOWN: dict[str, Any] = tomllib.loads((Path(__file__).parent / "code_sizes.toml").read_text())
ENTRIES = {
    "conv": "arm_convolve_wrapper_s8", "dw": "arm_depthwise_conv_wrapper_s8", "fc": "arm_fully_connected_s8",
    "max_pool": "arm_max_pool_s8", "avg_pool": "arm_avgpool_s8",
}  # fmt: skip
LINKED, CARRIED = "linked: CMSIS-NN 99f736a6, GCC 12.2", "carried over: CMSIS-NN 4.0.0, GCC 12.2, from "
Shares = dict[frozenset[str], int]
Row = tuple[str, str, str, str, int, str]
Sizes = dict[tuple[str, str], Shares]


def main() -> None:
    with cmsis_nn() as sources:
        linked = {(core, level): shares(sources, core, level) for core in FLAGS for level in LEVELS}
        rows = [row for core in FLAGS for level in LEVELS for row in kernels(linked, core, level)]
        check(linked, rows)
        together(sources, linked)
    with generated_c() as sources:
        for core in FLAGS:
            for level in LEVELS:
                rows += entries(shares(sources, core, level), core, level)
    rows.append(("c", "any", "any", "runtime", KNOWN["generated_c"]["bytes"], KNOWN["generated_c"]["source"]))
    rows += [("tflm", "any", "any", kind, size, "assumed: read from TFLM's kernels") for kind, size in assumed()]
    rows += [("tflm", "any", level, "runtime", KNOWN["runtime"][level], KNOWN["runtime"]["source"]) for level in LEVELS]
    with FILE.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("runtime", "core", "level", "kinds", "bytes", "source"))
        table.writerows(rows)


def cmsis_nn() -> Sources:
    kept = [file for file in sorted((CMSIS / "cmsis_nn" / "Source").rglob("*.c")) if not file.stem.startswith("bakenn")]
    return Sources(kept, [CMSIS / "cmsis_nn" / "Include", CMSIS / "cmsis_core" / "Include"], ENTRIES)


def generated_c() -> Sources:
    """Our entries, over CMSIS-NN."""
    below = cmsis_nn()
    files = sorted(OURS.glob("nn_*.c"))
    return Sources([*files, *below.files], [OURS, *below.includes], {f.stem.removeprefix("nn_"): f.stem for f in files})


def entries(found: Shares, core: str, level: str) -> list[Row]:
    source = "linked: nas/deploy/c, CMSIS-NN 4.0.0, GCC 12.2 -" + buildable(core, level)
    return [("c", core, level, " ".join(sorted(users)), size, source) for users, size in found.items() if size]


def shares(sources: Sources, core: str, level: str) -> Shares:
    """GCC 12.2 refuses the inline assembly of CMSIS-NN 4.0.0 for Helium at -Os; -O2's bytes stand in."""
    return sources.shares(core, buildable(core, level))


def buildable(core: str, level: str) -> str:
    return "O2" if (core, level) == ("m55", "Os") else level


def assumed() -> list[tuple[str, int]]:
    return list(KNOWN["assumed"].items())


def kernels(linked: Sizes, core: str, level: str) -> list[Row]:
    """The rows of a core and level: what several kinds share, and what each has of its own."""
    common = {users: size for users, size in linked[core, level].items() if len(users) > 1}
    joins = KNOWN["joins"].get(core, {})
    common = {users | {kind for kind, like in joins.items() if like in users}: n for users, n in common.items()}
    rows = [
        ("tflm", core, level, " ".join(sorted(users)), size, "linked: CMSIS-NN 4.0.0, GCC 12.2")
        for users, size in common.items()
    ]
    if core in KNOWN["shared"]:  # what 4.0.0 does not share
        kinds, size = KNOWN["shared"][core]["kinds"], KNOWN["shared"][core]["bytes"]
        held = round(size * whole(linked, core, level, "conv") / whole(linked, core, "O3", "conv"))
        rows = [("tflm", core, level, kinds, held, "assumed: read from CMSIS-NN")]
        common = {frozenset(kinds.split()): held}
    for kind in KNOWN["recorded"]["m4"]["O3"]:
        size, source = of_kind(linked, core, level, kind)
        own = max(0, size - sum(n for users, n in common.items() if kind in users))
        rows.append(("tflm", core, level, kind, own, source))
        if kind == "add":
            rows.append(("tflm", core, level, "sub", own, "assumed: as add"))
    return rows


def of_kind(linked: Sizes, core: str, level: str, kind: str) -> tuple[int, str]:
    """A kernel with all it reaches, and where the number is from."""
    recorded = KNOWN["recorded"]
    if level in recorded.get(core, {}):
        return recorded[core][level][kind], LINKED
    base, at = ("m4", level) if core in ("m7", "m33") else (core, "O3")
    size = recorded[base][at][kind]
    if kind in ENTRIES:
        size *= whole(linked, core, level, kind) / whole(linked, base, at, kind)
        return round(size), f"{CARRIED}{base} -{at}"
    if base != core:
        return size, f"assumed: as {base}"
    return round(size * recorded["m4"][level][kind] / recorded["m4"]["O3"][kind]), f"assumed: {core} -O3 as on m4"


def whole(linked: Sizes, core: str, level: str, kind: str) -> int:
    return total(linked[core, level], {kind})


def check(linked: Sizes, rows: list[Row]) -> None:
    """Prints how far carrying over is from what was linked, and the sums of kinds from sets linked together."""
    recorded = KNOWN["recorded"]["m4"]
    print("Carried over from m4 -O3 against linked, in percent:")
    for level in ("O2", "Os"):
        told = {
            kind: recorded["O3"][kind] * whole(linked, "m4", level, kind) / whole(linked, "m4", "O3", kind)
            for kind in ENTRIES
        }
        print(f"  -{level}: " + ", ".join(f"{k} {100 * (told[k] / recorded[level][k] - 1):+.0f}" for k in ENTRIES))
    print("Sum of kinds against the set linked together (CMSIS-NN 99f736a6), in percent:")
    sets = ({"conv", "dw", "fc", "avg_pool", "softmax"}, {"conv", "dw", "fc", "avg_pool", "softmax", "max_pool", "add"})
    for name, sizes in KNOWN["recorded_sets"].items():
        core, level = name.split("_")
        mine = {frozenset(row[3].split()): row[4] for row in rows if row[1:3] == (core, level)}
        said = [100 * (total(mine, used) / size - 1) for used, size in zip(sets, sizes, strict=True)]
        print(f"  {core} -{level}: five kinds {said[0]:+.1f}, seven {said[1]:+.1f}")


def together(sources: Sources, linked: Sizes) -> None:
    """The same for the kernels of CMSIS-NN 4.0.0, linked here."""
    print("Sum of five kinds against the set linked together (CMSIS-NN 4.0.0), in percent:")
    for (core, level), found in linked.items():
        size = sum(sources.symbols(core, buildable(core, level), list(ENTRIES)).values())
        print(f"  {core} -{level}: {100 * (total(found, set(ENTRIES)) / size - 1):+.2f}")


if __name__ == "__main__":
    main()
