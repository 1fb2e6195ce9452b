"""Devices as data: what is refused, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.errors import TargetError
from targets.core import load_core
from targets.device import DEFAULT_DEVICE, DEVICES, devices, load_device

ROUND = """
title = "Round"
core = "Cortex-M4F"
kernels = "cortex_m4"
clock_hz = 1_000_000
flash_bytes = 1000
ram_bytes = 100
cycles_scale = 1.0
cycles_per_weight_load = 0.0
latency_band_percent = 30
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "round.toml"
    file.write_text(text)
    return file


def test_all_devices_load_and_have_a_core() -> None:
    assert DEFAULT_DEVICE in devices()
    for name in devices():
        device = load_device(name)
        assert device.name == name
        assert device.kernel_core.code_bytes["conv"] > 0


@pytest.mark.parametrize("name", devices())
def test_every_number_of_a_device_has_a_comment_beside_or_above_it(name: str) -> None:
    sourced = False
    for line in (DEVICES / f"{name}.toml").read_text().splitlines():
        sourced = "#" in line or (sourced and bool(line.strip()))
        if "=" in line and not line.startswith("#") and '"' not in line:
            assert sourced, line


def test_the_default_is_the_nrf52840() -> None:
    device = load_device("nRF52840")
    assert (device.clock_hz, device.flash_bytes, device.ram_bytes) == (64_000_000, 1 << 20, 256 << 10)
    assert device.active_power_mw is None


def test_a_device_of_ones_own(tmp_path: Path) -> None:
    device = load_device(written(tmp_path, ROUND))
    assert (device.name, device.title, device.clock_hz) == ("round", "Round", 1_000_000)


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (("clock_hz = 1_000_000", "clock_hz = 0"), "clock_hz must be > 0, got 0 in device 'round'"),
        (("clock_hz = 1_000_000", "clock_mhz = 1"), "has no use for 'clock_mhz', did you mean 'clock_hz'"),
        (("ram_bytes = 100", ""), "round.toml lacks ram_bytes"),
        (("ram_bytes = 100", "ram_bytes = '100'"), "ram_bytes must be int, got '100'"),
        (("ram_bytes = 100", "ram_bytes = 100.5"), "ram_bytes must be int, got 100.5"),
        (("ram_bytes = 100", "ram_bytes = -1"), "ram_bytes must be > 0, got -1"),
        (("ram_bytes = 100", "ram_bytes = "), "is not TOML"),
        (("ram_bytes = 100", "ram_bytes = 100\nactive_power_mw = 5"), "come together"),
        (('"cortex_m4"', '"cortex_m99"'), "kernels must be one of cortex_m4, got 'cortex_m99'"),
    ],
)
def test_wrong_files_say_what_is_wrong(tmp_path: Path, change: tuple[str, str], law: str) -> None:
    with pytest.raises(TargetError, match=law):
        load_device(written(tmp_path, ROUND.replace(*change)))


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(TargetError, match="no device 'nrf52804'; nearest: nrf52840"):
        load_device("nrf52804")
    with pytest.raises(TargetError, match="kernels must be one of cortex_m4"):
        load_core("cortex_m99")
