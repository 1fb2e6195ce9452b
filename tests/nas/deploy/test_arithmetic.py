"""Fixed point against its functions, tables against numbers a person can redo, code against its manual."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from nas.deploy import fixed_point as fp
from nas.deploy import tables
from nas.deploy.cycles import Block, cycles_of, profile
from nas.deploy.thumb import decode, whole_bytes


@pytest.mark.parametrize("real", [1e-6, 0.25, 0.5, 0.9999999999, 1.0, 3.7])
def test_a_multiplier_is_its_number(real: float) -> None:
    multiplier, shift = fp.multiplier_of(real)
    assert 2**30 <= multiplier < 2**31
    assert multiplier / 2**31 * 2.0**shift == pytest.approx(real, rel=1e-9)


def test_scaling_rounds_halves_away_from_zero() -> None:
    half = fp.multiplier_of(0.5)
    assert [fp.scaled(value, *half) for value in (7, 6, 5, 1000)] == [4, 3, 3, 500]
    assert [fp.divided(value, 2) for value in (-6, -5, -2, 2, 5, 6)] == [-2, -1, -1, 1, 1, 2]


@pytest.mark.parametrize("x", [-9.0, -3.3, -0.6, -0.01, 0.01, 0.7, 2.0, 8.0])
def test_fixed_point_functions_are_those_functions(x: float) -> None:
    value = round(x * 2**27)
    assert fp.logistic(value) / 2**31 == pytest.approx(1 / (1 + math.exp(-x)), abs=2e-7)
    assert fp.tanh(value) / 2**31 == pytest.approx(math.tanh(x), abs=2e-7)
    assert fp.exponential(-abs(round(x * 2**26))) / 2**31 == pytest.approx(math.exp(-abs(x)), abs=2e-7)
    assert fp.reciprocal(round(0.3 * 2**31)) / 2**31 == pytest.approx(1 / 1.3, abs=1e-8)


def test_tables_of_round_scales() -> None:
    """Steps of 1/16 in and of 1/256 out: 0 has a share of a half, and a ReLU of 2 is 2."""
    ends = tables.Ends(np.float32(1 / 16), 0, np.float32(1 / 256), -128)
    assert tables.logistic(ends)[128] == 0
    assert tables.logistic(ends)[-1] == 127
    same = tables.Ends(np.float32(1 / 16), -10, np.float32(1 / 16), -10)
    assert tables.relu(same).tolist() == [max(v, -10) for v in range(-128, 128)]
    assert tables.leaky_relu(same, 0.5)[128 - 30] == -20
    assert tables.relu6(same).max() == 6 * 16 - 10
    assert tables.exponentials(np.float32(1.0))[0] == fp.ONE
    assert tables.exponentials(np.float32(1.0))[1] / 2**31 == pytest.approx(math.exp(-1), abs=1e-6)


CODE = {
    (0x6808,): ("load", 2),  # ldr r0, [r1]
    (0x5CC8,): ("load", 2),  # ldrb r0, [r1, r3]
    (0x6008,): ("store", 2),  # str r0, [r1]
    (0x4348,): ("mul", 2),  # muls r0, r1
    (0xB5F0,): ("many", 2),  # push {r4-r7, lr}
    (0xBF18,): ("it", 2),  # it ne
    (0xD1FE,): ("branch", 2),  # bne
    (0xB108,): ("branch", 2),  # cbz
    (0x4770,): ("branch", 2),  # bx lr
    (0x1840,): ("alu", 2),  # adds r0, r0, r1
    (0xF8D1, 0x0004): ("load", 4),  # ldr.w r0, [r1, #4]
    (0xE9D1, 0x2300): ("pair", 4),  # ldrd r2, r3, [r1]
    (0xE8BD, 0x81F0): ("many", 4),  # pop {r4-r8, pc}
    (0xFB21, 0x0302): ("mul", 4),  # smlad r3, r1, r2, r0
    (0xFB8A, 0x2301): ("mul", 4),  # smull
    (0xFB91, 0xF0F2): ("div", 4),  # sdiv r0, r1, r2
    (0xFA2F, 0xF081): ("alu", 4),  # sxtb16 r0, r1
    (0xF000, 0xF800): ("branch", 4),  # bl
    (0xEE00, 0x0A10): ("vector", 4),  # vmov s0, r0
}


@pytest.mark.parametrize("words", CODE)
def test_instructions_have_their_class(words: tuple[int, ...]) -> None:
    (found,) = decode(struct.pack(f"<{len(words)}H", *words))
    assert (found.kind, found.size) == CODE[words]


def test_a_block_costs_what_the_manual_says() -> None:
    """Two loads side by side 2 + 1, a sum 1, a branch 1, taken 9 times of 10: 10 x 5 + 9 x 2."""
    code = struct.pack("<4H", 0x6808, 0x684A, 0x1840, 0xD1FB)
    assert cycles_of(code) == 5
    assert cycles_of(struct.pack("<2H", 0x6809, 0x6848)) == 4  # the second address waits for the first load
    found = profile([Block(0, 8, 10, 9)], lambda at, size: code, priced=True, misaligned=0)
    assert (found.instructions, found.cycles, found.by_class["load"]) == (40, 68, 20)
    assert profile([Block(0, 8, 10, 9)], lambda at, size: code, priced=False, misaligned=0).cycles is None


def test_where_an_emulator_cuts_a_block_costs_nothing() -> None:
    """`ldr r0, [r1]` and `ldr.w r2, [r1, #4]` are 2 + 1, in one block or with the second one across two pages."""
    code = struct.pack("<3H", 0x6808, 0xF8D1, 0x2004)
    assert whole_bytes(code[:4]) == 2
    for blocks in ([Block(0, 6, 10, 0)], [Block(0, 2, 10, 0), Block(2, 4, 10, 0)]):
        found = profile(blocks, lambda at, size: code[at : at + size], priced=True, misaligned=0)
        assert (found.instructions, found.cycles) == (20, 30)
