"""Is the arena what TFLM takes? Single layers on boards, and whole networks in TFLM's own interpreter on this machine.

    python experiments/cost_model/arena.py [--genomes 100]

prints the figures of the README beside it and draws `results/cost-model-arena.png`.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import tempfile
from math import prod
from pathlib import Path

import numpy as np
from boards import BOARDS, LAYERS
from branching import graphs
from plots import draw_arenas
from tflite_micro.python.tflite_micro import runtime

from nas.measurements import layer
from search_spaces.declare import load_declaration
from search_spaces.space import derive
from targets.core import call_cost
from targets.device import load_device
from targets.lower import lower
from targets.memory import Buffer, aligned, extent, planned
from targets.persistent import call_bytes, objects_bytes
from targets.program import Program
from targets.tflite_file import write

RESULTS = Path(__file__).parents[2] / "results"
LARGEST = 1 << 27
Told = list[tuple[float, float]]


def predicted(row: dict[str, str], board: str) -> tuple[int, int]:
    """Planned part and tail of a row's layer, in bytes."""
    shape = layer(row)
    cost = call_cost(load_device(board).kernel_core, shape)
    made = prod(shape.out_size) * shape.out_channels
    read = [made, made] if shape.kind == "add" else [prod(shape.size) * shape.channels]
    buffers = [Buffer(0, 1, aligned(size)) for size in (*read, made)]
    scratch = [Buffer(1, 1, aligned(cost.scratch_bytes))] if cost.scratch_bytes else []
    tail = objects_bytes(len(buffers), len(buffers)) + call_bytes(shape.kind, cost.filters, cost.scratch_bytes)
    return extent(buffers + scratch), tail


def layers() -> dict[str, Told]:
    """Prints how far single layers are from what boards reported; measured and predicted bytes by board."""
    print(
        "Arenas of single layers on boards (TFLM with CMSIS-NN). Errors in percent: mean, 95th percentile, least, most."
    )
    plotted: dict[str, Told] = {}
    for board in BOARDS:
        with (LAYERS / f"{board}.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["arena_bytes"]]
        parts = [predicted(row, board) for row in rows]
        plotted[board] = [(float(row["arena_bytes"]), sum(part)) for row, part in zip(rows, parts, strict=True)]
        for kind in ("conv2d", "add", "softmax"):
            mine = [k for k, row in enumerate(rows) if row["op"] == kind]
            measured, said = np.array([plotted[board][k] for k in mine]).T
            error, bytes_over = 100 * (said / measured - 1), said - measured
            head = np.mean([100 * (parts[k][0] / measured[i] - 1) for i, k in enumerate(mine)])
            print(
                f"{board:10} {kind:8} {len(mine):5} {np.abs(error).mean():6.2f}"
                f" {np.quantile(np.abs(error), 0.95):6.2f} "
                f"{error.min():+6.2f} {error.max():+6.2f}   {bytes_over.min():+5.0f} to {bytes_over.max():+5.0f} bytes"
                f"   planned part alone {head:+.1f}"
            )
    return plotted


def file_of(program: Program) -> bytes:
    """A `.tflite` file with zero weights and one scale; TFLM reads no more of it to plan the arena."""
    data: dict[tuple[object, object], np.ndarray] = {}
    for activation in program.activations:
        data["scale", activation.scale_group] = np.full(1, 0.05, np.float32)
        data["zero_point", activation.scale_group] = np.zeros(1, np.int64)
    for call in program.calls:
        if call.op:
            data[call.op, "weight"] = np.zeros(call.weight_shape, np.int8)
            data[call.op, "bias"] = np.zeros(call.out_channels, np.int32)
            data[call.op, "weight_scale"] = np.full(call.out_channels, 0.01, np.float32)
            data[call.op, "bias_scale"] = np.full(call.out_channels, 0.0005, np.float32)
    return write(program, data)


def head_of(file: bytes) -> int:
    """The planned part in bytes, as TFLM's interpreter prints it on the standard error of C."""
    interpreter = runtime.Interpreter.from_bytes(file, arena_size=LARGEST)
    with tempfile.TemporaryFile() as said:
        before = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(before, 2)
            os.close(before)
        said.seek(0)
        return int(re.search(r"allocation head (\d+)", said.read().decode())[1])


def reference_scratch(program: Program) -> tuple[int, ...]:
    """Of every call, with the reference kernels: int32 sums of a transposed convolution, else none."""
    transposed = [call.kind == "transpose_conv" for call in program.calls]
    sizes = [4 * program.by_name[call.output].size_bytes for call in program.calls]
    return tuple([size if wanted else 0 for size, wanted in zip(sizes, transposed, strict=True)])


def interpreted(genomes: int) -> Told:
    """Prints how many planned parts are the interpreter's; the bytes of both, without the scratch of CMSIS-NN."""
    rng, told = np.random.default_rng(0), []
    print("\nPlanned parts in TFLM's interpreter, networks and random genomes of their spaces:")
    for name, graph in graphs().items():
        space = derive(graph, load_declaration("mcu"))
        mine = []
        for genome in [space.original, *(space.sample(rng=rng) for _ in range(genomes))]:
            program = lower(space.apply(genome))
            mine.append((head_of(file_of(program)), planned(program, reference_scratch(program)).arena_bytes))
        pads = sum(call.kind == "pad" for call in program.calls)
        same = sum(head == said for head, said in mine)
        print(
            f"{name:36} {same:5} of {len(mine)} equal to the byte   ({len(program.calls)} calls, {pads} of them pads)"
        )
        told += mine
    print(f"{'together':36} {sum(head == said for head, said in told):5} of {len(told)}")
    return [(float(head), float(said)) for head, said in told]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genomes", type=int, default=100)
    draw_arenas(RESULTS, layers(), interpreted(parser.parse_args().genomes))
