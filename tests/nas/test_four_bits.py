"""A whole run whose limit only weights of 4 bits keep, and what is refused where they may be met."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from nas import inputs
from nas.listing.space import list_space
from nas.objectives import Limits
from nas.result import Front
from nas.verify import prove
from nas.verify.litert import exported
from nas.verify.runner import LITERT, ONNX, C
from search_spaces.declare import Declaration
from search_spaces.errors import LimitError, TargetError
from search_spaces.from_onnx import load_model
from search_spaces.space import derive
from targets.cost import estimate
from targets.device import devices, load_device
from tests.nas.digits_run import optimize, outcomes
from tests.toys import depthwise

BITS = Declaration(width=False, depth=False, kernel=False, bits=True)
DEVICE = load_device("nrf52840")


@pytest.fixture(scope="module")
def front(digits: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Front:
    """A run within the size of the original with 4 bits in all but its first layer."""
    folder = tmp_path_factory.mktemp("bits")
    (folder / "space.toml").write_text("width = false\ndepth = false\nkernel = false\nbits = true\n")
    space = derive(load_model(digits[0])[0], BITS)
    values = space.values(space.packed(space.original)) | {space.genes[0].name: 8}
    most = estimate(space.apply(space.genome(values)), DEVICE).size_bytes
    return optimize(digits, folder / "run", space=str(folder / "space.toml"), budget="60steps", max_size=f"{most}B")


def test_networks_with_four_bits_are_trained_as_integers_and_priced_by_size_and_ram(front: Front) -> None:
    found = outcomes(front.folder)
    assert {evaluation.status for evaluation in found} == {"ok"}
    trained = [evaluation for evaluation in found if evaluation.job.rung]
    assert trained
    for evaluation in trained:
        assert "as int8 gained" in evaluation.note
        assert evaluation.cost is not None
        assert evaluation.cost.ram_bytes is not None
        assert evaluation.cost.flash_bytes is evaluation.cost.latency_ms is None


def test_tables_and_files_say_which_layers_have_four(front: Front) -> None:
    assert front.chosen is not None
    with (front.folder / "front.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    for point in front.result.front:
        values = json.loads((front.folder / f"models/{point.id}/genome.json").read_text())["values"]
        assert {name.partition(":")[0] for name in values} == {"bits"}
        assert int(rows[point.id]["layers_of_4_bits"]) == list(values.values()).count(4) >= len(values) - 1
        file = (front.folder / point.tflite).read_bytes()
        assert len(file) == point.cost.size_bytes
        assert exported(file).packed
    assert any("4 bits" in note for note in front.result.notes)


def test_the_shipped_files_answer_alike_in_every_runtime(front: Front) -> None:
    done = prove.verify(front.folder, images=20)
    assert [proof.broken for proof in done.proofs] == [()] * len(done.proofs)
    for proof in done.proofs:
        names = {row.runtime for row in proof.answers}
        assert {LITERT, ONNX} <= names
        assert C not in names


@pytest.mark.parametrize("limit", ["flash_bytes", "latency_ms", "energy_uj"])
def test_what_has_no_price_is_no_limit_and_no_objective(limit: str) -> None:
    law = rf"{limit} cannot be {{}}: kernels for weights of 4 bits, .* \(bits = true\), have no price"
    with pytest.raises(LimitError, match=law.format("limited")):
        inputs.for_space(Limits(**{limit: 1000}), DEVICE, "tflm", BITS)
    with pytest.raises(LimitError, match=law.format("an objective")):
        inputs.check_objectives(("size_bytes", limit), DEVICE, bits=True)
    assert getattr(inputs.for_space(Limits(**{limit: 1000}), DEVICE, "tflm", Declaration()), limit) == 1000


def test_the_devices_ram_stays_a_limit_and_its_flash_does_not() -> None:
    assert inputs.for_space(Limits(), DEVICE, "tflm", BITS) == Limits(ram_bytes=DEVICE.ram_bytes)


def test_only_tflm_on_devices_that_say_so_takes_four_bits() -> None:
    with pytest.raises(TargetError, match=r"run on tflm alone, got runtime 'c'"):
        inputs.for_space(Limits(), DEVICE, "c", BITS)
    takes = set()
    for name in devices():
        device = load_device(name)
        if "int4" in device.weight_types:
            takes.add(name)
            assert device.kernels is not None
            assert device.npu is None
        else:
            with pytest.raises(TargetError, match="not of int4"):
                inputs.for_space(Limits(), device, "tflm", BITS)
    assert {"nrf52840", "rp2040"} <= takes
    assert not takes & {"rv1106", "ethos_u55_128", "corstone300", "esp32s3"}


def test_the_listing_has_a_line_for_every_layer(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text("bits = true\n")
    limits = inputs.for_space(Limits(), DEVICE, "tflm", BITS)
    found = list_space(depthwise()[0], str(tmp_path / "space.toml"), DEVICE, "tflm", limits)
    lines = [line for line in found.text().splitlines() if line.startswith("bits:")]
    assert len(lines) == sum(op.kind == "conv" for op in depthwise()[0].ops)
    assert all("4 8" in line for line in lines)
