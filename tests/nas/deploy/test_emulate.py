"""Firmware on emulated cores: the host's bytes, the bill's RAM, and refusals with numbers."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nas.deploy import firmware, qemu
from nas.deploy.elf import Firmware
from nas.deploy.emulate import check_fit, emulate
from nas.deploy.emulated import EmulationError, check_guard
from nas.deploy.export_c import export_c
from nas.deploy.model import core_of, prove, tflite_of
from search_spaces.errors import InputError, TargetError
from targets.device import load_device
from tests.nas.deploy.exports import SMALL, int8_images, tflite
from tests.targets.networks import ROUND


def there(*modules: str) -> bool:
    return all(importlib.util.find_spec(name) for name in ("bakenn", "elftools", *modules))


with_zig = pytest.mark.skipif(not there("ziglang", "unicorn") or not shutil.which("cc"), reason="no Zig or Unicorn")
with_qemu = pytest.mark.skipif(
    not there() or not shutil.which(firmware.GCC) or not qemu.is_there(), reason="no arm-none-eabi-gcc or QEMU"
)


@with_zig
def test_wheels_alone_link_and_run_a_cortex_m4(tmp_path: Path) -> None:
    export_c(tflite(SMALL), tmp_path / "c")
    found = emulate(tmp_path / "c", "m4", int8_images(SMALL, 3), emulator="unicorn", compiler="zig")
    assert (found.images, found.same) == (3, 3)
    assert found.cycles is not None
    assert found.instructions == sum(found.by_class.values())
    assert 0 < found.stack_bytes < 2048


@with_qemu
@pytest.mark.parametrize("core", ["m4", "m55"])
def test_a_board_answers_as_the_host_does_and_costs_what_was_billed(core: str, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(tflite("residual"))
    found = prove(tmp_path, core=core, count=4)
    assert found.same == 4
    assert found.bill is not None
    assert found.ram_bytes <= found.bill.ram_bytes
    if core == "m4":
        assert found.ram_bytes == found.bill.ram_bytes
        assert found.cycles == pytest.approx(found.bill.cycles, rel=0.03)
    assert found.record()["bill"]["ram_bytes"] == found.bill.ram_bytes
    assert "byte for byte" in found.text()


def test_words_written_beside_the_arena_are_an_error_of_one_line() -> None:
    check_guard(0)
    with pytest.raises(EmulationError, match="wrote 3 words beside it"):
        check_guard(3)


@with_zig
def test_a_kernel_that_writes_behind_the_arena_is_caught(tmp_path: Path) -> None:
    export_c(tflite(SMALL), tmp_path / "c")
    source = tmp_path / "c" / "model.c"
    run = "void model_run(void) {\n"
    source.write_text(source.read_text().replace(run, f"{run}    *(volatile int8_t *)(arena + sizeof arena) = 1;\n"))
    with pytest.raises(EmulationError, match="wrote 1 words beside it"):
        emulate(tmp_path / "c", "m4", int8_images(SMALL, 1), emulator="unicorn", compiler="zig")


def test_firmware_that_does_not_fit_is_refused_with_its_numbers() -> None:
    sections = {".text": 90_000, ".data": 1_000, ".bss": 8_000, ".harness": 5_000, ".stack": 16_384}
    linked = Firmware(Path(), "gcc", sections, {}, ())
    check_fit(linked, ROUND)  # 91,000 of 100,000 and 9,000 of 10,000
    with pytest.raises(TargetError, match=r"needs 91,000 bytes of flash, round has 5,000"):
        check_fit(linked, replace(ROUND, flash_bytes=5000))
    with pytest.raises(TargetError, match=r"needs 9,000 bytes of RAM, round has 1,000"):
        check_fit(linked, replace(ROUND, ram_bytes=1000))


def test_missing_tools_are_named_with_the_line_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware, "compilers", list)
    with pytest.raises(TargetError, match=r"apt-get install gcc-arm-none-eabi .*fitfront\[emulate\]"):
        firmware._command(firmware.BOARDS["m4"], None, tmp_path)


def test_what_to_run_is_a_file_or_a_folder_and_a_core_that_has_c(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.tflite"):
        tflite_of(tmp_path)
    assert core_of(ROUND) == core_of(None) == "m4"
    with pytest.raises(TargetError, match="--core"):
        core_of(load_device("esp32s3"))
