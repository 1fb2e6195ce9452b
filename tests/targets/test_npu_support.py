"""What an Ethos-U leaves to the CPU: each rule at its border. `tests/nas/listing/test_vendor.py` asks Vela itself."""

from __future__ import annotations

import pytest

from search_spaces.errors import TargetError
from search_spaces.graph import Graph
from targets import npu_support
from targets.device import devices, load_device
from targets.lower import lower
from tests.targets.networks import mobilenet_v1
from tests.targets.npu_networks import NETWORKS, ROCKCHIP_NETWORKS
from tests.toys import Sketch, every_kind, modern, toys

TABLES = npu_support.RULES, npu_support.ROCKCHIP_RULES
SMALL, LARGE = "ethos-u55-128", "ethos-u85-256"


def messages(graph: Graph, npu: str) -> list[str]:
    return list(npu_support.broken(lower(graph), npu))


@pytest.mark.parametrize("npu", [SMALL, "ethos-u65-256", LARGE, "rv1106"])
def test_usual_networks_run_as_a_whole(npu: str) -> None:
    for graph in (mobilenet_v1(), every_kind()[0], modern()[0], *[toy[0] for toy in toys().values()]):
        assert messages(graph, npu) == []


@pytest.mark.parametrize("name", NETWORKS)
def test_each_rule_at_its_border(name: str) -> None:
    graph, small, large = NETWORKS[name]
    assert [bool(messages(graph, npu)) for npu in (SMALL, "ethos-u65-512", LARGE)] == [small, small, large]


@pytest.mark.parametrize("name", ROCKCHIP_NETWORKS)
def test_each_rule_of_an_rv1106_at_its_border(name: str) -> None:
    graph, refused = ROCKCHIP_NETWORKS[name]
    assert bool(messages(graph, "rv1106")) is refused


def test_weights_of_another_type_are_refused_by_their_rule() -> None:
    law = "A network's weights are of one type that the device computes with; another type, or another device."
    with pytest.raises(TargetError) as caught:
        npu_support.check_weights("int4", load_device("rv1106"))
    assert str(caught.value) == f"rv1106 takes weights of int8, int16, not of int4. {law}"
    for name in devices():
        npu_support.check_weights("int8", load_device(name))


def test_the_message_is_the_rule() -> None:
    graph = NETWORKS["depthwise of stride 4"][0]
    law = "On an Ethos-U55 or U65 a depthwise convolution's stride is at most 3; change the model's stride."
    with pytest.raises(TargetError) as caught:
        npu_support.check(lower(graph), SMALL)
    assert str(caught.value) == f"'wide' cannot run on {SMALL}: stride 4 x 4. {law}"
    npu_support.check(lower(graph), LARGE)


def test_every_rule_is_one_line() -> None:
    for rule in {rule for table in TABLES for rules in table.values() for rule in rules}:
        assert rule.__doc__
        assert rule.__doc__.splitlines()[0].endswith(".")


@pytest.mark.parametrize(("features", "fits"), [(65_536, True), (65_537, False)])
def test_a_filter_has_at_most_65536_weights(features: int, fits: bool) -> None:
    net = Sketch(features)
    net.add("logits", "linear", out_channels=2)
    assert (messages(net.done(), LARGE) == []) is fits


@pytest.mark.parametrize(("rows", "fits"), [(256, True), (257, False)])
def test_maps_of_more_than_65536_places_are_not_shuffled(rows: int, fits: bool) -> None:
    net = Sketch(4, rows, 256)
    net.add("shuffled", "shuffle", groups=2)
    assert (messages(net.done(), SMALL) == []) is fits
    assert messages(net.done(), LARGE) == []


@pytest.mark.parametrize(("rows", "fits"), [(256, True), (257, False)])
def test_softmax_at_more_than_65536_places_is_too_much(rows: int, fits: bool) -> None:
    net = Sketch(4, rows, 256)
    net.add("probabilities", "softmax")
    assert (messages(net.done(), LARGE) == []) is fits


@pytest.mark.parametrize(("rows", "columns", "fits"), [(256, 256, True), (257, 1, False), (256, 257, False)])
def test_a_maximum_is_taken_of_up_to_256_rows_and_65536_places(rows: int, columns: int, fits: bool) -> None:
    net = Sketch(1, rows, columns)
    net.add("most", "max_pool", kernel=(rows, columns), stride=(1, 1), pads=(0, 0, 0, 0))
    assert (messages(net.done(), LARGE) == []) is fits
