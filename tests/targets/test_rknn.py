"""rknn-toolkit2 as a program: what its log means, what it is given, and what is said when it is missing or fails.

`rknn_2_5_0` holds the lines that matter of what version 2.5.0 printed for a convolution, an average over padded
windows, which it leaves to the CPU, and a classifier. The toolkit itself is asked where NAS_RKNN_PYTHON names its
Python.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from nas import maker
from nas.runtime import Session
from search_spaces.errors import TargetError
from search_spaces.graph import Graph, Weights
from targets import makers, npu_support, rknn
from targets.device import Device, load_device
from targets.lower import lower
from targets.vendor import VendorCall
from tests.targets.npu_networks import ROCKCHIP_NETWORKS
from tests.toys import concat, images, modern, random_weights

RECORDED = (Path(__file__).parent / "rknn_2_5_0" / "build.log").read_text()
RV1106 = load_device("rv1106")
INSTALLED = makers.installed(RV1106)
GRAPH, WEIGHTS = concat()


def test_the_recorded_log_by_hand() -> None:
    found = rknn.read(RECORDED, "2.5.0", "rv1106", 420_000_000, 9000)
    assert (found.tool, found.version, found.configuration) == ("rknn-toolkit2", "2.5.0", "rv1106")
    assert [call.operator for call in found.calls] == ["Conv", "AveragePool", "Conv", "Conv", "Conv", "Reshape"]
    assert found.calls[0] == VendorCall("Conv", True, None, 3600, 3600, 2286, 7 * 1024)
    assert found.on_cpu == ("AveragePool",)
    assert found.cycles == 3600 + 1158 + 144 + 64
    assert found.compute_cycles == 3600 + 784 + 144 + 64
    assert found.latency_ms == pytest.approx(1e3 * 4966 / 420e6)
    assert (found.sram_bytes, found.dram_bytes) == (0, 12_800 + 3_840)  # 12.5 and 3.75 KiB
    assert (found.flash_bytes, found.macs, found.uncounted) == (9000, None, ())


def test_layers_without_cycles_are_told_apart_from_layers_without_work() -> None:
    log = RECORDED.replace("2286/3600/3600", "0/0/0")
    found = rknn.read(log, "2.5.0", "rv1106", 420_000_000, 1)
    assert found.uncounted == ("Conv",), "a Reshape moves nothing, the AveragePool is the CPU's"
    assert found.cycles == 1158 + 144 + 64


@pytest.mark.parametrize(
    ("lost", "missing"),
    [("Total Weight Memory", "its sums of memory"), ("Total", "its sums of memory"), ("PU ", "its table of layers")],
)
def test_a_log_of_another_version_is_refused(lost: str, missing: str) -> None:
    with pytest.raises(TargetError, match=f"must be that of version 2, version 3.0 lacks {missing}"):
        rknn.read(RECORDED.replace(lost, "something else"), "3.0", "rv1106", 420_000_000, 1)


def pretend(folder: Path, then: str) -> Device:
    """A device whose toolkit is a script; its arguments are -I, the driver, and the driver's."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{then}\n")
    program.chmod(0o755)
    return replace(RV1106, rknn_python=str(program))


def qdq(graph: Graph, weights: Weights) -> bytes:
    return maker.int8_file(lower(graph), graph, weights, makers.ROCKCHIP)


def test_it_is_given_a_file_that_it_can_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(RECORDED)
    script = f'echo "$@" > {tmp_path}/seen; cp model.onnx {tmp_path}; pwd > {tmp_path}/where; '
    script += f'printf 2.5.0 > "$3"; printf built > "$6"; cat {log}'
    found = rknn.compiled(qdq(GRAPH, WEIGHTS), pretend(tmp_path, script))
    assert found.content == b"built"
    assert found.estimate == rknn.read(RECORDED, "2.5.0", "rv1106", 420_000_000, len(b"built"))
    assert (tmp_path / "seen").read_text().split() == [
        "-I", str(rknn.DRIVER), "version", "model.onnx", "rv1106", "model.rknn",
    ]  # fmt: skip
    assert not Path((tmp_path / "where").read_text().strip()).exists(), "the temporary folder is gone"
    given = onnx.load(tmp_path / "model.onnx")
    assert [side.dim_value for side in given.graph.input[0].type.tensor_type.shape.dim] == [1, *GRAPH.input_shape]
    assert all(len(node.input) == 3 for node in given.graph.node if node.op_type == "DequantizeLinear")


def test_what_it_is_given_answers_the_same() -> None:
    graph, weights = modern()
    content, x = qdq(graph, weights), images(graph, 1)
    np.testing.assert_array_equal(Session(rknn.readable(content)).logits(x), Session(content).logits(x))


def test_the_simulators_answers_are_read_back(tmp_path: Path) -> None:
    np.save(tmp_path / "answers.npy", np.array([[1, 2], [3, 4]], np.float32))
    script = f'printf 2.5.0 > "$3"; printf built > "$6"; cp {tmp_path}/answers.npy "$8"; cp "$7" {tmp_path}/given.npy; '
    (tmp_path / "log").write_text(RECORDED)
    device = pretend(tmp_path, f"{script} cat {tmp_path}/log")
    x = images(GRAPH, 2)
    assert rknn.answers(qdq(GRAPH, WEIGHTS), x, device).tolist() == [[1, 2], [3, 4]]
    np.testing.assert_array_equal(np.load(tmp_path / "given.npy"), x)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (r"printf '\033[31mE\033[0m build\nValueError: no Conv\n' >&2; exit 1", "failed: ValueError: no Conv$"),
        ("echo \"ModuleNotFoundError: No module named 'rknn'\" >&2; exit 1", "failed: ModuleNotFoundError: No module"),
        ("exit 4", "failed: exit code 4$"),
        ("true", "rknn-toolkit2 must write version, it did not$"),
        ('printf 2.5.0 > "$3"', r"must write model\.rknn, it did not$"),
        ('printf 2.5.0 > "$3"; printf built > "$6"', "must be that of version 2, version 2.5.0 lacks"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line(tmp_path: Path, script: str, told: str) -> None:
    with pytest.raises(TargetError, match=told):
        rknn.compiled(qdq(GRAPH, WEIGHTS), pretend(tmp_path, script))


def test_one_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"rknn-toolkit2 was stopped: it must answer within 0\.5 s"):
        rknn.compiled(qdq(GRAPH, WEIGHTS), pretend(tmp_path, "exec sleep 20"), timeout_seconds=0.5)


def test_a_missing_one_is_one_line_that_says_how_to_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAS_RKNN_PYTHON", raising=False)
    with pytest.raises(TargetError, match=r"rv1106 is compiled by Rockchip's rknn-toolkit2, .* set NAS_RKNN_PYTHON"):
        rknn.executable(RV1106)
    monkeypatch.setenv("NAS_RKNN_PYTHON", str(tmp_path / "python"))
    with pytest.raises(TargetError, match="NAS_RKNN_PYTHON must be the Python of rknn-toolkit2's environment, got"):
        rknn.executable(RV1106)
    assert rknn.executable(pretend(tmp_path, "exit")) == str(tmp_path / "python")
    with pytest.raises(TargetError, match="'nrf52840' has no NPU that rknn-toolkit2 compiles for"):
        rknn.compiled(b"", load_device("nrf52840"))


real = pytest.mark.skipif(not INSTALLED, reason="NAS_RKNN_PYTHON names no Python of rknn-toolkit2")


@real
def test_the_toolkit_itself_builds_and_answers() -> None:
    content, x = qdq(GRAPH, WEIGHTS), images(GRAPH, 4)
    found = rknn.compiled(content, RV1106)
    assert found.content.startswith(b"RKNN") or len(found.content) > 1000
    assert found.estimate.cycles > 0
    assert not found.estimate.on_cpu
    ours, theirs = Session(content).logits(x), rknn.answers(content, x, RV1106)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 0.1 * np.ptp(ours)


@real
@pytest.mark.parametrize("name", ROCKCHIP_NETWORKS)
def test_the_toolkit_refuses_or_leaves_to_the_cpu_what_the_rules_say(name: str) -> None:
    graph, broken = ROCKCHIP_NETWORKS[name]
    assert bool(list(npu_support.broken(lower(graph), "rv1106"))) is broken
    try:
        left: tuple[str, ...] = rknn.compiled(qdq(graph, random_weights(graph, 0)), RV1106).estimate.on_cpu
    except TargetError as error:
        assert "not supported 'float16'" in str(error)  # noqa: PT017
        left = ("all",)
    assert bool(left) is broken
