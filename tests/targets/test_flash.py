"""Flash: the file or the arrays, and code whose shared parts are linked once."""

from __future__ import annotations

import csv

import pytest

from search_spaces.graph import Graph
from targets.code import FILE, Code, load_code
from targets.core import call_costs, load_core
from targets.flash import flash_bytes
from targets.generated_c import parts
from targets.lower import lower
from targets.one_call import CORES
from targets.program import LEVELS, Program
from tests.targets.networks import mobilenet_v1
from tests.toys import Sketch, chain, decoder, every_kind, modern, toys

M4 = load_core("cortex_m4")
KERNELS = ("conv", "dw", "fc", "max_pool", "avg_pool", "add", "sub", "mul", "softmax")


def used(program: Program) -> list[tuple[tuple[str, ...], int]]:
    return list(parts(program, call_costs(program, M4)))


def test_shared_code_is_linked_once() -> None:
    code = Code(100, ((frozenset({"a"}), 10), (frozenset({"b"}), 20), (frozenset({"a", "b"}), 5)))
    assert [code.linked_bytes(kinds) for kinds in ("", "a", "b", "ab", "aab")] == [100, 115, 125, 135, 135]


def test_tflm_keeps_the_file_and_links_the_kernels_in_use() -> None:
    program = lower(chain()[0])
    # The runtime; conv alone and what it shares with dw; pad, avg_pool, reshape and fc once each; and the file.
    code = 36_888 + (7668 + 272) + 600 + 648 + 100 + 3856
    assert flash_bytes(program, call_costs(program, M4), M4, 5000) == code + 5000


@pytest.mark.parametrize(
    ("core", "level", "five", "seven"),
    [
        ("m0", "O3", 19_312, 20_828),
        ("m3", "O3", 16_528, 17_820),
        ("m4", "O3", 22_904, 26_068),
        ("m4", "O2", 20_824, 23_424),
        ("m4", "Os", 17_100, 19_084),
        ("m55", "O3", 16_704, 17_816),
    ],
)
def test_kinds_add_up_to_sets_that_were_linked_together(core: str, level: str, five: int, seven: int) -> None:
    """CMSIS-NN 99f736a6, GCC 12.2: conv, dw, fc, avg_pool and softmax in one program; and with max_pool and add."""
    code = load_code("tflm", core, level)
    kinds = ["conv", "dw", "fc", "avg_pool", "softmax"]
    assert code.linked_bytes(kinds) - code.base_bytes == pytest.approx(five, rel=0.015)
    assert code.linked_bytes([*kinds, "max_pool", "add"]) - code.base_bytes == pytest.approx(seven, rel=0.017)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("kind", ["conv", "dw", "max_pool"])
def test_smaller_is_smaller(core: str, kind: str) -> None:
    fast, plain, small = (load_code("tflm", core, level).linked_bytes([kind]) for level in LEVELS)
    assert small <= plain <= fast


def test_every_row_has_a_source_and_every_core_and_level_every_kernel() -> None:
    with FILE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["source"] and int(row["bytes"]) >= 0 for row in rows)
    for runtime in ("tflm", "c"):
        for core in CORES:
            for level in LEVELS:
                code = load_code(runtime, core, level)
                kinds = KERNELS if runtime == "tflm" else sorted(ENTRIES)
                assert all(code.linked_bytes([kind]) > code.base_bytes for kind in kinds), (runtime, core, level)


NETWORKS: dict[str, Graph] = {name: made[0] for name, made in toys().items()}
NETWORKS |= {"every_kind": every_kind()[0], "modern": modern()[0], "decoder": decoder()[0], "v1": mobilenet_v1(0.25)}
ENTRIES = {
    entry for graph in NETWORKS.values() for entries, _ in used(lower(graph, "c")) for entry in entries
}  # fmt: skip


def test_generated_c_by_hand() -> None:
    net = Sketch(3, 8, 8)
    net.conv("stem", 4, 3, 2)
    net.conv("point", 8, 1)
    net.conv("deep", 8, groups=8)
    net.add("act", "tanh")
    net.classifier(2)
    found = used(lower(net.done(), "c"))
    window, table, linear = 64 + 10, 16 + 10 + 256, 32 + 10
    assert found == [
        (("conv",), window + 4 * 27 + 12 * 4),
        (("conv_1x1",), window + 8 * 4 + 12 * 8),
        (("dw_3x3",), window + 8 * 9 + 12 * 8),
        (("lookup",), table),
        (("avg_pool",), window),
        ((), 0),  # a reshape is the same bytes
        (("fc",), linear + 2 * 8 + 12 * 2),
    ]


def test_a_concat_copies_each_input_and_a_pad_fills_first() -> None:
    entries = {call.kind: found for call, (found, _) in _calls(every_kind()[0])}
    assert entries["concat"] == ("copy", "copy")
    assert entries["conv"] in (("conv",), ("conv_1x1",), ("conv_grouped",))
    padded = Sketch(2, 4, 4)
    padded.add("wide", "pad", pads=(1, 1, 1, 1))
    padded.pool("small", "avg_pool", 2, 2)
    assert [found for _, (found, _) in _calls(padded.done())] == [("fill", "copy"), ("avg_pool",)]


def _calls(graph: Graph) -> list[tuple[object, tuple[tuple[str, ...], int]]]:
    program = lower(graph, "c")
    return list(zip(program.calls, used(program), strict=True))


@pytest.mark.parametrize(
    ("name", "elf_bytes"),
    [
        ("chain", 7920), ("residual", 13_980), ("depthwise", 14_736), ("concat", 13_656), ("every_kind", 17_532),
        ("modern", 22_648), ("decoder", 7960), ("v1", 255_076),
    ],
)  # fmt: skip
def test_generated_c_is_what_the_linker_makes_of_it(name: str, elf_bytes: int) -> None:
    """.text + .rodata of the exported C, linked for an M4 at -O3 by GCC 12.2 (`experiments/cost_model/flash.py`)."""
    program = lower(NETWORKS[name], "c")
    assert flash_bytes(program, call_costs(program, M4), M4, 0) == pytest.approx(elf_bytes, rel=0.01)
