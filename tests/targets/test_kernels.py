"""Loop counts by hand, and the prices against recorded emulator runs (`cmsis_nn_m4.csv`)."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from targets.core import CallCost, call_cost, load_core, scratch_bytes
from targets.kernels import COUNTS, Geometry, path

ROWS = Path(__file__).parent / "cmsis_nn_m4.csv"
KINDS = {"avgpool": "avg_pool", "maxpool": "max_pool", "dw3x3": "dw", "dwopt": "dw", "dwgen": "dw"}
M4 = load_core("cortex_m4")


def geometry(row: dict[str, str]) -> Geometry:
    """The call of a recorded row."""
    n = {name: int(value) for name, value in row.items() if name not in ("set", "path")}
    kind = KINDS.get(row["path"], "conv" if row["path"].startswith("conv") else row["path"])
    return Geometry(
        kind,  # type: ignore[arg-type]
        (n["H"], n["W"]),
        n["C"],
        (n["OH"], n["OW"]),
        n["OC"],
        (n["KH"], n["KW"]),
        (n["SH"], n["SW"]),
        pads=(n["PH"], n["PW"]),
        multiplier=n["OC"] // n["C"] if kind == "dw" else 1,
        operands=2 * n["H"] * n["W"] * n["C"],
    )


@cache
def recorded() -> list[tuple[dict[str, str], Geometry, CallCost]]:
    with ROWS.open() as file:
        rows = list(csv.DictReader(file))
    return [(row, geometry(row), call_cost(M4, geometry(row))) for row in rows]


def test_scratch_is_exact_on_every_recorded_call() -> None:
    wrong = [row for row, _, cost in recorded() if cost.scratch_bytes != int(row["scratch_bytes"])]
    assert len(recorded()) == 1082
    assert wrong == []


def test_macs_of_recorded_calls() -> None:
    for row, _, cost in recorded():
        assert cost.macs == (int(row["macs"]) if cost.filters else 0)


# Mean error in percent that a code path may have; what was reached is at most four fifths of it.
@pytest.mark.parametrize(
    ("code", "percent"),
    [
        ("conv", 1.5),
        ("conv_1x1", 1.5),
        ("dw_3x3", 1.3),
        ("dw", 1.5),
        ("dw_by_4", 0.6),
        ("fc", 0.8),
        ("max_pool", 2.8),
        ("avg_pool", 0.7),
        ("add", 0.1),
        ("mul", 0.1),
        ("softmax", 0.6),
    ],
)
def test_cycles_of_a_code_path(code: str, percent: float) -> None:
    errors = [cost.cycles / float(row["cycles"]) - 1 for row, _, cost in recorded() if cost.path == code]
    assert 100 * np.mean(np.abs(errors)) < percent
    assert 100 * np.quantile(np.abs(errors), 0.95) < 8


def test_1xn_convolutions_were_not_fitted_and_are_priced_right() -> None:
    errors = [cost.cycles / float(row["cycles"]) - 1 for row, _, cost in recorded() if row["path"] == "conv1xn"]
    assert len(errors) == 29
    assert 100 * np.mean(np.abs(errors)) < 2


@pytest.mark.parametrize("network", ["ic", "kws", "vww", "ad"])
def test_whole_mlperf_tiny_networks_come_within_half_a_percent(network: str) -> None:
    mine = [(cost, row) for row, _, cost in recorded() if row["set"] == f"mlperf_{network}"]
    cycles = sum(float(row["cycles"]) for _, row in mine)
    assert sum(cost.cycles for cost, _ in mine) == pytest.approx(cycles, rel=0.005)
    loads = sum(int(row["weight_loads"]) for _, row in mine)
    assert sum(cost.weight_loads for cost, _ in mine) == pytest.approx(loads, rel=0.001)


def test_weight_loads_are_exact_but_for_1x1() -> None:
    for row, _, cost in recorded():
        if cost.filters and cost.path != "conv_1x1":
            assert cost.weight_loads == int(row["weight_loads"]), row
        elif cost.filters:
            assert cost.weight_loads == pytest.approx(int(row["weight_loads"]), rel=0.02)


def test_loops_of_a_convolution_by_hand() -> None:
    # 3 input channels, 3x3 map, 3x3 kernel, pad 1: 9 pixels = 4 pairs and one over, windows of 27 = 6 words and 3
    # over, 5 filters = 2 pairs and one over. Of 81 taps 49 lie inside: 4 in a corner, 6 at an edge, 9 in the middle.
    found = COUNTS["conv"](Geometry("conv", (3, 3), 3, (3, 3), 5, (3, 3), pads=(1, 1)))
    assert found == {
        "words_2x2": 4 * 2 * 6,
        "tail_2x2": 4 * 2 * 3,
        "blocks_2x2": 4 * 2,
        "words_2x1": 4 * 6,
        "tail_2x1": 4 * 3,
        "blocks_2x1": 4,
        "words_1x1": 5 * 6,
        "tail_1x1": 5 * 3,
        "blocks_1x1": 5,
        "misaligned_words": 4 * 2 * 6,
        "valid_taps": 49,
        "padded_taps": 32,
        "words_copied": 0,
        "bytes_copied": 49 * 3,
        "bytes_zeroed": 32 * 3,
        "pixels": 9,
        "calls": 1,
    }


def test_a_group_is_a_convolution_of_its_own() -> None:
    whole = COUNTS["conv"](Geometry("conv", (4, 4), 4, (4, 4), 6, (3, 3), pads=(1, 1)))
    grouped = COUNTS["conv"](Geometry("conv", (4, 4), 12, (4, 4), 18, (3, 3), pads=(1, 1), groups=3))
    assert grouped == {name: 3 * count for name, count in whole.items()}
    assert Geometry("conv", (4, 4), 12, (4, 4), 18, (3, 3), pads=(1, 1), groups=3).weights == 18 * 4 * 9


def test_a_strided_1x1_is_one_product_a_row() -> None:
    row = COUNTS["conv_1x1"](Geometry("conv", (1, 5), 20, (1, 5), 6))
    strided = COUNTS["conv_1x1"](Geometry("conv", (7, 9), 20, (4, 5), 6, stride=(2, 2)))
    assert strided == {name: 4 * count for name, count in row.items()}


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        (Geometry("conv", (8, 8), 4, (8, 8), 4), "conv_1x1"),
        (Geometry("conv", (8, 8), 4, (8, 8), 4, groups=2), "conv"),
        (Geometry("conv", (8, 8), 4, (8, 8), 4, (3, 3), pads=(1, 1)), "conv"),
        (Geometry("dw", (8, 8), 4, (8, 8), 4, (3, 3), pads=(1, 1)), "dw_3x3"),
        (Geometry("dw", (8, 8), 4, (8, 8), 4, (5, 5), pads=(2, 2)), "dw"),
        (Geometry("dw", (8, 8), 4, (8, 8), 4, (3, 3), pads=(2, 2), dilation=(2, 2)), "dw_any"),
        (Geometry("dw", (8, 8), 4, (8, 8), 16, (3, 3), pads=(1, 1), multiplier=4), "dw_by_4"),
        (Geometry("dw", (8, 8), 4, (8, 8), 8, (3, 3), pads=(1, 1), multiplier=2), "dw_any"),
    ],
)
def test_which_kernel_runs(shape: Geometry, code: str) -> None:
    assert path(shape) == code


def test_scratch_by_hand() -> None:
    conv = Geometry("conv", (32, 32), 3, (32, 32), 16, (3, 3), pads=(1, 1))
    assert scratch_bytes(conv, "dsp") == scratch_bytes(conv, "scalar") == 112  # 27 values -> 28, 4 bytes each
    wide = Geometry("dw", (8, 8), 10, (8, 8), 10, (5, 5), pads=(2, 2))
    assert (scratch_bytes(wide, "dsp"), scratch_bytes(wide, "scalar")) == (500, 0)  # 2 bytes x 10 x 25
    pool = Geometry("avg_pool", (8, 8), 10, (1, 1), 10, (8, 8))
    assert (scratch_bytes(pool, "dsp"), scratch_bytes(pool, "scalar")) == (40, 0)
    assert scratch_bytes(Geometry("conv", (8, 8), 10, (8, 8), 10), "dsp") == 0


def test_a_price_is_paid_each_time_the_loop_runs() -> None:
    # fc of 10 inputs, 3 filters: 2 words and 2 over for one pair of filters and for one alone.
    shape = Geometry("fc", (1, 1), 10, (1, 1), 3)
    prices = M4.loops["fc"]
    cycles = 2 * prices["words_x2"][0] + 2 * prices["tail_x2"][0] + prices["twos"][0]
    cycles += 2 * prices["words_x1"][0] + 2 * prices["tail_x1"][0] + prices["ones"][0] + prices["calls"][0]
    found = call_cost(M4, shape)
    assert found.cycles == pytest.approx(cycles)
    assert found.weight_loads == 2 * 2 + 2 * 2 + 2 + 2 * 1 + 2 * 1 + 1
    assert (found.macs, found.weights, found.filters, found.weights_bytes) == (30, 30, 3, 42)


def test_every_loop_has_a_price_and_every_price_a_loop() -> None:
    sample = {code: Geometry("add", (4, 4), 4, (4, 4), 4, (3, 3), operands=128) for code in COUNTS}
    for code, shape in sample.items():
        loops = set(COUNTS[code](shape))
        if code in ("add", "sub", "mul"):
            loops |= set(COUNTS[code](shape._replace(operands=68)))
        assert loops == set(M4.loops[code]), code
    assert set(M4.loops) == set(COUNTS)


def test_a_broadcast_mul_costs_more_than_an_even_one() -> None:
    even = Geometry("mul", (8, 8), 16, (8, 8), 16, operands=2 * 1024)
    gate = even._replace(operands=1024 + 16)
    assert call_cost(M4, gate).cycles > call_cost(M4, even).cycles
