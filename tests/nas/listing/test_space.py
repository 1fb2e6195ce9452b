"""What `nas space` says: every gene with what it changes, the ends of the space, and why there may be no prices."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas import wording
from nas.inputs import with_device
from nas.listing.space import list_space
from nas.objectives import Limits
from search_spaces.errors import NothingFits
from search_spaces.graph import Graph
from targets.cost import bands, estimate
from targets.device import load_device
from tests.toys import Sketch, depthwise

DEVICE = load_device("nrf52840")


def listed(graph: Graph, space: str = "mcu", **limits: int) -> tuple[str, dict]:
    found = list_space(graph, space, DEVICE, "tflm", with_device(Limits(**limits), DEVICE))
    return found.text(), found.record()


def test_every_gene_stands_with_what_it_changes() -> None:
    text, record = listed(depthwise()[0])
    for gene in record["genes"]:
        (line,) = [line for line in text.splitlines() if line.startswith(f"{gene['gene']} ")]
        assert gene["members"][0] in line
        assert str(gene["original"]) in line
    assert f"{len(record['genes'])} genes" in text


def test_the_ends_cost_what_they_cost() -> None:
    graph = depthwise()[0]
    text, record = listed(graph, "mcu-wide")
    original = estimate(graph, DEVICE)
    assert record["costs"]["original"]["size_bytes"] == original.size_bytes
    sizes = [record["costs"][name]["size_bytes"] for name in ("largest", "original", "cheapest")]
    assert sizes == sorted(sizes, reverse=True)  # kernels may grow: the original is not the largest
    assert sizes[0] > sizes[1]
    assert "largest" in text
    assert "largest" not in listed(graph)[1]["costs"]


def test_a_network_without_a_kernel_is_listed_all_the_same() -> None:
    net = Sketch(3, 8, 8)
    net.conv("stem", 16)
    net.add("act", "gelu", tanh=False)
    net.classifier(4)
    text, record = listed(net.done())
    assert "width:stem" in text
    assert record["costs"] == {}
    assert "No prices" in text
    assert "gelu 'act' cannot run" in text


def test_nothing_fits() -> None:
    with pytest.raises(NothingFits, match="size"):
        listed(depthwise()[0], size_bytes=100)


def test_a_closed_runtimes_ends_are_bands() -> None:
    graph, device = depthwise()[0], load_device("stm32l4r5")
    found = list_space(graph, "mcu", device, "x-cube-ai", with_device(Limits(), device))
    told = bands(graph, device, "x-cube-ai")
    assert told is not None
    assert f"{wording.size(told.ram_bytes.low)} to {wording.size(told.ram_bytes.high)}" in found.text()
    assert found.record()["bands"]["original"]["ram_bytes"] == {"low": told.ram_bytes.low, "high": told.ram_bytes.high}


def test_layers_that_pad_unlike_the_original_are_named(tmp_path: Path) -> None:
    net = Sketch(1, 8, 8)
    net.conv("stem", 8, stride=2)
    net.conv("next", 8)
    net.classifier(4)
    file = tmp_path / "same.toml"
    for value, named in (("true", ("stem",)), ("false", ())):
        file.write_text(f"same_padding = {value}\n")
        text, record = listed(net.done(), str(file))
        assert record["repadded"] == named
        assert ("SAME in every network, unlike the original: stem\n" in text) == bool(named)
