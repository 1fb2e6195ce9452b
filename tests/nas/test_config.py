"""Flags, the config file and the defaults meet in one record, and only a valid one exists."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from nas.config import RunConfig, available_cores, resolve
from nas.objectives import Budget, Limits
from search_spaces.errors import EngineError, InputError, LimitError, TargetError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_the_defaults_are_the_headline_run() -> None:
    config = resolve({}, cores=2)
    assert config == RunConfig(workers=2)
    assert config.limits == Limits(size_bytes=262_144, drop=2.0)
    assert config.parsed_budget == Budget(seconds=600)
    assert config.folder == Path("results/quickstart")


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, 'max-size = "144KB"\nmax_drop = "1%"\nseed = 3\n')
    config = resolve({"max_drop": "1.5%", "seed": None}, file, cores=1)
    assert (config.max_size, config.max_drop, config.seed, config.target) == ("144KB", "1.5%", 3, "nrf52840")


def test_every_limit_is_parsed_in_its_unit() -> None:
    config = RunConfig(
        max_size="none", max_drop="", max_ram="64KB", max_flash="1MB", max_latency="50ms", max_energy="5mJ"
    )
    assert config.limits == Limits(ram_bytes=65_536, flash_bytes=1_048_576, latency_ms=50.0, energy_uj=5000.0)


@pytest.mark.parametrize(
    ("model", "out"),
    [
        ("nets/mobile.onnx", "results/mobile"),
        ("zoo.nets:small", "results/small"),
        ("a.b.onnx", "results/a.b"),
        (None, "results/quickstart"),
    ],
)
def test_the_run_folder_is_named_after_the_model(model: str | None, out: str) -> None:
    assert resolve({"model": model, "data": model and "d.npz"}).out == out


def test_workers_default_to_the_cores_this_process_may_use() -> None:
    assert resolve({}).workers == available_cores() >= 1


def test_config_toml_reads_back_as_the_same_config(tmp_path: Path) -> None:
    config = RunConfig(model='odd "name"\\x.onnx', data="ü/d.npz", max_ram="64KB", seed=7, workers=3)
    assert resolve({}, write(tmp_path, config.to_toml())) == config
    resumed = dataclasses.replace(config, resume=True)
    assert resolve({}, write(tmp_path, resumed.to_toml())) == config


def test_the_fingerprint_names_the_search_and_not_its_circumstances() -> None:
    config = RunConfig()
    for change in ({"workers": 8}, {"address": "auto"}, {"device": "cuda"}, {"out": "elsewhere"}, {"resume": True}):
        assert dataclasses.replace(config, **change).fingerprint() == config.fingerprint()
    for change in (
        {"seed": 1},
        {"max_size": "128KB"},
        {"budget": "20m"},
        {"target": "stm32l4r5"},
        {"compiler_level": "Os"},
    ):
        assert dataclasses.replace(config, **change).fingerprint() != config.fingerprint()
    assert config.fingerprint(model="aa") != config.fingerprint(model="bb")


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"max_size": "256XB"}, LimitError, "256XB"),
        ({"max_drop": "many"}, LimitError, "many"),
        ({"budget": "-5m"}, LimitError, "-5m"),
        ({"budget": "0s"}, LimitError, "0s"),
        ({"runtime": "tensorrt"}, TargetError, "runtime must be one of tflm, c, x-cube-ai, got 'tensorrt'"),
        ({"strategy": "luck"}, InputError, "tpe, ladder or a .toml file, got 'luck'"),
        ({"compiler_level": "O9"}, TargetError, "compiler_level must be one of O3, O2, Os, got 'O9'"),
        ({"objectives": "size"}, LimitError, "objectives are two to four different ones"),
        ({"objectives": "size,speed"}, LimitError, "got 'speed'"),
        ({"objectives": "size,ram", "max_drop": "none"}, LimitError, "objectives without the drop need a limit on it"),
        ({"workers": 0}, InputError, "workers must be at least 1, got 0"),
        ({"seed": -1}, InputError, "seed must not be negative, got -1"),
        ({"out": ""}, InputError, "out must name a folder"),
        ({"data": "d.npz"}, InputError, "data needs a model"),
        ({"model": "m.onnx"}, InputError, "a model needs data"),
    ],
)
def test_a_config_out_of_range_does_not_exist(changes: dict, kind: type[EngineError], text: str) -> None:
    with pytest.raises(kind) as caught:
        resolve(changes)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('max_sise = "1KB"', "unknown key 'max_sise'; did you mean 'max_size'?"),
        ("xyzzy = 1", "unknown key 'xyzzy'; known are model, weights, data"),
        ("max_size = 256", "max_size must be text in quotes"),
        ('workers = "two"', "workers must be a whole number, got 'two'"),
        ("workers = true", "workers must be a whole number, got True"),
        ("resume = 1", "resume must be true or false, got 1"),
        ("max_size =", "is not valid TOML"),
    ],
)
def test_a_config_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve({}, write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_config_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml cannot be read: No such file"):
        resolve({}, tmp_path / "none.toml")


def test_a_name_that_no_file_of_the_run_could_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"data must be valid UTF-8, got 'd\\udcff.npz'; rename"):
        RunConfig(model="net.onnx", data="d\udcff.npz")


def test_augment_is_one_of_the_presets_and_part_of_what_is_searched_for(tmp_path: Path) -> None:
    config = RunConfig(augment="series")
    assert resolve({}, write(tmp_path, config.to_toml())) == config
    assert config.fingerprint() != RunConfig().fingerprint()
    with pytest.raises(InputError, match=r"augment must be one of none, image-small, .*, got 'mixup'"):
        RunConfig(augment="mixup")
