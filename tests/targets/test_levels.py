"""The compiler's level: its factors, and that it moves code and time alone."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from search_spaces.errors import TargetError
from targets.core import CallCost
from targets.cost import bill, estimate
from targets.device import load_device
from targets.levels import FILE, at_level, factors
from tests.toys import chain, depthwise

NRF = load_device("nrf52840")


def test_cycles_are_scaled_by_path() -> None:
    conv, other = CallCost("conv", 0, 1000.0, 5, 0, 0, 0, 800.0), CallCost("reshape", 0, None, 0, 0, 0, 0, 50.0)
    assert at_level((conv, other), "O3") == (conv, other)
    slow = factors("Os")["conv"]
    assert at_level((conv, other), "Os") == (conv._replace(cycles=1000 * slow, instructions=800 * slow), other)


def test_every_factor_has_a_source() -> None:
    with FILE.open(newline="") as file:
        assert all(float(row["factor"]) > 0 and row["source"] for row in csv.DictReader(file))
    assert factors("Os")["conv"] > factors("O2")["conv"]
    assert factors("O2")["dw_3x3"] < 1 < factors("Os")["dw_3x3"]


@pytest.mark.parametrize("runtime", ["tflm", "c"])
def test_a_smaller_level_takes_less_flash_and_more_time_and_nothing_else(runtime: str) -> None:
    graph = depthwise()[0]
    fast, small = (estimate(graph, replace(NRF, compiler_level=level), runtime) for level in ("O3", "Os"))  # type: ignore[arg-type]
    assert small.flash_bytes < fast.flash_bytes
    assert small.latency_ms > fast.latency_ms
    assert replace(small, flash_bytes=fast.flash_bytes, latency_ms=fast.latency_ms, energy_uj=fast.energy_uj) == fast
    lines = bill(graph, replace(NRF, compiler_level="Os"), runtime)  # type: ignore[arg-type]
    assert sum(line.ms or 0 for line in lines) == pytest.approx(small.latency_ms)


def test_a_closed_runtime_comes_compiled() -> None:
    device = load_device("stm32l4r5")
    assert estimate(chain()[0], device, "x-cube-ai") == estimate(
        chain()[0], replace(device, compiler_level="Os"), "x-cube-ai"
    )


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(
        TargetError, match=r"compiler_level must be one of O3, O2, Os, got 'Ofast' in device 'nrf52840'"
    ):
        replace(NRF, compiler_level="Ofast")
