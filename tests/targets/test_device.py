"""Devices as data: what is refused, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.errors import TargetError
from targets.core import load_core
from targets.cost import bill, estimate
from targets.device import DEFAULT_DEVICE, DEVICES, devices, load_device
from tests.toys import chain

NRF = estimate(chain()[0], load_device(DEFAULT_DEVICE))

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


RANGES = {
    "clock_hz": (16e6, 2e9),
    "flash_bytes": (64 << 10, 16 << 20),
    "ram_bytes": (16 << 10, 1 << 30),
    "cycles_scale": (0.5, 3.0),
    "cycles_per_weight_load": (0.0, 10.0),
    "cycles_per_call": (0.0, 50_000.0),
    "latency_band_percent": (5, 60),
    "active_power_mw": (0.3, 500.0),
    "energy_band_percent": (5, 60),
    "energy_band_factor": (2, 3),
}
"""What a microcontroller, or the one Linux module among them, can have."""


def own_numbers(path: str, numbers: str) -> tuple[str, str]:
    """The change of `ROUND` that gives a path numbers of its own."""
    return "latency_band_percent = 30", f"latency_band_percent = 30\n[paths.{path}]\n{numbers}"


FAMILIES = (
    "stm32l4r5 stm32f446 stm32f469 stm32f746 stm32h743 stm32h747 stm32u575 stm32l552 stm32u385 stm32n6 nrf52832 "
    "nrf52840 nrf5340 nrf54l15 rp2040 rp2350 esp32s3 apollo3 apollo4 apollo510 ra6m4 ra8d1 max78000 alif_e3 "
    "corstone300 rv1106"
)


def test_the_devices_that_must_be_there() -> None:
    assert set(FAMILIES.split()) <= set(devices())
    assert DEFAULT_DEVICE in devices()


@pytest.mark.parametrize("name", devices())
def test_a_device_is_plausible(name: str) -> None:
    device = load_device(name)
    assert device.name == name
    for key, (least, most) in RANGES.items():
        value = getattr(device, key)
        assert value is None or least <= value <= most, key
    assert device.kernels is None or device.kernel_core.loops


@pytest.mark.parametrize("name", devices())
def test_what_can_be_priced_is_and_nothing_else(name: str) -> None:
    device = load_device(name)
    cost = estimate(chain()[0], device)
    known = {field for field in ("flash_bytes", "ram_bytes", "latency_ms", "energy_uj") if getattr(cost, field)}
    assert known == device.priced
    assert (cost.size_bytes, cost.macs, cost.params) == (NRF.size_bytes, NRF.macs, NRF.params)
    assert cost.weights_bytes == NRF.weights_bytes
    lines = bill(chain()[0], device)
    assert sum(line.macs for line in lines) == cost.macs
    assert all((line.ms is None) == (cost.latency_ms is None) for line in lines)
    assert all((line.live_bytes is None) == (cost.ram_bytes is None) for line in lines)


@pytest.mark.parametrize("name", devices())
def test_numbers_that_were_not_checked_are_marked(name: str) -> None:
    device = load_device(name)
    text = (DEVICES / f"{name}.toml").read_text()
    for line in text.splitlines():
        if "not checked" in line and not line.startswith("#"):
            assert line.split(" = ")[0] in device.unverified, line
    if device.unverified:
        assert "]  # " in text, "the list says why"


def test_a_factor_band_comes_with_a_data_sheets_power() -> None:
    for name in devices():
        device = load_device(name)
        if device.energy_band_factor is not None:
            assert "uA/MHz" in (text := (DEVICES / f"{name}.toml").read_text()) or " mA for " in text


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
    assert (device.active_power_mw, device.energy_band_factor) == (10.0, 2.5)  # of its data sheet


def test_a_device_of_ones_own(tmp_path: Path) -> None:
    device = load_device(written(tmp_path, ROUND))
    assert (device.name, device.title, device.clock_hz) == ("round", "Round", 1_000_000)


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (("clock_hz = 1_000_000", "clock_hz = 0"), "clock_hz must be > 0, got 0 in device 'round'"),
        (("cycles_scale = 1.0", "cycles_scale = nan"), "cycles_scale must be a finite number, got nan in device"),
        (("cycles_scale = 1.0", "cycles_scale = inf"), "cycles_scale must be a finite number, got inf in device"),
        (("clock_hz = 1_000_000", "clock_mhz = 1"), "has no use for 'clock_mhz', did you mean 'clock_hz'"),
        (('core = "Cortex-M4F"', ""), "round.toml lacks core"),
        (("ram_bytes = 100", "ram_bytes = '100'"), "ram_bytes must be int, got '100'"),
        (("ram_bytes = 100", "ram_bytes = 100.5"), "ram_bytes must be int, got 100.5"),
        (("ram_bytes = 100", "ram_bytes = -1"), "ram_bytes must be > 0, got -1"),
        (("ram_bytes = 100", "ram_bytes = "), "is not TOML"),
        (("ram_bytes = 100", "ram_bytes = 100\nactive_power_mw = 5"), "active_power_mw comes together with one of"),
        (
            ("ram_bytes = 100", "ram_bytes = 100\nactive_power_mw = 5\nenergy_band_factor = 0.4"),
            "energy_band_factor must be > 1, got 0.4",
        ),
        (("cycles_scale = 1.0", ""), "cycles_scale and latency_band_percent come together in device 'round'"),
        (
            ("ram_bytes = 100", "unverified = ['ram_bytes']"),
            "unverified must name numbers of the file, got 'ram_bytes'",
        ),
        (("ram_bytes = 100", "unverified = ['ram']"), "unverified must name numbers of the file, got 'ram'"),
        (("ram_bytes = 100", "unverified = 1"), "unverified must be a list of texts, got 1"),
        (('"cortex_m4"', '"cortex_m99"'), "cortex_m7, got 'cortex_m99'"),
        (
            ("ram_bytes = 100", 'npu = "ethos-u55-128"'),
            "npu_clock_hz with an rv1106, got none of them in device",
        ),
        (
            ("ram_bytes = 100", 'npu = "u55"\nnpu_system_config = "a"\nnpu_memory_mode = "b"'),
            "npu must be like ethos-u55-128 or rv1106, got 'u55' in device 'round'",
        ),
        (
            own_numbers("lstm", "cycles_scale = 1.0"),
            "paths must be code paths of its kernels, .* got lstm in device 'round'",
        ),
        (own_numbers("conv", "cycles_scale = 0"), "cycles_scale must be > 0, got 0 in one of its prices"),
        (own_numbers("conv", "cycles_per_call = 3"), r"\[paths.conv\] must have the number cycles_scale and may have"),
        (own_numbers("conv", "cycles_scale = 1\nscale = 1"), r"\[paths.conv\] must have the number cycles_scale"),
        (("ram_bytes = 100", "ram_bytes = 100\npaths = 1"), r"\[paths.conv\] must have the number cycles_scale"),
        (("ram_bytes = 100", "ram_bytes = 100\npaths.conv = '1'"), r"\[paths.conv\] must have the number cycles_scale"),
    ],
)
def test_wrong_files_say_what_is_wrong(tmp_path: Path, change: tuple[str, str], law: str) -> None:
    with pytest.raises(TargetError, match=law):
        load_device(written(tmp_path, ROUND.replace(*change)))


def test_a_code_path_may_have_its_own_numbers(tmp_path: Path) -> None:
    """1,000 cycles, 10 loads and a call: 3 x 1000 + 2 x 10 + 5 on that path, 1 x 1000 on all others."""
    numbers = "cycles_scale = 3\ncycles_per_weight_load = 2\ncycles_per_call = 5"
    device = load_device(written(tmp_path, ROUND.replace(*own_numbers("conv_1x1", numbers))))
    assert device.prices("conv_1x1").cycles(1000, 10) == 3025
    assert device.prices("conv").cycles(1000, 10) == device.prices().cycles(1000, 10) == 1000
    with pytest.raises(TargetError, match="has no cycles_scale, so it has no latency"):
        load_device("esp32s3").prices()


def test_a_device_may_lack_what_nobody_knows(tmp_path: Path) -> None:
    known = ("flash_bytes", "ram_bytes", "latency_ms")
    assert load_device(written(tmp_path, ROUND)).priced == set(known)
    without = [
        ("clock_hz = 1_000_000", set(known[:2])),
        ("cycles_scale = 1.0\ncycles_per_weight_load = 0.0\nlatency_band_percent = 30", set(known[:2])),
        ('kernels = "cortex_m4"', set()),
        ("flash_bytes = 1000", set(known)),  # no limit, but a price
    ]
    for line, left in without:
        assert load_device(written(tmp_path, ROUND.replace(line, ""))).priced == left
    bare = load_device(written(tmp_path, ROUND.replace('kernels = "cortex_m4"', "")))
    with pytest.raises(TargetError, match="device 'round' has no kernel prices"):
        _ = bare.kernel_core


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(TargetError, match="no device 'nrf52804'; nearest: nrf52840"):
        load_device("nrf52804")
    with pytest.raises(TargetError, match="no device 'toaster'; `nas targets` lists them"):
        load_device("toaster")
    with pytest.raises(TargetError, match="kernels must be one of cortex_m0, cortex_m3"):
        load_core("cortex_m99")
