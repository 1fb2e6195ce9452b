"""What `nas cost` adds where a chip's maker has an estimator; by Vela itself where it is installed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nas import cli, inputs, maker, wording
from nas.config import RunConfig
from nas.listing import vendor
from search_spaces.errors import TargetError
from search_spaces.to_onnx import to_onnx
from targets import npu_support, vela
from targets.device import load_device
from targets.lower import lower
from targets.makers import VELA
from targets.tflite_file import file_size
from tests.targets.npu_networks import NETWORKS
from tests.toys import chain, random_weights, toys

RECORDED = Path(__file__).parents[2] / "targets" / "vela_5_2_0"
INSTALLED = bool(shutil.which("vela") or shutil.which("vela", path=str(Path(sys.executable).parent)))
U55, U85, M55 = map(load_device, ("ethos_u55_128", "ethos_u85_256", "corstone300"))
GRAPH, WEIGHTS = chain()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "chain.onnx"
    path.write_bytes(to_onnx(GRAPH, WEIGHTS).SerializeToString())
    return path


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Vela on PATH that answers everything with the recorded files, and keeps what it was given."""
    home = tmp_path / "bin"
    home.mkdir()
    script = f'[ "$1" = --version ] && echo 5.2.0 && exit\ncp model.tflite {home}/seen; cp -r {RECORDED} out'
    script += "; cp model.tflite out/model_vela.tflite"
    (home / "vela").write_text(f"#!/bin/sh\n{script}\n")
    (home / "vela").chmod(0o755)
    monkeypatch.setenv("PATH", str(home), prepend=":")
    return home / "seen"


def cost(*arguments: object) -> Result:
    return CliRunner().invoke(cli.nas_app(), ["cost", *map(str, arguments)])


def test_the_tools_figures_stand_beside_ours(model: Path, fake: Path) -> None:
    out = cost(model, "--target", "corstone300").stdout
    assert "Vela 5.2.0, the maker's own tool, on the same .tflite: Ethos_U55_128, Ethos_U55_High_End_Embedded" in out
    assert "quantized with random inputs" in out
    assert "1 of 6 operators are left to the CPU, and the figures leave their time out: DepthwiseConv2D." in out
    lines = {line.split()[0]: line for line in out.splitlines()[-10:] if line}
    assert lines["RAM"].split()[1:3] == ["5", "KB"]
    assert lines["latency"].split()[1:4] == ["0.01", "ms", wording.UNKNOWN]
    assert out.index("RAM peaks in call") < out.index("Vela 5.2.0"), "our bill comes first"
    assert fake.stat().st_size == file_size(lower(GRAPH))


def test_the_record_holds_them_too(model: Path, fake: Path) -> None:
    record = json.loads(cost(model, "--target", "ethos_u55_128", "--json").stdout)["vendor"]
    assert (record["cycles"], record["version"], record["broken"]) == (5633, "5.2.0", [])
    assert "vendor" not in json.loads(cost(model, "--target", "nrf52840", "--json").stdout)


def test_an_exported_file_is_passed_on_as_it_is(model: Path, fake: Path, tmp_path: Path) -> None:
    exported = tmp_path / "model.tflite"
    exported.write_bytes(bytes(range(256)) * 100)
    result = cost(model, "--target", "ethos_u55_128", "--exported", exported)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"of {file_size(lower(GRAPH)):,} bytes; {exported} has 25,600" in result.stderr
    exported.write_bytes(exported.read_bytes()[: file_size(lower(GRAPH))])
    assert (
        f"The weights are those of {exported}." in cost(model, "--target", "corstone300", "--exported", exported).stdout
    )
    assert fake.read_bytes() == exported.read_bytes()
    result = cost(model, "--exported", exported)
    assert (result.exit_code, result.stderr.startswith("error: --exported is for a target with an NPU")) == (2, True)


def test_a_missing_tool_is_one_line_after_our_bill(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(vela.sys, "executable", str(tmp_path / "python"))
    result = cost(model, "--target", "corstone300")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ethos-u55-128 is estimated by Arm's ethos-u-vela, which is not installed: ")
    assert result.stderr.count("\n") == 1
    assert "RAM peaks in call" in result.stdout
    assert cost(model, "--all-targets").exit_code == 0
    assert "leave --exported out" in cost(model, "--all-targets", "--exported", model).stderr


def test_rockchips_figures_stand_there_too(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RECORDED.parent / "rknn_2_5_0" / "build.log"
    (tmp_path / "python").write_text(f'#!/bin/sh\nprintf 2.5.0 > "$3"; printf built > "$6"; cat {log}\n')
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("NAS_RKNN_PYTHON", str(tmp_path / "python"))
    out = cost(model, "--target", "rv1106").stdout
    assert "rknn-toolkit2 2.5.0, the maker's own tool, on the ONNX file of the same integers: rv1106, 420 MHz." in out
    assert "1 of 6 operators are left to the CPU, and the figures leave their time out: AveragePool." in out
    lines = {line.split()[0]: line for line in out.splitlines()[-12:] if line}
    assert lines["latency"].split()[1:3] == ["0.01", "ms"]  # 4,966 cycles
    assert lines["RAM"].split()[1:3] == ["16.2", "KB"]
    assert "16.2 KB DRAM, weights included" in lines["RAM"]
    exported = tmp_path / "other.onnx"
    other = toys()["residual"]
    exported.write_bytes(to_onnx(*other).SerializeToString())
    result = cost(model, "--target", "rv1106", "--exported", exported)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"of {GRAPH.params:,} parameters; {exported} has {other[0].params:,}" in result.stderr


def test_a_failing_tool_is_one_line_with_the_rule_that_may_be_why(fake: Path, tmp_path: Path) -> None:
    (fake.parent / "vela").write_text('#!/bin/sh\n[ "$1" = --version ] || ! echo "RuntimeError: no way" >&2\n')
    graph = NETWORKS["stride 4, padded apart"][0]
    path = tmp_path / "wide.onnx"
    path.write_bytes(to_onnx(graph, random_weights(graph, 0)).SerializeToString())
    result = cost(path, "--target", "ethos_u55_128", "--json")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert (
        "vela failed: RuntimeError: no way. 'wide' cannot run on ethos-u55-128: conv has stride 4 x 4" in result.stderr
    )


def test_what_an_npu_does_not_run_is_refused_before_training(tmp_path: Path) -> None:
    graph = NETWORKS["depthwise of stride 4"][0]
    path = tmp_path / "wide.onnx"
    path.write_bytes(to_onnx(graph, random_weights(graph, 0)).SerializeToString())
    with pytest.raises(TargetError, match="'wide' cannot run on ethos-u55-128: stride 4 x 4"):
        inputs.read(RunConfig(model=str(path), data="nowhere.npz", target="ethos_u55_128"))


@pytest.mark.skipif(not INSTALLED, reason="ethos-u-vela is not installed")
@pytest.mark.parametrize("device", [U55, U85], ids=lambda device: device.name)
@pytest.mark.parametrize("name", NETWORKS)
def test_vela_leaves_to_the_cpu_what_the_rules_say(name: str, device) -> None:
    graph = NETWORKS[name][0]
    program = lower(graph)
    content = maker.int8_file(program, graph, random_weights(graph, 0), VELA)
    try:
        left = vela.compiled(content, device).estimate.on_cpu
    except TargetError as error:  # what version 5.2 says of a padded convolution of stride 4
        assert "could not run on NPU" in str(error)  # noqa: PT017
        left = ("all",)
    assert bool(left) == bool(list(npu_support.broken(program, device.npu)))


@pytest.mark.skipif(not INSTALLED, reason="ethos-u-vela is not installed")
def test_vela_itself_counts_the_same_work() -> None:
    text = vendor.vendor_text(GRAPH, WEIGHTS, M55, "tflm")
    found = vela.compiled(maker.int8_file(lower(GRAPH), GRAPH, WEIGHTS, VELA), M55).estimate
    assert sum(call.macs for call in found.calls if call.operator in ("Conv2D", "FullyConnected")) == GRAPH.macs
    assert found.latency_ms == pytest.approx(1e3 * found.cycles / found.clock_hz)
    assert f"Vela {found.version}" in text
    assert "operators run on the NPU." in text
