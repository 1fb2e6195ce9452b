"""Exported C: it answers as the file's reference kernels do, in the arena of the bill, and nothing is half written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from nas.deploy import host
from nas.deploy.bill import program_of
from nas.deploy.export_c import export_c, load
from nas.deploy.layers import network_of
from nas.deploy.tflite_reader import read
from search_spaces.errors import DataError, EngineError, InputError, ModelError, RunFolderError, TargetError
from targets.core import call_costs, load_core
from targets.lower import lower
from targets.memory import plan
from tests.nas.deploy.exports import NETWORKS, graph_of, int8_images, tflite
from tests.toys import Sketch

Interpreter = pytest.importorskip("ai_edge_litert.interpreter")
pytest.importorskip("bakenn")

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, host.COMPILERS)), reason="no C compiler")


def litert_answers(file: bytes, images: np.ndarray, *, reference: bool) -> np.ndarray:
    kinds = Interpreter.OpResolverType
    kernels = kinds.BUILTIN_REF if reference else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter.Interpreter(model_content=file, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    source, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    found = []
    for image in images:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(made)[0].copy())
    return np.stack(found)


@needs_compiler
@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_c_answers_as_the_interpreters_do(name: str, tmp_path: Path) -> None:
    """TFLM byte for byte, where it is installed; LiteRT, which rounds a product once and not twice, within one step."""
    images = int8_images(name, 8)
    export_c(tflite(name), tmp_path / "c")
    found = host.host_answers(tmp_path / "c", images)
    litert = litert_answers(tflite(name), images, reference=name != "gates")  # ELU has no reference kernel
    assert np.abs(found.astype(int) - litert).max() <= 1
    assert len(np.unique(found)) > 3
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        return
    interpreter = runtime.Interpreter.from_bytes(tflite(name), arena_size=1 << 20)
    for image, answer in zip(images, found, strict=True):
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        assert interpreter.get_output(0).tobytes() == answer.tobytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_alone_gives_the_bill_of_the_graph(name: str, tmp_path: Path) -> None:
    """Pads fold into windows, reshapes are nothing: the calls read from the file are those lowered for C."""
    network, core = network_of(read(tflite(name))), load_core("cortex_m4")
    ours, lowered = program_of(network), lower(graph_of(name), "c")
    kinds = [sorted(call.kind for call in program.calls) for program in (ours, lowered)]
    assert [kind for kind in kinds[0] if kind != "slice"] == [k for k in kinds[1] if k not in ("slice", "crop")]
    ours_costs, lowered_costs = call_costs(ours, core), call_costs(lowered, core)
    assert sum(c.cycles or 0 for c in ours_costs) == pytest.approx(sum(c.cycles or 0 for c in lowered_costs))
    arena = export_c(tflite(name), tmp_path / "c").arena_bytes
    assert arena <= plan(lowered, lowered_costs).arena_bytes


def test_the_folder_holds_what_a_firmware_needs(tmp_path: Path) -> None:
    made = export_c(tflite("chain"), tmp_path / "c", name="digits")
    folder = tmp_path / "c"
    assert load(folder) == made
    assert all((folder / name).is_file() for name in made.sources)
    header = (folder / "digits.h").read_text()
    assert f"#define DIGITS_ARENA_BYTES {made.arena_bytes}" in header
    assert "DIGITS_INPUT_SCALE" in header
    assert "DIGITS_OUTPUT_ZERO_POINT" in header
    assert "Apache License" in (folder / "LICENSE.txt").read_text()
    assert list(folder.glob("third_party/*/LICENSE.txt"))
    assert "malloc" not in "".join((folder / name).read_text() for name in made.sources)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_a_folder_is_replaced_only_when_told_and_only_if_it_is_one_of_ours(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    export_c(tflite("chain"), folder)
    with pytest.raises(RunFolderError, match="--force"):
        export_c(tflite("chain"), folder)
    assert export_c(tflite("residual"), folder, force=True) == load(folder)
    (tmp_path / "mine").mkdir()
    with pytest.raises(RunFolderError, match="was not written by nas export"):
        export_c(tflite("chain"), tmp_path / "mine", force=True)


def test_what_cannot_be_exported_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TargetError, match="core must be one of"):
        export_c(tflite("chain"), tmp_path / "c", core="a53")
    with pytest.raises(InputError, match="name must be"):
        export_c(tflite("chain"), tmp_path / "c", name="../x")
    unknown = tflite("chain").replace(bytes([9, 0, 0, 0]), bytes([77, 0, 0, 0]))  # fully connected to an unknown one
    with pytest.raises(EngineError):
        export_c(unknown, tmp_path / "c")
    monkeypatch.setitem(__import__("sys").modules, "bakenn.backend.cmsis_nn", None)
    with pytest.raises(TargetError, match=r"fitfront\[c\]"):
        export_c(tflite("chain"), tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_no_bytes_bring_the_reader_down() -> None:
    rng, file = np.random.default_rng(0), tflite("every_kind")
    for _ in range(300):
        broken = bytearray(file[: int(rng.integers(8, len(file)))] if rng.random() < 0.3 else file)
        for place in rng.integers(4, len(broken), 4):
            broken[place] = int(rng.integers(256))
        try:
            network_of(read(bytes(broken)))
        except EngineError:
            continue
    with pytest.raises(ModelError, match="TFL3"):
        read(b"not a model")


def test_a_missing_compiler_and_wrong_images_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_c(tflite("chain"), tmp_path / "c")
    with pytest.raises(DataError, match="images must be int8"):
        host.host_answers(tmp_path / "c", np.zeros((1, 3, 3, 1), np.int8))
    with pytest.raises(InputError, match="nas export --c wrote"):
        host.host_answers(tmp_path, int8_images("chain", 1))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(TargetError, match="apt-get install gcc"):
        host.host_answers(tmp_path / "c", int8_images("chain", 1))


def test_what_16_bits_cannot_count_is_refused_before_training() -> None:
    """A linear layer of 65,536 outputs is more than a structure of ours holds; TFLM takes it."""
    net = Sketch(4)
    net.add("wide", "linear", out_channels=65_536)
    graph = net.done()
    assert lower(graph, "tflm").calls
    with pytest.raises(TargetError, match="65,536 of them"):
        lower(graph, "c")
