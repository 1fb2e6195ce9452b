"""Flash told before training against what a linker makes of it, and X-CUBE-AI's bands against published networks.

    python experiments/cost_model/flash.py     # needs arm-none-eabi-gcc and bakenn; draws results/cost-model-flash.png

Generated C: the networks below with random weights, exported (`nas.deploy.export_c`) and linked without a C library's
start-up. X-CUBE-AI: every row of `data/x_cube_ai.csv` from release 8.1 on; a band that rows were fitted in tells
little, so the errors with networks left out are `x_cube_ai.py`'s.
"""

from __future__ import annotations

import csv
import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from linking import FLAGS, SECTIONS
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from plots import BLUE, GREY, ORANGE
from published_networks import network
from x_cube_ai import DEAD_CHANNELS, OLDEST, TABLE

from nas.deploy.export_c import export_c
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import calibrate, quantize
from search_spaces.graph import Graph, Weights
from targets.cost import bands, estimate
from targets.device import Device, load_device
from targets.lower import lower
from targets.x_cube_ai import Band
from tests.toys import decoder, every_kind, modern, random_weights, toys

PICTURE = Path(__file__).parents[2] / "results" / "cost-model-flash.png"
DEVICES = {"m0": "rp2040", "m4": "stm32l4r5", "m33": "stm32u575", "m55": "corstone300"}
LINKED = [("m0", "O3"), ("m4", "O3"), ("m4", "O2"), ("m4", "Os"), ("m33", "Os"), ("m55", "O3")]
PUBLISHED = ("resnet 1 10", "keywords", "mobilenet_v1 0.25 3x96x96 2")
BOARDS = {"STM32H747I-DISCO": "stm32h747", "NUCLEO-H7A3ZI-Q": "stm32h7a3", "NUCLEO-L4R5ZI": "stm32l4r5",
          "NUCLEO-L4R5ZI-P": "stm32l4r5", "NUCLEO-U575ZI-Q": "stm32u575", "NUCLEO-U385RG-Q": "stm32u385"}  # fmt: skip
START = "{name}_input(); {name}_run(); (void){name}_output();"
PANELS = {"flash_bytes": "flash in bytes", "ram_bytes": "RAM in bytes", "latency_ms": "latency in ms"}
Told = list[tuple[float, float]]
Spans = list[tuple[float, Band]]


def main() -> None:
    panels = {"generated C, flash in bytes": generated_c()}
    spans = published()
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
    for axis, (title, told) in zip(axes, panels.items(), strict=False):
        ends = [min(map(min, told)), max(map(max, told))]
        axis.scatter(*zip(*told, strict=True), s=8, color=BLUE)
        _finish(axis, ends, title, len(told))
    for axis, (title, found) in zip(axes[1:], spans.items(), strict=True):
        _bands(axis, title, found)
    figure.supxlabel("linked, or published; a line is a band from its lower to its upper end")
    figure.supylabel("predicted")
    figure.savefig(PICTURE, dpi=100)


def networks() -> Iterator[tuple[str, Graph, Weights]]:
    for name, (graph, weights) in {
        **toys(),
        "every_kind": every_kind(),
        "modern": modern(),
        "decoder": decoder(),
    }.items():
        yield name, graph, weights
    for name in PUBLISHED:
        graph = network(name)
        yield name, graph, random_weights(graph, 0)


def int8_file(graph: Graph, weights: Weights) -> bytes:
    """The exported file, calibrated on random inputs: the bytes of flash do not depend on them."""
    program = lower(graph)
    inputs = np.random.default_rng(0).standard_normal((16, *graph.input_shape), np.float32)
    return tflite_bytes(program, quantize(program, weights, calibrate(program, graph, weights, inputs)))


def device_of(core: str, level: str) -> Device:
    return replace(load_device(DEVICES[core]), compiler_level=level)


def generated_c() -> Told:
    """Prints the errors; linked bytes with those told."""
    told: Told = []
    print("Generated C, flash told against linked, in percent:")
    print(f"{'':30}" + "".join(f"{f'{core} -{level}':>9}" for core, level in LINKED))
    with TemporaryDirectory() as objects:
        for name, graph, weights in networks():
            file = int8_file(graph, weights)
            mine = [
                (
                    linked_bytes(file, core, level, Path(objects)),
                    estimate(graph, device_of(core, level), "c").flash_bytes,
                )
                for core, level in LINKED
            ]
            told += [(float(size), float(said or 0)) for size, said in mine]
            print(f"{name:30}" + "".join(f"{100 * ((said or 0) / size - 1):+9.2f}" for size, said in mine), flush=True)
    return told


def linked_bytes(tflite: bytes, core: str, level: str, objects: Path) -> int:
    """.text, .rodata and .data of the exported C, with the three calls that firmware makes.

    Args:
        objects: where what was compiled is kept: networks share all but one source.
    """
    with TemporaryDirectory() as folder:
        made = Path(folder) / "c"
        exported = export_c(tflite, made, core=core)
        start, elf = made / "start.c", made / "linked.elf"
        start.write_text(f'#include "{exported.name}.h"\nvoid start(void) {{ {START.format(name=exported.name)} }}\n')
        includes = [made, *(made / "third_party" / part / "Include" for part in ("cmsis_nn", "cmsis_core"))]
        words = ["arm-none-eabi-gcc", *FLAGS[core], *SECTIONS, f"-{level}", "-w", *(f"-I{path}" for path in includes)]
        compiled = []
        for source in (*(made / name for name in exported.sources), start):
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            compiled.append(objects / f"{core}-{level}-{digest}.o")
            if not compiled[-1].exists():
                subprocess.run([*words, "-c", source, "-o", compiled[-1]], check=True, capture_output=True)
        link = ["-nostartfiles", "--specs=nosys.specs", "-Wl,--gc-sections", "-Wl,-e,start", "-o", elf]
        subprocess.run([*words, *compiled, *link], check=True, capture_output=True)
        sections = subprocess.run(["arm-none-eabi-size", "-A", elf], check=True, capture_output=True, text=True).stdout
    return sum(int(line.split()[1]) for line in sections.splitlines() if line.startswith((".text", ".rodata", ".data")))


def published() -> dict[str, Spans]:
    """Prints how many published rows lie in their bands; the rows with these."""
    found: dict[str, Spans] = {name: [] for name in PANELS}
    with TABLE.open() as file:
        for row in csv.DictReader(file):
            if row["board"] in BOARDS and (row["version"] == "core 3.0" or float(row["version"].split()[0]) >= OLDEST):
                for name, value, band in _figures(row):
                    found[name].append((value, band))
    print("X-CUBE-AI from 8.1 on, published figures within their band:")
    for name, spans in found.items():
        inside = sum(band.low <= value <= band.high for value, band in spans)
        above = sum(value > band.high for value, band in spans)
        print(f"  {name}: {inside} of {len(spans)}, {above} above")
    return {f"X-CUBE-AI, {PANELS[name]}": spans for name, spans in found.items()}


def _figures(row: dict[str, str]) -> Iterator[tuple[str, float, Band]]:
    device = replace(load_device(BOARDS[row["board"]]), clock_hz=int(1e6 * float(row["clock_mhz"])))
    told = bands(network(row["network"]), device, "x-cube-ai")
    assert told is not None
    assert told.latency_ms is not None
    if row["flash_code_bytes"]:
        yield "flash_bytes", float(row["flash_code_bytes"]) + float(row["flash_weights_bytes"]), told.flash_bytes
        yield "ram_bytes", float(row["ram_activation_bytes"]) + float(row["ram_runtime_bytes"]), told.ram_bytes
    if row["network"] != DEAD_CHANNELS:
        yield "latency_ms", float(row["latency_ms"]), told.latency_ms


def _bands(axis: Axes, title: str, found: Spans) -> None:
    for value, band in found:
        color = BLUE if band.low <= value <= band.high else ORANGE
        axis.plot([value, value], [band.low, band.high], color=color, linewidth=1.5)
    values = [value for value, _ in found]
    _finish(axis, [min(values), max(values)], title, len(found))


def _finish(axis: Axes, ends: list[float], title: str, rows: int) -> None:
    axis.plot(ends, ends, color=GREY, linewidth=1)
    axis.set(xscale="log", yscale="log")
    axis.set_title(f"{title} ({rows})", fontsize=9)
    for each in (axis.xaxis, axis.yaxis):
        each.set_minor_formatter(NullFormatter())


if __name__ == "__main__":
    main()
