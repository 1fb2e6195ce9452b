"""Prices by the tool of a device's maker: who is asked about what, how often, and what is refused before training.

The tool is a Vela that answers everything with a recorded summary, its latency put in by the size of the file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nas import inputs, maker
from nas.objectives import Limits, violation
from nas.prices import REFUSED, Prices, off_npu
from search_spaces.declare import load_declaration
from search_spaces.errors import LimitError, NothingFits, TargetError
from search_spaces.space import SearchSpace, derive
from targets import vela
from targets.device import Device, load_device
from targets.makers import VELA
from targets.pricing import Pricer
from tests.targets.npu_networks import NETWORKS
from tests.toys import chain

RECORDED = Path(__file__).parents[1] / "targets" / "vela_5_2_0"
GRAPH, WEIGHTS = chain()
SPACE = derive(GRAPH, load_declaration("mcu"))
U55 = load_device("ethos_u55_128")
SCRIPT = """#!/bin/sh
[ "$1" = --version ] && echo 5.2.0 && exit
echo call >> {home}/calls
cp -r {recorded} out
size=$(wc -c < model.tflite)
sed -i "2s/.*/{row}/" out/*_summary_*.csv
cp model.tflite out/model_vela.tflite
"""


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """An Ethos-U55 whose Vela says that a file of so many bytes takes as many microseconds."""
    head, row = next(RECORDED.glob("*_summary_*")).read_text().splitlines()
    cells = dict(zip(head.split(","), row.split(","), strict=True)) | {"inference_time": "${size}e-6"}
    script = SCRIPT.format(home=tmp_path, recorded=RECORDED, row=",".join(cells.values()))
    (tmp_path / "vela").write_text(script)
    (tmp_path / "vela").chmod(0o755)
    return replace(U55, vela=str(tmp_path / "vela"))


def calls(folder: Path) -> int:
    return (folder / "calls").read_text().count("call")


def milliseconds(space: SearchSpace, genome) -> float:
    return Pricer(space, U55).price(genome).size_bytes / 1e3


def test_the_tool_answers_for_latency_ram_and_flash_once_for_each_genome(device: Device, tmp_path: Path) -> None:
    limits = Limits(latency_ms=1e6)
    prices = Prices(SPACE, device, "tflm", limits, tmp_path / "told")
    cost = prices.price(SPACE.original)
    assert cost.latency_ms == pytest.approx(milliseconds(SPACE, SPACE.original))
    assert (cost.ram_bytes, cost.flash_bytes) == (5 * 1024, 1024 + 16)
    assert prices.price(SPACE.original) is cost
    assert Prices(SPACE, device, "tflm", limits, tmp_path / "told").price(SPACE.original) == cost, "another process"
    assert calls(tmp_path) == 1


def test_it_is_not_asked_about_what_is_too_large_already(device: Device, tmp_path: Path) -> None:
    limits = Limits(size_bytes=100, latency_ms=1e6)
    cost = Prices(SPACE, device, "tflm", limits).price(SPACE.original)
    assert cost.latency_ms is None
    assert violation(cost, limits) == cost.size_bytes / 100 - 1
    assert not (tmp_path / "calls").exists()


def test_nobody_is_asked_without_such_a_limit(device: Device, tmp_path: Path) -> None:
    assert Prices(SPACE, device, "tflm", Limits(size_bytes=10**6)).price(SPACE.original).latency_ms is None
    assert not (tmp_path / "calls").exists()


def test_a_network_that_the_tool_refuses_fits_no_limit(device: Device, tmp_path: Path) -> None:
    (tmp_path / "vela").write_text('#!/bin/sh\n[ "$1" = --version ] && echo 5.2.0 && exit\nexit 1\n')
    limits = Limits(ram_bytes=10**9)
    cost = Prices(SPACE, device, "tflm", limits).price(SPACE.original)
    assert cost.ram_bytes == REFUSED.ram_bytes
    assert violation(cost, limits) > 0


def test_the_exported_file_is_asked_about_again(device: Device) -> None:
    prices = Prices(SPACE, device, "tflm", Limits(latency_ms=1e6))
    before = prices.price(SPACE.original)
    cost = prices.of_files(before, GRAPH, {"tflite": b"x" * 5000})
    assert (before.size_bytes, cost.latency_ms) == (cost.size_bytes, pytest.approx(5.0))


def test_a_limit_that_nothing_meets_is_told_before_training(device: Device) -> None:
    least = min(milliseconds(SPACE, genome) for genome in (SPACE.cheapest, SPACE.uniform(0.0)))
    with pytest.raises(NothingFits, match=r"not even the cheapest\. The latency binds"):
        inputs.cut(SPACE, device, "tflm", Limits(latency_ms=0.9 * least))
    assert inputs.cut(SPACE, device, "tflm", Limits(latency_ms=1.1 * least)).genes == SPACE.cut(lambda _: True).genes


def test_a_limit_without_the_tool_is_refused_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("NAS_RKNN_PYTHON", raising=False)
    monkeypatch.setattr(vela.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(LimitError, match=r"latency_ms cannot be limited: .* not installed: pip install ethos-u-vela"):
        inputs.with_device(Limits(latency_ms=1.0), U55)
    with pytest.raises(LimitError, match=r"ram_bytes cannot be limited: .* set NAS_RKNN_PYTHON .* leave the limit out"):
        inputs.with_device(Limits(ram_bytes=1), load_device("rv1106"))
    assert inputs.with_device(Limits(size_bytes=1), U55) == Limits(size_bytes=1)


def test_what_a_candidate_must_not_lose() -> None:
    broken, whole = NETWORKS["depthwise of stride 4"][0], NETWORKS["depthwise of stride 3"][0]
    assert "stride 4 x 4" in off_npu(broken, whole, U55)[0]
    assert off_npu(broken, broken, U55) == [], "the original's own"
    assert off_npu(broken, whole, load_device("nrf52840")) == []


def test_what_the_npu_leaves_is_the_cpus_where_that_is_priced_and_then_latency_has_no_limit() -> None:
    broken, m55 = NETWORKS["depthwise of stride 4"][0], load_device("corstone300")
    with pytest.raises(TargetError, match="'wide' cannot run on ethos-u55-128"):
        inputs.check_device(broken, U55, Limits())
    assert "stride 4 x 4" in inputs.check_device(broken, m55, Limits())[0]
    with pytest.raises(LimitError, match=r"the CPU's share of it is not known\. 'wide' cannot run on"):
        inputs.check_device(broken, m55, Limits(latency_ms=1.0))
    assert inputs.check_device(GRAPH, m55, Limits(latency_ms=1.0)) == ()
    with pytest.raises(TargetError, match="takes weights of int4, not of int8"):
        inputs.check_device(GRAPH, replace(m55, weight_types=("int4",)), Limits())


def test_the_reports_sentences_are_the_tools(device: Device, tmp_path: Path) -> None:
    assert maker.notes(device, None) == maker.notes(load_device("nrf52840"), tmp_path) == ()
    (tmp_path / "model.tflite").write_bytes(b"x" * 2000)
    first, second = maker.notes(device, tmp_path)
    assert first.startswith("The chosen model by Vela 5.2.0: 2.00 ms, 5 KB of RAM, 1 KB of weights and commands")
    assert second.startswith("1 of 6 operators are left to the CPU")
    assert VELA.compiled(b"x" * 2000, device).estimate.latency_ms == pytest.approx(2.0)
    assert (tmp_path / "vendor.json").exists()
