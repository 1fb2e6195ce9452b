"""Models compiled for NPUs: which file goes in, which comes out, and that nothing is left where the tool fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nas import cli, maker
from nas.deploy import npu
from nas.runtime import Session
from search_spaces.errors import ModelError, TargetError
from targets.device import Device, load_device
from targets.lower import lower
from targets.makers import ROCKCHIP, installed
from tests.toys import concat, images

GRAPH, WEIGHTS = concat()
RV1106 = load_device("rv1106")
LOG = Path(__file__).parents[2] / "targets" / "rknn_2_5_0" / "build.log"
QDQ = maker.int8_file(lower(GRAPH), GRAPH, WEIGHTS, ROCKCHIP)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "0123456789"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(QDQ)
    return folder


def pretend(folder: Path, then: str) -> Device:
    program = folder / "python"
    program.write_text(f'#!/bin/sh\n{then}\nprintf 2.5.0 > "$3"; printf built > "$6"; cat {LOG}\n')
    program.chmod(0o755)
    return replace(RV1106, rknn_python=str(program))


def test_the_file_and_the_makers_figures_lie_beside_the_model(model: Path, tmp_path: Path) -> None:
    file, found = npu.export_npu(model, pretend(tmp_path, ""))
    assert (file, file.read_bytes()) == (model / "model.rknn", b"built")
    assert json.loads((model / "vendor.json").read_text())["cycles"] == found.cycles == 4966


def test_the_command_says_what_it_wrote(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_RKNN_PYTHON", str(pretend(tmp_path, "").rknn_python))
    result = CliRunner().invoke(cli.nas_app(), ["export", str(model), "--npu", "rv1106"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{model / 'model.rknn'}\n0.01 ms, 16.2 KB of RAM, ")
    result = CliRunner().invoke(cli.nas_app(), ["export", str(model), "--npu", "rv1106", "--c"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_a_failing_tool_leaves_nothing_behind(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="rknn-toolkit2 failed: ValueError: no"):
        npu.export_npu(model, pretend(tmp_path, "echo 'ValueError: no' >&2; exit 1"))
    assert [file.name for file in model.iterdir()] == ["model.onnx"]


def test_what_cannot_be_compiled_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="'nrf52840' has no NPU to compile for"):
        npu.export_npu(model, load_device("nrf52840"))
    with pytest.raises(ModelError, match=r"must hold model\.onnx"):
        npu.export_npu(tmp_path, pretend(tmp_path, ""))


def test_agreement_counts_steps_of_the_outputs_scale(tmp_path: Path) -> None:
    x = images(GRAPH, 3)
    ours = Session(QDQ).logits(x)
    theirs = ours.copy()
    theirs[0, 1] += 2 * npu._output_scale(QDQ)
    theirs[2] = -theirs[2]
    np.save(tmp_path / "theirs.npy", theirs)
    found = npu.agreement(QDQ, x, pretend(tmp_path, f'cp {tmp_path}/theirs.npy "$8"'))
    assert found.images == 3
    assert found.same_argmax == int(theirs[0].argmax() == ours[0].argmax()) + 1
    assert found.different == np.mean(theirs != ours)
    assert found.worst_lsb == round(float(2 * np.abs(ours[2]).max() / npu._output_scale(QDQ)))


@pytest.mark.skipif(not installed(RV1106), reason="NAS_RKNN_PYTHON names no Python of rknn-toolkit2")
def test_the_simulator_agrees_on_what_it_sees() -> None:
    found = npu.agreement(QDQ, images(GRAPH, 8), RV1106)
    assert found.same_argmax == 8
    assert found.worst_lsb <= 4
