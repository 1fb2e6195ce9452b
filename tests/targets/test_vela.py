"""Vela as a program: what its files mean, and what is said when it is missing, fails or does not end.

`vela_5_2_0` holds what version 5.2.0 wrote for a network of five operators on an Ethos-U55, its names shortened: one of
them, a depthwise convolution of stride 4, is left to the CPU.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from search_spaces.errors import TargetError
from targets import vela
from targets.device import Device, load_device
from targets.vendor import VendorCall

RECORDED = Path(__file__).parent / "vela_5_2_0"
U55 = load_device("ethos_u55_128")


def test_the_recorded_files_by_hand() -> None:
    found = vela.read(RECORDED, "5.2.0")
    assert (found.tool, found.version) == ("Vela", "5.2.0")
    assert found.configuration == "Ethos_U55_128, Ethos_U55_High_End_Embedded, Shared_Sram"
    assert (found.cycles, found.compute_cycles, found.clock_hz) == (5633, 5233, 500_000_000)
    assert found.latency_ms == pytest.approx(1e3 * 5633 / 500e6)
    assert (found.sram_bytes, found.dram_bytes, found.flash_bytes) == (5 * 1024, 0, 1024 + 16)
    assert found.macs == sum(call.macs for call in found.calls) == 147_888
    assert sum(call.cycles or 0 for call in found.calls) == found.cycles
    assert found.calls[0] == VendorCall("Conv2D", True, 147_456, 3600)
    assert found.on_cpu == ("DepthwiseConv2D",)


@pytest.mark.parametrize("lost", ["Op Cycles", "cycles_total"])
def test_files_of_another_version_are_refused(tmp_path: Path, lost: str) -> None:
    for file in RECORDED.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace(lost, "something else"))
    with pytest.raises(TargetError, match=f"must be those of version 5, version 6.0 lacks '{lost}'"):
        vela.read(tmp_path, "6.0")
    with pytest.raises(TargetError, match="lacks '\\*_summary_"):
        vela.read(tmp_path / "empty", "6.0")


def pretend(folder: Path, then: str) -> Device:
    """A device whose Vela is a script that knows its version and otherwise does what `then` says."""
    program = folder / "vela"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 5.2.0 && exit\n{then}\n')
    program.chmod(0o755)
    return Device("own", "Own", "Ethos-U55", npu="ethos-u55-128", npu_system_config="S", npu_memory_mode="M",
                  vela=str(program))  # fmt: skip


def test_it_is_given_the_file_and_the_devices_configuration(tmp_path: Path) -> None:
    seen, out = tmp_path / "seen", "out"
    script = f'echo "$@" > {seen}; cat model.tflite >> {seen}; pwd > {tmp_path}/where; cp -r {RECORDED} {out}'
    script += f"; echo made > {out}/model_vela.tflite"
    found = vela.compiled(b"content", pretend(tmp_path, script))
    assert found.estimate == vela.read(RECORDED, "5.2.0")
    assert found.content == b"made\n"
    arguments, content = seen.read_text().splitlines()
    assert content == "content"
    for given in (
        "model.tflite --",
        "--accelerator-config ethos-u55-128",
        "--system-config S",
        "--memory-mode M",
        "--output-dir out",
    ):
        assert given in arguments
    assert not Path((tmp_path / "where").read_text().strip()).exists(), "the temporary folder is gone"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'Traceback:\n  File x\nRuntimeError: no NPU\nmore' >&2; exit 1", "vela failed: RuntimeError: no NPU$"),
        ("echo 'usage: vela\nvela: error: bad choice' >&2; exit 2", "vela failed: vela: error: bad choice$"),
        ("echo 'killed by night' >&2; exit 3", "vela failed: killed by night$"),
        ("exit 4", "vela failed: exit code 4$"),
        ("true", "version 5.2.0 lacks '\\*_summary_"),
    ],
)
def test_a_failure_is_its_first_error_line(tmp_path: Path, script: str, told: str) -> None:
    with pytest.raises(TargetError, match=told):
        vela.compiled(b"", pretend(tmp_path, script))


def test_one_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TargetError, match=r"must answer within 0\.5 s"):
        vela.compiled(b"", pretend(tmp_path, "exec sleep 20"), timeout_seconds=0.5)
    assert time.monotonic() - started < 10


def test_a_missing_one_is_one_line_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(vela.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(TargetError, match=r"ethos-u55-128 is estimated by .* not installed: pip install ethos-u-vela"):
        vela.compiled(b"", U55)
    pretend(tmp_path, "exit 1")
    assert vela.executable(U55) == str(tmp_path / "vela")
    (tmp_path / "vela").unlink()
    with pytest.raises(TargetError, match=r"vela must be a program, got '.*/vela' in device 'own'"):
        vela.executable(Device("own", "Own", "Ethos-U55", vela=str(tmp_path / "vela")))
    with pytest.raises(TargetError, match="'nrf52840' has no NPU"):
        vela.compiled(b"", load_device("nrf52840"))
