"""The arena: worked tables, and the numbers that TFLM's own planner gives."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.declare import load_declaration
from search_spaces.space import derive
from targets.core import CallCost, call_costs, load_core
from targets.lower import lower
from targets.memory import Buffer, Plan, aligned, lifetimes, place, plan, planned, ram_bytes, verify_plan
from targets.persistent import persistent_bytes
from targets.program import Program
from targets.tflite_file import write
from tests.search_spaces.random_networks import random_network
from tests.targets.networks import mobilenet_v1
from tests.targets.test_tflite_file import data_for
from tests.tflm import arena
from tests.toys import Sketch, chain, decoder, every_kind, modern, toys

NETWORKS = {
    **{name: graph for name, (graph, _) in toys().items()},
    "every_kind": every_kind()[0],
    "modern": modern()[0],
    "decoder": decoder()[0],
    "x1.0": mobilenet_v1(),
    "x0.25": mobilenet_v1(0.25),
    "vww": mobilenet_v1(0.25, side=96, channels=3, classes=2),
    **{f"random{seed}": random_network(rng=np.random.default_rng(seed)) for seed in range(30)},
}


def costs_of(program: Program) -> tuple[CallCost, ...]:
    return call_costs(program, load_core("cortex_m4"))


def scratch_of(program: Program) -> list[int]:
    return [cost.scratch_bytes for cost in costs_of(program)]


@pytest.mark.parametrize(
    ("buffers", "offsets"),
    [
        # (first, last, size): two in turn share a place, a third that meets both goes behind the larger.
        ([(0, 1, 64), (2, 3, 32), (1, 2, 16)], [0, 0, 64]),
        # 48 meets all three others and goes behind both that lie lowest.
        ([(0, 2, 96), (1, 2, 64), (3, 4, 96), (2, 3, 48)], [0, 96, 0, 160]),
        # Largest first; of equal sizes the later one is placed first, so it gets the lower address.
        ([(0, 1, 32), (0, 1, 32), (0, 1, 64)], [96, 64, 0]),
        # 48 at 0, then 32 at 48 and 32 at 80; what lay at 48 has ended when 16 comes, so it fits in between.
        ([(0, 9, 32), (0, 2, 32), (0, 9, 48), (5, 9, 16)], [80, 48, 0, 48]),
        # The same gap is too low for 40, which goes behind all.
        ([(0, 9, 48), (0, 2, 48), (0, 9, 64), (5, 9, 40), (5, 5, 16)], [112, 64, 0, 64, 160]),
        ([], []),
    ],
)
def test_placing_by_hand(buffers: list[tuple[int, int, int]], offsets: list[int]) -> None:
    assert place([Buffer(*buffer) for buffer in buffers]) == offsets


def test_alignment() -> None:
    assert [aligned(n) for n in (0, 1, 16, 17, 100)] == [0, 16, 16, 32, 112]


def test_lifetimes_of_a_chain() -> None:
    # 1x8x8 -> 8x8x8 (r1) -> 8x8x8 (r2) -> 9x9x8 padded -> 4x4x12 (r3) -> 4x4x12 (r4) -> 12 -> 12 -> 4, in bytes
    # rounded up to 16; scratch of a conv is 4 x its window rounded up to 4: 9 -> 48, 72 -> 288, 72 -> 288, 108 -> 432.
    program = lower(chain()[0])
    assert lifetimes(program, scratch_of(program)) == [
        Buffer(0, 1, 64, "image"),
        Buffer(1, 2, 512, "r1"),
        Buffer(2, 3, 512, "r2"),
        Buffer(3, 4, 656, "c3:padded"),
        Buffer(4, 5, 192, "r3"),
        Buffer(5, 6, 192, "r4"),
        Buffer(6, 7, 16, "gap"),
        Buffer(7, 8, 16, "flat"),
        Buffer(8, 8, 16, "logits"),
        Buffer(1, 1, 48, "r1:scratch"),
        Buffer(2, 2, 288, "r2:scratch"),
        Buffer(4, 4, 288, "r3:scratch"),
        Buffer(5, 5, 432, "r4:scratch"),
        Buffer(6, 6, 48, "gap:scratch"),
    ]


def test_live_bytes_and_the_peak_of_a_chain() -> None:
    program = lower(chain()[0])
    found = plan(program, costs_of(program))
    assert found.live_bytes == (64 + 512 + 48, 512 + 512 + 288, 512 + 656, 656 + 192 + 288, 816, 256, 32, 32)
    assert found.peak_call == 1
    # The padded copy (656) lies at 0, r2 (512) behind it at 656 and r1 at 0; r2's scratch finds 144 bytes between
    # r1's end and r2, too few for its 288, and goes behind r2: 656 + 512 + 288.
    assert found.arena_bytes == 1456


def test_interpreter_data_comes_on_top_for_tflm_only() -> None:
    program = lower(chain()[0])
    costs = costs_of(program)
    found = plan(program, costs)
    assert ram_bytes(program, costs, found) == persistent_bytes(program, costs) + 1456
    in_c = lower(chain()[0], "c")
    found = plan(in_c, costs_of(in_c))
    assert ram_bytes(in_c, costs_of(in_c), found) == found.arena_bytes


def test_planning_must_find_room() -> None:
    net = Sketch(1, 4, 4)
    net.add("elu", "elu", alpha=1.0)
    program = lower(net.done())
    costs = costs_of(program)
    # Two tensors of 16 bytes are planned in 2 x (24 + 40) and room for 12 requests of 12.
    assert plan(program, costs).arena_bytes == 32
    assert ram_bytes(program, costs, plan(program, costs)) == persistent_bytes(program, costs) + 272


def test_sums_of_a_linear_layer_on_helium_are_not_planned() -> None:
    net = Sketch(16, 1, 1)
    net.add("flat", "flatten")
    net.add("logits", "linear", out_channels=8)
    program = lower(net.done())
    costs = call_costs(program, load_core("cortex_m55"))
    assert [cost.scratch_bytes for cost in costs] == [0, 32]
    assert "logits:scratch" not in {buffer.name for buffer in plan(program, costs).buffers}


def test_c_code_reads_a_reshaped_tensor_where_it_lies() -> None:
    program = lower(chain()[0], "c")
    names = {buffer.name: buffer for buffer in lifetimes(program, scratch_of(program))}
    assert "flat" not in names
    assert (names["gap"].first, names["gap"].last) == (5, 7)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_planned_part_is_the_one_of_tflms_interpreter(name: str) -> None:
    """On this machine: reference kernels, of which only a transposed convolution needs scratch, its sums in int32."""
    program = lower(NETWORKS[name])
    scratch = [4 * program.by_name[c.output].size_bytes * (c.kind == "transpose_conv") for c in program.calls]
    found = planned(program, tuple(scratch))
    assert found.arena_bytes == arena(write(program, data_for(program))).head


@pytest.mark.parametrize("name", ["chain", "residual", "depthwise", "concat"])
def test_plans_of_random_networks_hold(name: str) -> None:
    space = derive(toys()[name][0], load_declaration("mcu"))
    rng = np.random.default_rng(2)
    for runtime in ("tflm", "c"):
        for _ in range(50):
            program = lower(space.apply(space.sample(rng=rng)), runtime)  # type: ignore[arg-type]
            found = plan(program, costs_of(program))
            verify_plan(found)
            assert max(found.live_bytes) <= found.arena_bytes <= sum(b.size_bytes for b in found.buffers)


def test_verify_plan_finds_overlaps_and_strays() -> None:
    a, b = Buffer(0, 2, 32, "a"), Buffer(2, 3, 32, "b")
    verify_plan(Plan((a, b), (0, 32), 3))
    with pytest.raises(AssertionError, match=r"'b'.* at 16 overlaps .*'a'"):
        verify_plan(Plan((a, b), (0, 16), 3))
    with pytest.raises(AssertionError, match="misaligned"):
        verify_plan(Plan((a, b), (0, 40), 3))
    verify_plan(Plan((a, b._replace(first=3)), (0, 0), 3))
