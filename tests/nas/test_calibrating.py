"""`nas calibrate`: rows of a table become a device, or the row that cannot be used is named by its line."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner, Result

from nas import cli, measurements
from nas.measurements import layer
from search_spaces.errors import DataError
from search_spaces.to_onnx import to_onnx
from targets.core import call_cost, call_costs
from targets.cost import bill, estimate
from targets.device import load_device
from targets.latency import CALL_CYCLES
from targets.lower import lower
from tests.toys import chain

HEADER = "op,in_shape,out_shape,kernel,strides,padding,cycles"
LAYERS = (
    "conv2d,1x16x16x8,1x16x16x16,3x3,1x1,same",
    "conv2d,1x16x16x16,1x16x16x32,1x1,1x1,valid",
    "depthwise_conv2d,1x16x16x16,1x8x8x16,3x3,2x2,same",
    "fully_connected,1x512,1x10,,,",
    "add,1x8x8x16x1x8x8x16,1x8x8x16,,,",
    "max_pool2d,1x16x16x8,1x8x8x8,2x2,2x2,valid",
    "average_pool2d,1x8x8x16,1x1x1x16,8x8,8x8,valid",
    "softmax,1x10,1x10,,,",
)
DEVICE = load_device("nrf52840")


def priced(row: str) -> tuple[float, float]:
    """Table cycles and weight loads of a layer."""
    cost = call_cost(DEVICE.kernel_core, layer(dict(zip(HEADER.split(","), row.split(","), strict=False))))
    return cost.counted, cost.weight_loads


def board(row: str) -> float:
    """Cycles of a layer on a SYNTHETIC board."""
    cycles, loads = priced(row)
    return 1.5 * cycles + 3 * loads


def table(folder: Path, rows: list[str], header: str = HEADER) -> Path:
    file = folder / "rows.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def calibrate(board: str, file: Path, *flags: str) -> Result:
    return CliRunner().invoke(cli.nas_app(), ["calibrate", board, str(file), *flags])


def test_a_board_of_known_prices_becomes_a_device(tmp_path: Path) -> None:
    file, out = table(tmp_path, [f"{row},{board(row)!r}" for row in LAYERS]), tmp_path / "mine.toml"
    result = calibrate("nrf52840", file, "--out", str(out))
    assert result.exit_code == 0, result.stderr
    assert "8 measurements" in result.stdout
    device = load_device(out)
    assert (device.cycles_scale, device.cycles_per_weight_load) == (1.5, 3.0)
    assert device.latency_band_percent == 5
    assert (device.name, device.kernels, device.ram_bytes) == ("mine", DEVICE.kernels, DEVICE.ram_bytes)
    assert device.unverified == DEVICE.unverified
    text = out.read_text()
    assert "from 8 measurements: rows.csv" in text
    assert "# as in nrf52840.toml" in text


def test_a_path_of_its_own_numbers_is_written_and_used(tmp_path: Path) -> None:
    """SYNTHETIC: convolutions at twice the table's cycles, linear layers at four times."""
    convs = [f"conv2d,1x16x16x{c},1x16x16x{c},3x3,1x1,same" for c in (2, 4, 8, 16, 32)]
    linear = [f"fully_connected,1x{n},1x10,,," for n in (32, 64, 128, 256, 512)]
    rows = [f"{row},{2 * priced(row)[0]!r}" for row in convs] + [f"{row},{4 * priced(row)[0]!r}" for row in linear]
    out = tmp_path / "mine.toml"
    result = calibrate("nrf52840", table(tmp_path, rows), "--out", str(out))
    assert result.exit_code == 0, result.stderr
    device = load_device(out)
    assert {path: round(prices.cycles_scale, 3) for path, prices in device.paths.items()} == {"conv": 2, "fc": 4}
    assert "conv                   2" in result.stdout
    graph = chain()[0]
    lines = bill(graph, device)
    for line, cost in zip(lines, call_costs(lower(graph), device.kernel_core), strict=True):
        factor = {"conv": 2, "fc": 4}.get(cost.path)
        if factor:
            assert line.cycles == pytest.approx(factor * cost.counted + CALL_CYCLES["tflm"])
        else:
            assert line.cycles == pytest.approx(
                device.prices().cycles(cost.counted, cost.weight_loads) + CALL_CYCLES["tflm"]
            )
    assert estimate(graph, device).latency_ms == pytest.approx(sum(line.ms or 0.0 for line in lines))


@pytest.mark.parametrize(
    ("column", "cells"),
    [("power_mw", ["20"] * 8), ("energy_uj", [f"{20 * board(row) / 64_000_000 * 1e3!r}" for row in LAYERS])],
)
def test_measured_energy_becomes_the_boards_power(tmp_path: Path, column: str, cells: list[str]) -> None:
    """20 mW for the cycles of each row at 64 MHz."""
    rows = [f"{row},{board(row)!r},{cell}" for row, cell in zip(LAYERS, cells, strict=True)]
    out = tmp_path / "mine.toml"
    result = calibrate("nrf52840", table(tmp_path, rows, f"{HEADER},{column}"), "--out", str(out))
    assert result.exit_code == 0, result.stderr
    device = load_device(out)
    assert (device.active_power_mw, device.energy_band_percent, device.energy_band_factor) == (20.0, 5.0, None)
    assert "active_power_mw" not in device.unverified
    cost = estimate(chain()[0], device)
    assert cost.energy_uj == pytest.approx(20 * cost.latency_ms)
    assert "active_power_mw" in result.stdout


def test_few_rows_promise_no_more_than_a_board_that_nobody_measured(tmp_path: Path) -> None:
    """The STM32F446's own band of 11 % came with numbers of three kernels' own, which one row does not bring."""
    out = tmp_path / "mine.toml"
    result = calibrate("stm32f446", table(tmp_path, [f"{LAYERS[0]},{board(LAYERS[0])!r}"]), "--out", str(out))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("1 measurement\n")
    assert (load_device(out).latency_band_percent, load_device(out).paths) == (30, {})


def test_rows_in_another_unit_are_told_by_what_a_cycle_would_take(tmp_path: Path) -> None:
    rows, out = [f"{row},{1000 * board(row)!r}" for row in LAYERS], tmp_path / "mine.toml"
    result = calibrate("nrf52840", table(tmp_path, rows), "--out", str(out))
    assert result.exit_code == 2
    assert "a board takes 0.1 to 20 of its cycles for one that is counted, these rows 1500; check the units" in (
        result.stderr
    )
    assert not out.exists()


def test_one_measured_power_has_a_wide_band_and_none_keeps_the_data_sheets(tmp_path: Path) -> None:
    rows, out = [f"{row},{board(row)!r}," for row in LAYERS], tmp_path / "mine.toml"
    calibrate("nrf52840", table(tmp_path, [f"{rows[0]}18.5", *rows[1:]], f"{HEADER},power_mw"), "--out", str(out))
    assert (load_device(out).active_power_mw, load_device(out).energy_band_percent) == (18.5, 15.0)
    assert "too few rows to say it" in out.read_text()
    calibrate("nrf52840", table(tmp_path, rows, f"{HEADER},power_mw"), "--out", str(out), "--force")
    assert (load_device(out).active_power_mw, load_device(out).energy_band_factor) == (10.0, 2.5)


def test_a_device_is_not_written_over(tmp_path: Path) -> None:
    file, out = table(tmp_path, [f"{row},{board(row)!r}" for row in LAYERS]), tmp_path / "mine.toml"
    out.write_text("mine")
    refused = calibrate("nrf52840", file, "--out", str(out))
    assert refused.exit_code == 2
    assert "exists; give --force" in refused.stderr
    assert out.read_text() == "mine"
    assert calibrate("nrf52840", file, "--out", str(out), "--force").exit_code == 0
    assert load_device(out).cycles_scale == 1.5
    assert "a device is a .toml file" in calibrate("nrf52840", file, "--out", str(tmp_path / "mine")).stderr


def test_microseconds_are_cycles_of_the_clock(tmp_path: Path) -> None:
    rows = [f"{row},{board(row) / 64!r}" for row in LAYERS]  # 64 MHz
    found = measurements.read(table(tmp_path, rows, HEADER.replace("cycles", "latency_us")), DEVICE, "tflm")
    assert [row.measured for row in found] == pytest.approx([board(row) for row in LAYERS])
    assert [(row.cycles, row.weight_loads) for row in found] == [priced(row) for row in LAYERS]
    assert [row.path for row in found] == ["conv", "conv_1x1", "dw_3x3", "fc", "add", "max_pool", "avg_pool", "softmax"]


def test_a_network_is_measured_whole(tmp_path: Path) -> None:
    graph, weights = chain()
    onnx.save(to_onnx(graph, weights), tmp_path / "chain.onnx")
    rows = measurements.read(table(tmp_path, ["network,chain.onnx,9000000"], "op,model,cycles"), DEVICE, "tflm")
    costs = call_costs(lower(graph), DEVICE.kernel_core)
    assert rows == [
        (
            pytest.approx(sum(cost.counted for cost in costs)),
            sum(cost.weight_loads for cost in costs),
            len(costs),
            9_000_000 - CALL_CYCLES["tflm"] * len(costs),  # the interpreter's share is priced apart
            None,
            None,
        )
    ]


def test_shapes_become_the_kernel_call() -> None:
    shape = layer(dict(zip(HEADER.split(","), LAYERS[2].split(","), strict=False)))
    assert (shape.kind, shape.size, shape.out_size, shape.multiplier) == ("dw", (16, 16), (8, 8), 1)
    assert shape.pads == (0, 0)  # SAME of a stride of 2 pads one row, below
    assert layer(dict(zip(HEADER.split(","), LAYERS[0].split(","), strict=False))).pads == (1, 1)


@pytest.mark.parametrize(
    ("row", "law"),
    [
        ("lstm,1x8,1x8,,,,100", "op must be one of conv2d, "),
        ("conv2d,1x16x16x8,1x16x16x16,3,1x1,same,100", "kernel must be written like 3x3, got '3'"),
        ("conv2d,16x16x8,1x16x16x16,3x3,1x1,same,100", "in_shape must be written like 1x32x32x3, got '16x16x8'"),
        ("conv2d,1x16x16x8,1x8x8x16,3x3,1x1,same,100", "out_shape must follow from in_shape"),
        ("conv2d,1x16x16x8,1x16x16x16,3x3,1x1,full,100", "padding must be same or valid, got 'full'"),
        ("depthwise_conv2d,1x8x8x8,1x8x8x12,3x3,1x1,same,100", "must have 8 channels, or a multiple"),
        ("softmax,1x10,1x10,,,,", "must have cycles or latency_us, both are empty"),
        ("softmax,1x10,1x10,,,,-3", "cycles must be a number above 0, got '-3'"),
        ("softmax,1x10,1x10,,,,nan", "cycles must be a number above 0, got 'nan'"),
        ("softmax,1x10,1x10,,,,many", "cycles must be a number above 0, got 'many'"),
        ("softmax,1x10,1x10,,,,100,7", "must have as many cells as there are columns"),
        ("network,,,,,,100", "names its .onnx or .pt2 file in the column model"),
    ],
)
def test_a_bad_row_is_refused_by_its_line(tmp_path: Path, row: str, law: str) -> None:
    file = table(tmp_path, [f"{LAYERS[0]},1000", row])
    result = calibrate("nrf52840", file, "--out", str(tmp_path / "mine.toml"))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {file} line 3: ")
    assert law in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "mine.toml").exists()


@pytest.mark.parametrize(
    ("header", "rows", "law"),
    [
        ("op,in_shape", ["softmax,1x10"], "must have the columns op and cycles or latency_us, it has op, in_shape"),
        (HEADER, [], "must have rows below the names"),
        (f"{HEADER},board", [f"{LAYERS[0]},9,A", f"{LAYERS[0]},9,B"], "line 3: a calibration is for one board"),
        (
            f"{HEADER},clock_mhz",
            [f"{LAYERS[0]},9,80"],
            "line 2: must be measured at the device's clock, 64 MHz, got 80",
        ),
        ("op,model,cycles", ["network,none.onnx,9"], "line 2: "),
        (f"{HEADER},power_mw", [f"{LAYERS[0]},9,-1"], "line 2: power_mw must be a number above 0, got '-1'"),
        (f"{HEADER},power_mw,energy_uj", [f"{LAYERS[0]},9,1,1"], "line 2: must have energy_uj or power_mw, not both"),
        (HEADER, ['"softmax'], "is not a readable CSV file"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, header: str, rows: list[str], law: str) -> None:
    with pytest.raises(DataError, match=r"rows\.csv") as refused:
        measurements.read(table(tmp_path, rows, header), DEVICE, "tflm")
    assert law in str(refused.value)


def test_a_board_without_kernels_cannot_be_calibrated(tmp_path: Path) -> None:
    result = calibrate("esp32s3", table(tmp_path, [f"{LAYERS[0]},1000"]))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "device 'esp32s3' has no kernel prices" in result.stderr


def test_a_missing_table_is_refused_in_one_line(tmp_path: Path) -> None:
    result = calibrate("nrf52840", tmp_path / "none.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
