"""Runs single calls of generated C on emulated cores and keeps what they execute: data/generated_c/<core>.csv.

    python experiments/cost_model/calls_c.py [--cores m4,m0,m3,m7,m33,m55]

Needs arm-none-eabi-gcc and qemu-system-arm. Shapes are random; so are weights, of which no cost depends.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from math import prod
from pathlib import Path

import numpy as np
from calls_c_shapes import CASES, Case

from nas.deploy import cmsis_nn, firmware, qemu
from nas.deploy.arena import geometry_of, layer_scratch
from nas.deploy.cycles import profile
from nas.deploy.emit import Source
from nas.deploy.export_c import CORES, Exported
from nas.deploy.layers import Layer, Network, Value
from targets.geometry import Geometry
from targets.kernels_c import path
from targets.memory import aligned

DATA = Path(__file__).parent / "data" / "generated_c"
SIDE = 16
"""Bytes of the harness' images, which nothing reads."""

MODEL = """#include "model.h"
#include "nn.h"
static _Alignas(16) int8_t arena[{arena}];
{pools}
{definitions}
__attribute__((noinline)) static void case_0(void) {{}}
{cases}
static void (*const cases[])(void) = {{{names}}};
static unsigned next;
int8_t *model_input(void) {{ return arena; }}
const int8_t *model_output(void) {{ return arena; }}
void model_run(void) {{ cases[next++](); }}
"""
HEADER = f"""#include <stdint.h>
#define MODEL_INPUT_SIZE {SIDE}
#define MODEL_OUTPUT_SIZE {SIDE}
int8_t *model_input(void);
void model_run(void);
const int8_t *model_output(void);
"""

RNG = np.random.default_rng(0)
POOLS = {
    "pool_weights": RNG.integers(-127, 128, 40_000, dtype=np.int8),
    "pool_biases": RNG.integers(-5000, 5000, 4096, dtype=np.int32),
    "pool_multipliers": RNG.integers(1 << 30, (1 << 31) - 1, 4096, dtype=np.int32),
    "pool_shifts": RNG.integers(-10, -5, 4096, dtype=np.int32),
}
"""Constants that all calls share, so that hundreds of them fit a small memory."""


class Calls(Source):
    """The C of layers that have nothing to do with each other."""

    def __init__(self, *given: object) -> None:
        self.places: list[int] = []
        super().__init__(*given)  # type: ignore[arg-type]

    def array(self, values: np.ndarray) -> str:
        for name, pool in POOLS.items():
            if values.dtype == pool.dtype and np.array_equal(values.ravel(), pool[: values.size]):
                return name
        return super().array(values)

    def layer(self, *given: object) -> None:
        super().layer(*given)  # type: ignore[arg-type]
        self.places.append(self.place)

    def cases(self) -> list[str]:
        """A function for each layer's calls."""
        calls = list(zip(self.places, self.calls, strict=True))
        return [
            f"__attribute__((noinline)) static void case_{k + 1}(void) {{\n"
            + "\n".join(call for place, call in calls if place == k)
            + "\n}"
            for k in range(len(self.network.layers))
        ]


def network_of(cases: list[Case]) -> tuple[Network, dict[int, int]]:
    """Layers of these shapes, each with tensors of its own, and where those lie."""
    values: dict[int, Value] = {}
    offsets: dict[int, int] = {}
    layers = []
    for case in cases:
        at, numbers = 0, []
        for shape in (*case.inputs, case.output):
            number = len(values)
            values[number] = Value(shape, np.float32(0.05), 0)
            offsets[number], at = at, at + aligned(prod(shape))
            numbers.append(number)
        filters = case.output[-1]
        made = Layer(
            case.kind, tuple(numbers[:-1]), numbers[-1], case.kernel, case.stride, case.dilation, case.pads,
            begin=case.begin,
        )  # fmt: skip
        if case.weight_shape:
            weights = POOLS["pool_weights"][: prod(case.weight_shape)].reshape(case.weight_shape)
            each = [POOLS[f"pool_{name}"][:filters] for name in ("biases", "multipliers", "shifts")]
            made = Layer(
                case.kind, tuple(numbers[:-1]), numbers[-1], case.kernel, case.stride, case.dilation, case.pads,
                weights, *each,
            )  # fmt: skip
        layers.append(made)
    return Network(values, tuple(layers), {}, 0, 0), offsets


def measured(core: str, cases: list[Case], out: Path) -> Iterator[tuple[Geometry, int, int | None]]:
    """Geometry, instructions and cycles of each call."""
    network, offsets = network_of(cases)
    extension, folder = CORES[core], out / "c"
    folder.mkdir()
    ends = [offsets[layer.output] + aligned(network.values[layer.output].size_bytes) for layer in network.layers]
    needs = [layer_scratch(network, layer, extension) for layer in network.layers]
    source = Calls(network, extension, offsets, {k: end for k, end in enumerate(ends) if needs[k]})
    pools = [
        f"static const int{pool.itemsize * 8}_t {name}[] = {{{','.join(map(str, pool))}}};"
        for name, pool in POOLS.items()
    ]
    arena = max(SIDE, *(end + aligned(need) for end, need in zip(ends, needs, strict=True)))
    made = source.cases()
    (folder / "model.h").write_text(HEADER)
    (folder / "model.c").write_text(
        MODEL.format(
            arena=arena, pools="\n".join(pools), definitions="\n".join(source.definitions), cases="\n".join(made),
            names=", ".join(f"case_{k}" for k in range(1 + len(made))),
        )
    )  # fmt: skip
    kernels = [f"{entry}.c" for entry in sorted(source.entries)]
    for file in ("nn.h", "nn_cmsis.h", *kernels):
        (folder / file).write_text((files("nas.deploy") / "c" / file).read_text())
    vendored = [file.as_posix() for file in cmsis_nn.copy_sources(folder, source.entries)]
    exported = Exported("model", core, arena, 0, 0, 0, 0, (SIDE,), (SIDE,), ("model.c", *kernels, *vendored))
    linked = firmware.link(folder, exported, core, out, compiler="gcc")
    qemu.emulate(linked, core, np.zeros((1 + len(made), SIDE), np.int8), SIDE, out)
    found = [
        profile(blocks, linked.code, priced=core == "m4", misaligned=misaligned)
        for blocks, misaligned in qemu.tables(out / qemu.BLOCKS)
    ]
    empty = found[0]
    for layer, run in zip(network.layers, found[1:], strict=True):
        cycles = run.cycles - empty.cycles if run.cycles is not None and empty.cycles is not None else None
        yield geometry_of(network, layer), run.instructions - empty.instructions, cycles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", default="m4,m0,m3,m7,m33,m55")
    DATA.mkdir(parents=True, exist_ok=True)
    for core in parser.parse_args().cores.split(","):
        with tempfile.TemporaryDirectory() as temporary, (DATA / f"{core}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", *Geometry._fields, "insns", "cycles_trm"])
            for shape, instructions, cycles in measured(core, CASES, Path(temporary)):
                cells = ["x".join(map(str, field)) if isinstance(field, tuple) else field for field in shape]
                writer.writerow([path(shape, CORES[core]), *cells, instructions, "" if cycles is None else cycles])


if __name__ == "__main__":
    main()
