"""What `nas cost` and `nas targets` print: sums, the peak, what binds, and what is not known or not checked."""

from __future__ import annotations

import dataclasses
import json

import pytest

from nas import listing, wording
from nas.listing import cost as listing_cost
from targets.cost import bands, estimate, memory
from targets.device import devices, load_device
from targets.memory import aligned
from tests.targets.networks import mobilenet_v1
from tests.toys import chain, toys

NRF, L4R5, F446, RV1106 = map(load_device, ("nrf52840", "stm32l4r5", "stm32f446", "rv1106"))
GRAPH = chain()[0]


@pytest.mark.parametrize("name", toys())
def test_what_is_alive_at_the_peak_adds_up_to_it(name: str) -> None:
    graph = toys()[name][0]
    peak, plan = listing_cost.cost_record(graph, NRF, "tflm")["peak"], memory(graph, NRF)
    assert plan is not None
    assert sum(buffer["size_bytes"] for buffer in peak["alive"]) == peak["live_bytes"] == max(plan.live_bytes)
    assert all(buffer["first"] <= peak["call"] <= buffer["last"] for buffer in peak["alive"])
    assert peak["live_bytes"] <= peak["arena_bytes"] == plan.arena_bytes


def test_the_peak_of_a_chain_by_hand() -> None:
    peak = listing_cost.cost_record(GRAPH, NRF, "c")["peak"]
    # Call 2 convolves 8x8x8 to 8x8x8: two maps of 512 bytes and two unrolled windows of 72 int16 values.
    assert peak["call"] == 2
    assert [buffer["size_bytes"] for buffer in peak["alive"]] == [512, 512, aligned(4 * 72)]


def test_the_text_has_the_sums_the_peak_and_what_binds() -> None:
    text, cost, plan = listing_cost.cost_text(GRAPH, L4R5, "tflm"), estimate(GRAPH, L4R5), memory(GRAPH, L4R5)
    assert plan is not None
    for words in (
        wording.size(cost.size_bytes),
        wording.milliseconds(cost.latency_ms),
        "power measured while inferring, ±40 %",
        "RAM peaks in call 2 of",
        f"{wording.size((cost.ram_bytes or 0) - plan.arena_bytes)} beside it are the interpreter's own.",
        "The flash binds:",
    ):
        assert words in text
    assert "Not checked" not in text


def test_a_data_sheets_energy_and_unchecked_numbers_say_so() -> None:
    text = listing_cost.cost_text(GRAPH, NRF, "tflm")
    assert "power from the data sheet, within a factor of 2.5" in text
    assert "Not checked against a data sheet: active_power_mw of nrf52840." in text


def test_what_cannot_be_priced_is_empty_and_says_why() -> None:
    text = listing_cost.cost_text(GRAPH, RV1106, "tflm")
    assert "no kernels are priced for Cortex-A7" in text
    assert "RAM peaks" not in text
    assert "the flash and RAM of rv1106 limit nothing" in text
    assert "nobody has published this chip's power" in listing_cost.cost_text(GRAPH, F446, "tflm")
    record = listing_cost.cost_record(GRAPH, RV1106, "tflm")
    assert (record["peak"], record["binds"], record["limits"]) == (None, None, {})
    assert record["cost"]["latency_ms"] is None
    json.dumps(record, allow_nan=False)


def test_the_matrix_says_where_a_network_fits() -> None:
    graph = mobilenet_v1()
    rows = {row["target"]: row for row in listing_cost.matrix_record(graph, listing.all_devices(), "tflm")}
    assert set(rows) == set(devices())
    assert (rows["nrf52840"]["fits_flash"], rows["nrf52840"]["fits_ram"]) == (False, True)  # 3.2 MB of 1 MB
    assert rows["nrf52832"]["fits_ram"] is False  # 111 KB of 64 KB
    assert (rows["rv1106"]["fits_flash"], rows["rv1106"]["latency_ms"]) == (None, None)
    assert rows["stm32l4r5"]["latency_ms"] == estimate(graph, L4R5).latency_ms
    text = listing_cost.matrix_text(graph, listing.all_devices(), "tflm")
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert lines["rv1106"].split() == ["rv1106", "Cortex-A7"]
    used = rows["nrf52832"]["flash_bytes"] / 2**19
    assert f"no, {100 * used:.0f} %*" in lines["nrf52832"]
    assert "x2.5" in lines["nrf52840"]
    assert "*" not in lines["stm32l4r5"]


def test_targets_star_what_was_not_checked() -> None:
    text = listing.targets_text()
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert "512 KB*" in lines["nrf52832"]
    assert "*" not in lines["stm32l4r5"]
    assert "10 mW x2.5*" in lines["nrf52840"]
    assert "* not checked" in text
    json.dumps(listing.targets_rows())


def test_a_closed_runtime_is_shown_as_bands() -> None:
    graph, found = GRAPH, bands(GRAPH, L4R5, "x-cube-ai")
    assert found is not None
    text, record = listing_cost.cost_text(graph, L4R5, "x-cube-ai"), listing_cost.cost_record(graph, L4R5, "x-cube-ai")
    low, high = found.flash_bytes
    assert f"{wording.size(low)} to {wording.size(high)}" in text
    assert "limits are checked against the upper ends" in text
    assert record["bands"]["flash_bytes"] == {"low": low, "high": high}
    assert record["cost"]["flash_bytes"] == high
    json.dumps(record, allow_nan=False)
    assert listing_cost.cost_record(graph, L4R5, "tflm")["bands"] is None
    assert "Timed by their own measurements" in listing_cost.cost_text(graph, F446, "tflm")
    assert "Timed by their own measurements" not in listing_cost.cost_text(graph, F446, "x-cube-ai")
    record = listing_cost.cost_record(graph, F446, "x-cube-ai")
    assert (record["latency_band_percent"], record["measured_apart"]) == (None, [])


def test_the_matrix_of_a_closed_runtime_is_empty_where_it_was_never_measured() -> None:
    rows = {row["target"]: row for row in listing_cost.matrix_record(GRAPH, listing.all_devices(), "x-cube-ai")}
    assert (rows["rp2040"]["fits_flash"], rows["rp2040"]["latency_ms"]) == (None, None)
    assert rows["stm32l4r5"]["flash_bytes"] == estimate(GRAPH, L4R5, "x-cube-ai").flash_bytes


def test_the_text_names_the_compilers_level() -> None:
    text = listing_cost.cost_text(GRAPH, dataclasses.replace(L4R5, compiler_level="Os"), "c")
    assert "with the c runtime and kernels at -Os, ±3 %" in text
    assert "prices of -O3 times what -Os takes on an M4" in text
