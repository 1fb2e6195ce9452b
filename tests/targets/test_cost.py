"""The bill: its parts by hand, and its sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search_spaces.declare import load_declaration
from search_spaces.graph import Graph
from search_spaces.space import derive
from targets.core import CallCost
from targets.cost import bill, estimate
from targets.device import load_device
from targets.energy import energy_uj
from targets.latency import call_cycles, latency_ms
from targets.lower import lower
from targets.program import Runtime
from targets.tflite_file import file_size
from tests.targets.networks import ROUND, mobilenet_v1, mobilenet_v2
from tests.toys import chain, every_kind, toys

NRF, L4R5, F446 = load_device("nrf52840"), load_device("stm32l4r5"), load_device("stm32f446")
RUNTIMES: tuple[Runtime, ...] = ("tflm", "c")


def costing(cycles: float, weight_loads: int) -> CallCost:
    return CallCost("conv", 0, cycles, weight_loads, 0, 0, 0)


def test_milliseconds_by_hand() -> None:
    calls = [costing(1000, 100), costing(500, 0)]
    # 2 x 1,500 cycles + 3 x 100 loads + 450 of the interpreter a call = 4,200 cycles at 1 MHz.
    assert latency_ms(calls, ROUND, "tflm") == pytest.approx(4.2)
    assert latency_ms(calls, ROUND, "c") == pytest.approx(3.3)
    assert call_cycles(calls[0], ROUND, "tflm") == 2 * 1000 + 3 * 100 + 450


def test_energy_is_power_times_time() -> None:
    assert energy_uj(4.0, ROUND) == 20.0  # 5 mW for 4 ms
    assert energy_uj(4.0, NRF) == 40.0  # 10 mW of its data sheet
    assert energy_uj(4.0, F446) is None
    assert energy_uj(None, ROUND) is None


def test_a_device_without_a_scale_has_no_time() -> None:
    calls, device = [costing(1000, 100)], replace(ROUND, cycles_scale=None, latency_band_percent=None)
    assert latency_ms(calls, device, "tflm") is None
    assert call_cycles(calls[0], device, "tflm") is None
    assert latency_ms(calls, replace(ROUND, clock_hz=None), "tflm") is None


def test_a_board_may_spend_cycles_of_its_own_per_call() -> None:
    calls, device = [costing(1000, 100), costing(500, 0)], replace(ROUND, cycles_per_call=100.0)
    assert latency_ms(calls, device, "tflm") == pytest.approx(4.4)  # 4.2 and twice 100 cycles at 1 MHz
    assert call_cycles(calls[1], device, "c") == 2 * 500 + 100


def test_estimate_of_a_chain() -> None:
    graph = chain()[0]
    cost = estimate(graph, NRF)
    assert cost.weights_bytes == (8 * 9 + 8 * 72 + 12 * 72 + 12 * 108 + 4 * 12) + 4 * 44
    assert cost.macs == 64 * (8 * 9 + 8 * 72) + 16 * (12 * 72 + 12 * 108) + 48
    assert cost.params == graph.params
    assert cost.size_bytes == file_size(lower(graph))
    # The planned part; objects and nine tensors; four convolutions, a pad, a pool, a reshape and a linear layer with
    # multipliers and shifts of 8, 8, 12, 12 and 4 filters, and five handles of scratch.
    kept = 460 + 12 * 9 + 4 * 148 + 108 + 120 + 68 + 168 + 8 * 44 + 5 * 4
    assert cost.ram_bytes == 1456 + kept
    assert (cost.runtime, cost.target) == ("tflm", "nrf52840")
    assert cost.energy_uj == pytest.approx(10 * (cost.latency_ms or 0))


def test_generated_c_does_not_change_the_file() -> None:
    graph = chain()[0]
    tflm, c = estimate(graph, NRF), estimate(graph, NRF, "c")
    assert c.size_bytes == tflm.size_bytes
    assert c.ram_bytes < tflm.ram_bytes
    assert c.flash_bytes < tflm.flash_bytes
    assert c.latency_ms < tflm.latency_ms


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", [*toys(), "every_kind"])
def test_the_bill_adds_up(name: str, runtime: Runtime) -> None:
    graph = every_kind()[0] if name == "every_kind" else toys()[name][0]
    cost, lines = estimate(graph, L4R5, runtime), bill(graph, L4R5, runtime)
    assert sum(line.ms for line in lines) == pytest.approx(cost.latency_ms)
    assert sum(line.cycles for line in lines) == pytest.approx(cost.latency_ms * 120_000)
    assert sum(line.macs for line in lines) == cost.macs == graph.macs
    assert sum(line.weights_bytes for line in lines) == cost.weights_bytes
    assert max(line.live_bytes for line in lines) <= cost.ram_bytes
    assert cost.params == graph.params
    assert cost.energy_uj == pytest.approx(52 * cost.latency_ms)


def test_random_networks_cost_something_and_agree_with_their_graph() -> None:
    space = derive(mobilenet_v1(), load_declaration("mcu"))
    rng = np.random.default_rng(3)
    for _ in range(100):
        graph = space.apply(space.sample(rng=rng))
        cost = estimate(graph, L4R5)
        assert min(cost.size_bytes, cost.ram_bytes, cost.latency_ms, cost.energy_uj or 0) > 0
        assert (cost.macs, cost.params) == (graph.macs, graph.params)
        assert cost.weights_bytes < cost.size_bytes < cost.flash_bytes


VWW, PERSON = mobilenet_v1(0.25, side=96, channels=3, classes=2), mobilenet_v1(0.25, side=96, channels=1, classes=2)


@pytest.mark.parametrize(
    ("target", "graph", "milliseconds"),
    [
        ("stm32l4r5", VWW, 301.2),  # MLPerf Tiny v1.0: OctoML microTVM with CMSIS-NN
        ("nrf5340", VWW, 232.0),  # the same
        ("ra6m4", VWW, 162.4),  # v0.7: TFLM
        ("ra8d1", VWW, 13.39),  # v1.2: TFLM with CMSIS-NN
        ("nrf52840", PERSON, 653.0),  # TFLM's person_detect: tvm-arduino-profiling, 2021
        ("rp2040", PERSON, 823.7),  # the same: pico-tflmicro, one core
        ("stm32f746", mobilenet_v2(0.30, 80), 129.0),  # TFLM with CMSIS-NN: Plumerai, 2021
        ("stm32h743", mobilenet_v2(0.30, 64), 43.0),  # CMSIS-NN: TinyEngine's table, clock not printed
    ],
)
def test_published_networks_lie_in_their_bands(target: str, graph: Graph, milliseconds: float) -> None:
    device = load_device(target)
    assert device.latency_band_percent is not None
    assert estimate(graph, device).latency_ms == pytest.approx(milliseconds, rel=device.latency_band_percent / 100)
