"""X-CUBE-AI's bands: their arithmetic, what they bracket, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search_spaces.errors import TargetError
from search_spaces.graph import Graph
from targets import x_cube_ai
from targets.cost import bands, bill, estimate, memory
from targets.device import load_device
from targets.lower import lower
from targets.x_cube_ai import Band, Release, Tool
from tests.targets.networks import mobilenet_v1, mobilenet_v2
from tests.toys import Sketch, chain, every_kind

H747, L4R5 = load_device("stm32h747"), load_device("stm32l4r5")
TOOL = Tool(
    code=(Release((1000.0, 100.0, 10.0), 0.5, 2.0), Release((5000.0, 0.0, 0.0), 1.0, 1.0)),
    data=(Release((100.0, 10.0), 1.0, 1.5),),
    cycles={"m4": (Release((1.0, 2.0, 10.0, 4.0), 0.5, 1.0), Release((2.0, 1.0, 10.0, 1.0), 1.0, 1.2))},
    activations=(0.5, 1.5, 100),
)


@pytest.fixture
def round_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x_cube_ai, "load_tool", lambda: TOOL)


def small() -> Graph:
    """2x4x4, a 1x1 to 3x4x4, a depthwise, and a classifier of 5; the largest two maps that meet are 48 and 48 bytes."""
    net = Sketch(2, 4, 4)
    net.conv("point", 3, 1)
    net.conv("deep", 3, groups=3)
    net.classifier(5)
    return net.done()


@pytest.mark.usefixtures("round_tool")
def test_bands_by_hand() -> None:
    device = replace(L4R5, clock_hz=1_000_000, active_power_mw=2.0)
    found = bands(small(), device, "x-cube-ai")
    assert found is not None
    # 4 calls (a reshape is none), 11 filters; weights 2 x 3, 9 x 3 and 3 x 5, biases of 4 bytes.
    weights, code = 6 + 27 + 15 + 4 * 11, 1000 + 4 * 100 + 11 * 10
    assert found.flash_bytes == Band(weights + code / 2, weights + 5000)
    assert found.ram_bytes == Band(96 / 2 + 140, 1.5 * 96 + 96 + 1.5 * 140)
    # 96 of the 1x1, 432 of the depthwise, 15 of the linear layer: 4,572 cycles halved, and 4,431 times 1.2.
    assert found.latency_ms == pytest.approx((2.286, 1.2 * 4.431))
    assert found.energy_uj == pytest.approx((4.572, 2.4 * 4.431))


@pytest.mark.usefixtures("round_tool")
def test_the_upper_ends_are_what_limits_see() -> None:
    cost, found = estimate(small(), L4R5, "x-cube-ai"), bands(small(), L4R5, "x-cube-ai")
    assert found is not None
    assert (cost.flash_bytes, cost.ram_bytes) == (found.flash_bytes.high, found.ram_bytes.high)
    assert (cost.latency_ms, cost.energy_uj) == (found.latency_ms.high, found.energy_uj.high)


@pytest.mark.parametrize("graph", [chain()[0], every_kind()[0], mobilenet_v1(0.25)])
def test_the_bill_adds_up_and_keeps_to_what_is_known(graph: Graph) -> None:
    cost, lines = estimate(graph, L4R5, "x-cube-ai"), bill(graph, L4R5, "x-cube-ai")
    assert sum(line.ms for line in lines) == pytest.approx(cost.latency_ms)
    assert sum(line.macs for line in lines) == cost.macs
    assert {(line.scratch_bytes, line.live_bytes) for line in lines} == {(None, None)}
    assert memory(graph, L4R5, "x-cube-ai") is None
    assert cost.size_bytes == estimate(graph, L4R5).size_bytes
    assert bands(graph, L4R5, "tflm") is None


PUBLISHED = [  # X-CUBE-AI 7.3 on an STM32H747I-DISCO at 400 MHz, which no fit has seen: model zoo of ST
    (mobilenet_v1(0.25, side=224, channels=3, classes=5), 184.4, 219_843 + 76_800, 206_991 + 21_504),
    (mobilenet_v1(0.5, side=224, channels=3, classes=5), 520.0, 832_113 + 91_136, 413_983 + 21_504),
    (mobilenet_v1(0.25, side=96, channels=3, classes=5), 35.0, 219_699 + 77_824, 39_567 + 20_480),
    (mobilenet_v2(0.35, 128, classes=5), 110.0, 416_625 + 125_952, 229_888 + 37_888),
    (mobilenet_v2(0.35, 224, classes=5), 393.0, 416_625 + 125_952, 702_976 + 37_888),
]


@pytest.mark.parametrize(("graph", "milliseconds", "flash", "ram"), PUBLISHED)
def test_rows_of_a_release_that_no_fit_has_seen_lie_in_their_bands(
    graph: Graph, milliseconds: float, flash: int, ram: int
) -> None:
    found = bands(graph, replace(H747, clock_hz=400_000_000), "x-cube-ai")
    assert found is not None
    assert found.latency_ms is not None
    assert found.latency_ms.low < milliseconds < found.latency_ms.high
    assert found.flash_bytes.low < flash < found.flash_bytes.high
    assert found.ram_bytes.low < ram < found.ram_bytes.high


@pytest.mark.parametrize(
    ("graph", "milliseconds"),
    [(mobilenet_v2(0.35, 224, classes=101), 216.0), (mobilenet_v1(0.5, side=224, channels=3, classes=101), 347.0)],
)
def test_another_makers_m7_lies_in_the_band(graph: Graph, milliseconds: float) -> None:
    """X-CUBE-AI 9.1 on a GD32H759 at 600 MHz, in no fit."""
    found = bands(graph, replace(H747, clock_hz=600_000_000), "x-cube-ai")
    assert found is not None
    assert found.latency_ms is not None
    assert found.latency_ms.low < milliseconds < found.latency_ms.high


def test_padded_copies_are_not_made() -> None:
    net, bare = Sketch(2, 8, 8), Sketch(2, 8, 8)
    net.conv("c", 4, 3, 2, pads=(1, 1, 0, 0))  # no padding that TFLite has
    bare.conv("c", 4, 3, 2, pads=(0, 0, 1, 1))
    assert bands(net.done(), L4R5, "x-cube-ai") == bands(bare.done(), L4R5, "x-cube-ai")


@pytest.mark.parametrize(("name", "core"), [("rp2040", "Cortex-M0+"), ("alif_e3", "Cortex-M55"), ("esp32s3", "Xtensa")])
def test_cores_without_a_published_network_are_refused_in_one_line(name: str, core: str) -> None:
    with pytest.raises(
        TargetError, match=f"x-cube-ai must run on a core it was measured on .* has .*{core[:9]}"
    ) as caught:
        estimate(chain()[0], load_device(name), "x-cube-ai")
    assert "\n" not in str(caught.value)


def test_pools_that_the_file_cannot_say_are_refused() -> None:
    net = Sketch(2, 8, 8)
    net.add("small", "avg_pool", kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1))
    with pytest.raises(TargetError, match="cannot run on x-cube-ai"):
        lower(net.done(), "x-cube-ai")
