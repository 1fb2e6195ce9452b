"""What TFLM keeps beside the planned part: sums by hand, layers on boards, and its interpreter on this machine."""

from __future__ import annotations

import numpy as np

from targets.core import CallCost, call_costs, load_core
from targets.lower import lower
from targets.persistent import call_bytes, persistent_bytes, planning_bytes
from targets.program import Program
from targets.tflite_file import write
from tests.search_spaces.random_networks import random_network
from tests.targets.test_tflite_file import data_for
from tests.tflm import arena
from tests.toys import Sketch, chain


def costs_of(program: Program, core: str = "cortex_m4") -> tuple[CallCost, ...]:
    return call_costs(program, load_core(core))


def test_calls_by_hand() -> None:
    # A node of 32, options of 28, data of 64, weight and bias of 12 each, two rows of 5 int32 in steps of 16, a handle.
    assert call_bytes("conv", 5, 48) == 32 + 28 + 64 + 24 + 2 * 32 + 4
    assert call_bytes("conv", 8, 0) == 32 + 28 + 64 + 24 + 2 * 32
    assert call_bytes("reshape", 0, 0) == 32 + 36
    assert call_bytes("elu", 0, 0) == 32 + 256  # its table
    assert call_bytes("fc", 4, 16) - call_bytes("fc", 4, 0) == 16  # sums of weights, no handle


def test_a_program_is_its_objects_its_tensors_and_its_calls() -> None:
    net = Sketch(8, 4, 4)
    net.conv("conv", 8)
    program = lower(net.done())
    assert persistent_bytes(program, costs_of(program)) == 460 + 2 * 12 + call_bytes("conv", 8, 288)
    both = lower(net.done("conv", "image"))
    assert persistent_bytes(both, costs_of(both)) == 460 + 80 + 2 * 12 + call_bytes("conv", 8, 288)


def test_single_layers_on_boards_are_met_or_exceeded_by_less_than_32_bytes() -> None:
    """Arenas less the planned part (tk-king/MicroNas): convolutions of 4 and 5 filters, softmax, on three boards."""
    layer = 460 + 2 * 12
    for measured, told in (
        (612 + 2 * 16, layer + call_bytes("conv", 4, 48)),
        (612 + 2 * 32, layer + call_bytes("conv", 5, 48)),
        (580, layer + call_bytes("softmax", 0, 0)),
        (564, layer + call_bytes("softmax", 0, 0)),
    ):
        assert 0 <= told - measured < 32


def test_planning_by_hand() -> None:
    # Nine tensors and five pieces of scratch; eleven constants: weight and bias of five calls, and of the pad.
    program = lower(chain()[0])
    assert planning_bytes(program, 14) == 24 * (14 + 11) + 40 * 14 + 12 * (12 + 5)


def test_pointers_of_32_bits_take_less_than_those_of_64_and_more_than_half() -> None:
    for seed in range(20):
        program = lower(random_network(rng=np.random.default_rng(seed)))
        tail = arena(write(program, data_for(program))).tail
        assert tail / 2 < persistent_bytes(program, costs_of(program)) < tail
