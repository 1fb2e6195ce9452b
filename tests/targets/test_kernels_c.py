"""Kernels of generated C: loop counts and scratch by hand, prices against recorded runs (`experiments/cost_model`)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from targets import kernels, kernels_c, loops_c
from targets.core import call_cost, load_core
from targets.geometry import Geometry
from targets.one_call import CORES
from targets.scratch import generated_c_bytes

ROWS = Path(__file__).parents[2] / "experiments" / "cost_model" / "data" / "generated_c"
ROW = Geometry("conv", (1, 20), 3, (1, 10), 5, (1, 5), (1, 2), pads=(0, 1))


def test_a_row_runs_the_general_convolution_and_has_its_scratch() -> None:
    """Helium unrolls four windows of 15 values, each rounded up to 16; the others two of int16."""
    row = ROW._replace(channels=4)
    assert kernels.path(row, "mve") == "conv_1xn"
    assert [kernels_c.path(row, extension) for extension in ("scalar", "dsp", "mve")] == ["conv"] * 3
    assert [generated_c_bytes(ROW, extension) for extension in ("scalar", "dsp", "mve")] == [64, 64, 64]
    assert [generated_c_bytes(row, extension) for extension in ("scalar", "dsp", "mve")] == [80, 80, 96]


def test_kernels_of_its_own_need_no_scratch() -> None:
    for shape in (
        Geometry("fc", (1, 1), 40, (1, 1), 10),
        Geometry("conv", (8, 8), 8, (8, 8), 8, (3, 3), pads=(1, 1), groups=2),
        Geometry("transpose_conv", (4, 4), 32, (8, 8), 8, (2, 2), (2, 2)),
        Geometry("dw", (8, 8), 1, (8, 8), 12, (3, 3), pads=(1, 1), multiplier=12),
    ):
        assert generated_c_bytes(shape, "mve") == 0


def test_windows_over_an_edge_take_the_slower_product_of_helium() -> None:
    """Of 4 x 4 pixels under a 3 x 3 the outer ones are padded: every four in a row have one."""
    same = Geometry("conv", (4, 4), 8, (4, 4), 2, (3, 3), pads=(1, 1))
    valid = same._replace(size=(6, 6), pads=(0, 0))
    assert loops_c.conv_mve(same)["padded_fours"] == loops_c.conv_mve(valid)["fours"] == 4
    assert loops_c.conv_mve(same)["fours"] == loops_c.conv_mve(valid)["padded_fours"] == 0


def test_taps_of_a_transposed_convolution() -> None:
    """1 x 1 pixel, stride 2, a kernel of 2: each of the four outputs looks at four taps and meets the pixel once."""
    counts = loops_c.transpose_conv(Geometry("transpose_conv", (1, 1), 3, (2, 2), 1, (2, 2), (2, 2)))
    assert (counts["taps"], counts["valid_taps"], counts["values"]) == (16, 4, 12)


@pytest.mark.parametrize("core", CORES)
def test_prices_meet_the_recorded_calls(core: str) -> None:
    """Percent; in brackets of held-out calls the data files say more. Every kernel has its calls and its prices."""
    prices = load_core(CORES[core]).running("c")
    with (ROWS / f"{core}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows} >= {"conv", "conv_1x1", "conv_grouped", "fc", "relu", "transpose_conv"}
    errors: dict[str, list[float]] = {}
    for row in rows:
        cost = call_cost(prices, geometry_of(row))
        assert cost.path == row["path"]
        said, measured = (cost.cycles, row["cycles_trm"]) if core == "m4" else (cost.instructions, row["insns"])
        errors.setdefault(row["path"], []).append(100 * abs((said or 0.0) / float(measured) - 1))
    for path, found in errors.items():
        assert np.mean(found) < 2.5, path
    assert np.mean([error for found in errors.values() for error in found]) < 1.0


def geometry_of(row: dict[str, str]) -> Geometry:
    fields = {
        name: tuple(map(int, row[name].split("x"))) if "x" in row[name] else int(row[name])
        for name in Geometry._fields
        if name in row and name != "kind"
    }
    return Geometry(kind=row["kind"], **fields)  # type: ignore[arg-type]
