"""The commands: exit codes, one line an error, results on standard output and nothing else there."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner, Result

import nas
from nas import cli
from nas.config import RunConfig
from nas.report import page
from nas.result import Front, RunResult
from nas.version import VERSION
from search_spaces.errors import DataError, Interrupted, NothingFits
from search_spaces.to_onnx import to_onnx
from tests.nas.synthetic_run import point, synthetic_result
from tests.toys import chain


def optimize(*arguments: str) -> Result:
    return CliRunner().invoke(cli.optimize_app(), list(arguments))


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli.nas_app(), list(arguments))


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[RunConfig], RunResult]], list[RunConfig]]:
    """Replaces the run by a function from config to result; returns the list of configs it was called with."""

    def install(run: Callable[[RunConfig], RunResult]) -> list[RunConfig]:
        seen: list[RunConfig] = []

        def fake(config: RunConfig, *, quiet: bool = False) -> Front:
            seen.append(config)
            return Front(config.folder, run(config))

        module = types.ModuleType("nas.run")
        module.optimize = fake  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "nas.run", module)
        monkeypatch.setattr(nas, "run", module, raising=False)
        return seen

    return install


@pytest.fixture
def model(tmp_path: Path) -> str:
    graph, weights = chain()
    path = tmp_path / "chain.onnx"
    onnx.save(to_onnx(graph, weights), path)
    return str(path)


def raising(error: BaseException) -> Callable[[RunConfig], RunResult]:
    def run(config: RunConfig) -> RunResult:
        raise error

    return run


def test_flags_arrive_in_the_config(pretend: Callable) -> None:
    seen = pretend(lambda config: synthetic_result())
    result = optimize("--max-size", "144KB", "--max-drop", "1%", "--seed", "3", "--workers", "2", "--out", "there")
    assert result.exit_code == 0, result.output
    assert seen == [RunConfig(max_size="144KB", max_drop="1%", seed=3, workers=2, out="there")]


def test_the_front_is_told_at_the_end(pretend: Callable) -> None:
    pretend(lambda config: synthetic_result())
    out = optimize("--out", "there").stdout
    assert "12.3 MB → 112.6 KB, 112 times smaller: 1.21 points of top-1 lost, at most 1.63" in out
    assert "* 0a9be3f7d1" in out
    assert f"model   {Path('there/models/0a9be3f7d1/model.tflite')}" in out
    assert f"report  {Path('there/report.html')}" in out


def test_json_is_all_that_standard_output_holds(pretend: Callable) -> None:
    pretend(lambda config: synthetic_result())
    found = json.loads(optimize("--json").stdout)
    assert found["chosen"]["id"] == "0a9be3f7d1"


def test_a_likely_choice_is_said_on_standard_error(pretend: Callable) -> None:
    pretend(lambda config: synthetic_result(points=(point("risky", 60, 1.9, front=True),), chosen="risky", bill=()))
    result = optimize()
    assert result.exit_code == 0
    assert "likely to keep the drop limit, not proven to" in result.stderr


def test_nothing_within_the_limits_is_exit_1_with_the_nearest_misses(pretend: Callable) -> None:
    misses = (point("near", 260, 1.0, front=False), point("far", 40, 9.0, front=False))
    pretend(lambda config: synthetic_result(points=misses, chosen=None, bill=(), binding="The size binds."))
    result = optimize()
    assert result.exit_code == 1
    assert result.stdout.index("near ") < result.stdout.index("far ")
    assert result.stderr == "error: The size binds.\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("x_train must hold finite numbers only"), 2, "error: x_train must hold finite numbers only\n"),
        (NothingFits("no network meets the limits"), 1, "error: no network meets the limits\n"),
        (Interrupted("stopped"), 130, "stopped; nothing had begun\n"),
        (KeyboardInterrupt(), 130, "stopped; nothing had begun\n"),
    ],
)
def test_each_kind_of_end_has_its_exit_code(
    pretend: Callable, tmp_path: Path, error: BaseException, code: int, text: str
) -> None:
    pretend(raising(error))
    result = optimize("--out", str(tmp_path / "run"))
    assert result.exit_code == code
    assert result.stderr == text
    assert result.stdout == ""


def test_a_stopped_run_says_how_to_go_on(pretend: Callable, tmp_path: Path) -> None:
    def stopped(config: RunConfig) -> RunResult:
        (config.folder / "config.toml").write_text(config.to_toml())
        raise Interrupted("stopped")

    seen = pretend(stopped)
    result = optimize("--out", str(tmp_path), "--seed", "5")
    line = result.stderr.strip()
    assert line == f"stopped; go on with: optimize --config {tmp_path / 'config.toml'} --resume"
    optimize(*line.split(": optimize ")[1].split())
    assert seen[1].resume
    assert seen[1].fingerprint() == seen[0].fingerprint()
    assert seen[1].folder == seen[0].folder


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--max-size", "256XB"), "256XB"),
        (("--max-drop", "-1"), "-1"),
        (("--budget", "-5m"), "-5m"),
        (("--model", "net.onnx"), "a model needs data"),
        (("--runtime", "tensorrt"), "runtime must be one of tflm, c"),
        (("--workers", "0"), "workers must be at least 1"),
        (("--config", "no-such.toml"), "no-such.toml cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_2_before_anything_runs(
    pretend: Callable, arguments: tuple[str, ...], text: str
) -> None:
    seen = pretend(lambda config: synthetic_result())
    result = optimize(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert text in result.stderr
    assert result.stderr.count("\n") == 1
    assert seen == []


def test_help_teaches_by_example() -> None:
    for result in (optimize("--help"), command("optimize", "--help")):
        assert result.exit_code == 0
        assert "optimize --max-size 256KB --max-drop 2%" in result.stdout
        assert "--resume" in result.stdout


def test_help_does_not_wait_for_torch() -> None:
    script = (
        "import sys, nas.cli; nas.cli.nas_app(); print([m for m in ('torch', 'pandas', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_targets_lists_the_devices() -> None:
    assert "nrf52840" in command("targets").stdout
    rows = json.loads(command("targets", "--json").stdout)
    assert {"nrf52840", "stm32l4r5"} <= {row["name"] for row in rows}


def test_cost_adds_up(model: str) -> None:
    found = json.loads(command("cost", model, "--target", "stm32l4r5", "--json").stdout)
    assert sum(call["macs"] for call in found["calls"]) == found["cost"]["macs"]
    assert sum(call["ms"] for call in found["calls"]) == pytest.approx(found["cost"]["latency_ms"])
    text = command("cost", model, "--target", "stm32l4r5").stdout
    assert "conv" in text
    assert "exact" in text


def test_cost_on_every_device(model: str) -> None:
    rows = json.loads(command("cost", model, "--all-targets", "--json").stdout)
    listed = json.loads(command("targets", "--json").stdout)
    assert [row["target"] for row in rows] == [row["name"] for row in listed]
    text = command("cost", model, "--all-targets").stdout
    assert all(row["target"] in text for row in rows)
    both = command("cost", model, "--all-targets", "--target", "nrf52840")
    assert (both.exit_code, both.stderr.count("\n")) == (2, 1)


def test_space_shows_what_the_limits_leave(model: str) -> None:
    whole = json.loads(command("space", model, "--json").stdout)
    assert whole["networks"] == whole["networks_left"] > 1
    size = json.loads(command("cost", model, "--json").stdout)["cost"]["size_bytes"]
    small = json.loads(command("space", model, "--max-size", f"{size * 3 // 10}B", "--json").stdout)
    assert 0 < small["networks_left"] < small["networks"] == whole["networks"]
    assert "within the limits" in command("space", model).stdout


def test_space_that_nothing_fits_is_exit_1(model: str) -> None:
    result = command("space", model, "--max-size", "1KB")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: no network of the space meets the limits")


def test_an_unknown_target_is_refused_with_the_nearest_names(model: str) -> None:
    result = command("cost", model, "--target", "nrf5284")
    assert result.exit_code == 2
    assert "nrf52840" in result.stderr


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    result = command("cost", str(tmp_path / "none.onnx"))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_report_is_made_again(tmp_path: Path) -> None:
    path = page.write_run(synthetic_result(bill=(), archive=()), tmp_path)
    path.unlink()
    result = command("report", str(tmp_path))
    assert result.exit_code == 0
    assert path.exists()
    assert command("report", str(tmp_path / "none")).exit_code == 2


def test_the_version_is_the_packages() -> None:
    assert command("--version").stdout == f"{VERSION}\n"
