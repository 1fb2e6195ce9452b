"""Bad input through the real commands: one clear line, exit 2 (1 where no network fits), and nothing lost or left."""

from __future__ import annotations

import errno
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from typer.testing import CliRunner, Result

import nas
from nas import atomic, cli, inputs
from nas.config import RunConfig
from nas.ledger import LEDGER_FILE, read
from search_spaces.errors import DataError, InputError, ModelError, NothingFits, RunFolderError
from search_spaces.to_onnx import to_onnx
from tests.toys import chain

CLASSES = 4
ROWS = {"train": 64, "val": 32, "test": 32}


def arrays() -> dict[str, np.ndarray]:
    """Random images of 1 x 8 x 8 in four classes, for the toy chain."""
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for part, rows in ROWS.items():
        found[f"x_{part}"] = rng.integers(0, 256, (rows, 1, 8, 8), dtype=np.uint8)
        found[f"y_{part}"] = np.arange(rows) % CLASSES
    return found


def network() -> nn.Module:
    """A torch module that takes the same images, the same one each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, CLASSES))


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder and every file's content."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


class Desk:
    """A folder with a good model and good data, a command line that works with them, and what spoils it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "run"
        self.model = folder / "net.onnx"
        self.data = folder / "data.npz"
        onnx.save(to_onnx(*chain()), self.model)
        self.write(arrays())

    def write(self, found: dict[str, Any], **changes: Any) -> None:
        np.savez(self.data, **(found | changes))

    def flags(self, **changes: str | Path | None) -> list[str]:
        """The command line, some flags changed; None leaves one out, "" is a switch."""
        flags: dict[str, str | Path | None] = {
            "model": self.model, "data": self.data, "out": self.out, "max-size": "40KB", "max-drop": "none",
            "budget": "60steps", "workers": "1", "quiet": "",
        }  # fmt: skip
        words: list[str] = []
        for name, value in (flags | {key.replace("_", "-"): value for key, value in changes.items()}).items():
            if value is not None:
                words += [f"--{name}"] if value == "" else [f"--{name}", str(value)]
        return words

    def run(self, **changes: str | Path | None) -> Result:
        return CliRunner().invoke(cli.optimize_app(), self.flags(**changes))

    def refused(self, *texts: str, code: int = 2, **changes: Any) -> None:
        """The command ends in one line that holds the texts, and the folder is byte for byte what it was."""
        before = tree(self.folder)
        one_line(self.run(**changes), *texts, code=code)
        assert tree(self.folder) == before


def one_line(result: Result, *texts: str, code: int = 2) -> None:
    assert result.exit_code == code, (result.output, result.exception)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    for text in texts:
        assert text in result.stderr


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# ---- the model


def test_a_missing_model(desk: Desk) -> None:
    desk.refused("none.onnx", "is not there", model=desk.folder / "none.onnx")


def test_a_folder_for_a_model(desk: Desk) -> None:
    desk.refused("must be an ONNX file", model=desk.folder)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.99])
def test_a_truncated_model(desk: Desk, share: float) -> None:
    content = desk.model.read_bytes()
    desk.model.write_bytes(content[: int(share * len(content))])
    desk.refused(str(desk.model), "export it again")


@pytest.mark.parametrize("content", [b"hello", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04" + bytes(100), bytes(1000)])
def test_a_file_that_is_not_onnx(desk: Desk, content: bytes) -> None:
    desk.model.write_bytes(content)
    desk.refused(str(desk.model), "ONNX")


def graph_of(kind: str, domain: str = "") -> onnx.ModelProto:
    """One convolution, one odd node, and an output of N x classes."""
    rng = np.random.default_rng(0)
    weight = onnx.numpy_helper.from_array(rng.normal(size=(CLASSES, 1, 8, 8)).astype(np.float32), "w")
    body = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w"], ["a"], name="first"),
            helper.make_node(kind, ["a"], ["b"], name="odd_one", domain=domain),
            helper.make_node("Flatten", ["b"], ["logits"], name="last"),
        ],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
        [weight],
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(body, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    ("kind", "domain", "advice"),
    [("NonZero", "", ""), ("Loop", "", "control flow"), ("GridSample", "", ""), ("Swish", "my.ops", "standard ones")],
)
def test_an_operator_that_cannot_be_handled_is_named(desk: Desk, kind: str, domain: str, advice: str) -> None:
    onnx.save(graph_of(kind, domain), desk.model)
    desk.refused("odd_one", kind, advice, ";")


def test_an_operator_without_an_int8_kernel_is_named(desk: Desk) -> None:
    onnx.save(graph_of("Erf"), desk.model)
    desk.refused("Erf 'b' cannot run on tflm", ";")


def test_a_model_of_another_number_type(desk: Desk) -> None:
    model = graph_of("Relu")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    onnx.save(model, desk.model)
    desk.refused("must be float32, got double")


def test_a_model_that_onnxruntime_refuses(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("Unsupported model IR version\nmore on that")

    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    desk.refused("onnxruntime can load: Unsupported model IR version")


def test_a_fixed_batch_and_channels_last_are_no_bad_input(desk: Desk) -> None:
    fixed = onnx.load(desk.model)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    last = onnx.load(desk.model)
    last.graph.node.insert(0, helper.make_node("Transpose", ["last"], [last.graph.input[0].name], perm=[0, 3, 1, 2]))
    del last.graph.input[:], last.metadata_props[:]
    last.graph.input.append(helper.make_tensor_value_info("last", TensorProto.FLOAT, ["n", 8, 8, 1]))
    given = RunConfig(str(desk.model), data=str(desk.data), max_size="none")
    wanted = inputs.read(given)
    x = wanted.data.x_search
    for model in (fixed, last):
        onnx.save(model, desk.model)
        found = inputs.read(given)
        assert found.graph.input_shape == (1, 8, 8)
        np.testing.assert_allclose(found.session().logits(x), wanted.session().logits(x), rtol=0, atol=1e-4)


def test_two_outputs(desk: Desk) -> None:
    model = graph_of("Relu")
    model.graph.output.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n", CLASSES, 1, 1]))
    onnx.save(model, desk.model)
    desk.refused("a model has one output", "logits, b")


def test_weights_that_are_not_finite(desk: Desk) -> None:
    graph, weights = chain()
    name = next(iter(weights))
    onnx.save(to_onnx(graph, weights | {name: np.full_like(weights[name], np.nan)}), desk.model)
    desk.refused("must be finite", name)


class Malicious:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def test_weights_are_never_unpickled(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    module_file(desk, monkeypatch)
    mark = desk.folder / "owned"
    pickle.loads(pickle.dumps(Malicious(mark)))
    mark.unlink()  # it would have worked
    plain, saved = desk.folder / "plain.pt", desk.folder / "saved.pt"
    plain.write_bytes(pickle.dumps(Malicious(mark)))
    torch.save({"0.weight": Malicious(mark)}, saved)
    for file in (plain, saved):
        desk.refused(str(file), "must hold tensors only", model="bad_input_nets:network", weights=file)
        desk.refused("pickle", model=file)
    assert not mark.exists()


def test_weights_beside_an_onnx_file(desk: Desk) -> None:
    desk.refused("weights are for a model given as package.module:function", weights=desk.model)


def module_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An importable module `bad_input_nets` with functions that return, or fail to return, a network."""
    home = desk.folder / "code"
    home.mkdir()
    source = (
        "from tests.nas.test_bad_input import network\n"
        "def number(): return 3\n"
        "def broken(): raise RuntimeError('first line\\nsecond line')\n"
    )
    (home / "bad_input_nets.py").write_text(source)
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "bad_input_nets", raising=False)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("bad_input_nets:missing", "has no function missing"),
        ("bad_input_nets:number", "must return a torch.nn.Module, got int"),
        ("bad_input_nets:broken", "RuntimeError: first line"),
        ("no_such_package.nets:net", "no_such_package"),
        ("what:ever:this", "package.module:function"),
        ("net.pth", "which is pickled and not opened; export it to ONNX, or name the function"),
        ("net.pt2", "cannot be read: No such file"),
    ],
)
def test_functions_that_give_no_model(desk: Desk, monkeypatch: pytest.MonkeyPatch, spec: str, text: str) -> None:
    module_file(desk, monkeypatch)
    desk.refused(text, model=spec)


# ---- the data


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"x_train": np.zeros((64, 1, 9, 9), np.uint8)}, ("x_train must be N x 1 x 8 x 8", "64 x 1 x 9 x 9")),
        ({"x_val": np.zeros((32, 8, 8, 1), np.uint8)}, ("x_val", "transpose(0, 3, 1, 2)")),
        ({"x_test": np.zeros((32, 64), np.uint8)}, ("x_test", "reshape(-1, 1, 8, 8)")),
        ({"y_train": np.arange(64) % 5}, ("y_train must lie in 0..3 (the model has 4 outputs), got 4",)),
        ({"y_val": np.arange(32) - 1}, ("y_val", "got -1")),
        ({"y_train": np.arange(64) % 3}, ("every class needs images in train", "class 3 ")),
        ({"y_train": np.arange(60) % 4}, ("must be equally long, got 64 and 60",)),
        ({"y_train": np.eye(4)[np.arange(64) % 4]}, ("argmax(1)",)),
        ({"x_val": np.zeros((0, 1, 8, 8), np.uint8), "y_val": np.zeros(0, int)}, ("x_val is empty",)),
        ({"x_train": np.zeros((64, 1, 8, 8), np.uint8)}, ("x_train must vary",)),
    ],
)
def test_data_that_does_not_fit(desk: Desk, changes: dict[str, np.ndarray], texts: tuple[str, ...]) -> None:
    desk.write(arrays(), **changes)
    desk.refused(*texts)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_pixels_that_are_not_finite(desk: Desk, part: str, value: float) -> None:
    found = {key: a.astype(np.float32) / 255 if key.startswith("x") else a for key, a in arrays().items()}
    found[f"x_{part}"][5, 0, 3, 3] = value
    desk.write(found)
    desk.refused(f"x_{part} must hold finite numbers only", "1 of ", "first row 5")


def test_an_empty_class_folder(desk: Desk) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    photos = desk.folder / "photos"
    for name, count in (("ants", 10), ("bees", 10), ("cats", 10), ("dogs", 0)):
        (photos / name).mkdir(parents=True)
        for k in range(count):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(photos / name / f"{k}.png")
    desk.refused("every class needs images in train, class 3 ", data=photos)
    (photos / "ants" / "broken.png").write_bytes(b"no picture")
    desk.refused("broken.png is not a readable image", data=photos)


def test_a_folder_without_classes_or_images(desk: Desk) -> None:
    empty = desk.folder / "empty"
    (empty / "ants").mkdir(parents=True)
    desk.refused("holds no images", data=empty)
    desk.refused("one folder of images per class", data=empty / "ants")


def test_missing_data(desk: Desk) -> None:
    desk.refused("none.npz", "does not exist", data=desk.folder / "none.npz")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_npz(desk: Desk, share: float) -> None:
    content = desk.data.read_bytes()
    desk.data.write_bytes(content[: int(share * len(content))])
    desk.refused("data.npz", "cut short")


def test_an_npz_with_a_damaged_array(desk: Desk) -> None:
    content = bytearray(desk.data.read_bytes())
    content[2000:2100] = bytes(100)
    desk.data.write_bytes(content)
    desk.refused("data.npz is damaged")


def test_an_npz_whose_array_claims_to_be_huge(desk: Desk) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1, 10**6, 10**6)}
    )
    with zipfile.ZipFile(desk.data, "w") as file:
        file.writestr("x_train.npy", header.getvalue())
    desk.refused("data.npz")


def test_an_npz_with_objects_is_never_unpickled(desk: Desk) -> None:
    mark = desk.folder / "owned"
    evil = np.empty(64, dtype=object)
    evil[:] = [Malicious(mark)] * 64
    desk.write(arrays(), y_train=evil)
    desk.refused("data.npz must hold plain number arrays, never pickled objects")
    assert not mark.exists()


def test_a_zip_of_something_else(desk: Desk) -> None:
    with zipfile.ZipFile(desk.data, "w") as file:
        file.writestr("readme.txt", "hello")
    desk.refused("data.npz must hold x_train")


# ---- flags


@pytest.mark.parametrize(
    ("flag", "value", "texts"),
    [
        ("max_size", "256XB", ("256XB", "KB")),
        ("max_size", "-4KB", ("-4KB",)),
        ("max_size", "0KB", ("0KB",)),
        ("max_size", "nanKB", ("nanKB",)),
        ("max_drop", "abc", ("abc", "%")),
        ("max_drop", "-1%", ("-1%",)),
        ("max_ram", "64", ("64",)),
        ("max_latency", "50", ("50", "ms")),
        ("max_energy", "5kWh", ("5kWh", "mJ")),
        ("budget", "-5m", ("-5m",)),
        ("budget", "0s", ("0s", "more than 0")),
        ("budget", "0steps", ("0steps", "more than 0")),
        ("budget", "1.5steps", ("1.5steps",)),
        ("budget", "soon", ("soon", "10m")),
        ("target", "nrf5284", ("nrf5284", "nearest: nrf52840")),
        ("target", "no/such.toml", ("no/such.toml",)),
        ("space", "mcv", ("mcv", "did you mean 'mcu'?")),
        ("space", "no/such.toml", ("no/such.toml",)),
        ("strategy", "nsga3", ("nsga3", "nsga2, nsga2-generational, random, tpe, ladder")),
        ("runtime", "tensorrt", ("tensorrt", "tflm")),
        ("workers", "0", ("workers must be at least 1, got 0",)),
        ("workers", "-2", ("workers must be at least 1, got -2",)),
        ("device", "gpu", ("device must be one of cpu, cuda, auto, got 'gpu'",)),
        ("device", "cuda", ("device cuda needs a GPU that torch can use", "or use --device cpu")),
        ("seed", "-1", ("seed must not be negative",)),
        ("augment", "mixup", ("augment must be one of", "'mixup'")),
        ("augment", "image", ("at least 64 x 64", "x_train is 64 x 1 x 8 x 8 of uint8", "use --augment none")),
        ("data", None, ("a model needs data",)),
        ("model", None, ("data needs a model",)),
        ("out", "", ()),
    ],
)
def test_a_flag_that_cannot_be_read(desk: Desk, flag: str, value: str | None, texts: tuple[str, ...]) -> None:
    if flag == "out":
        one_line(CliRunner().invoke(cli.optimize_app(), [*desk.flags(), "--out", ""]), "out must name a folder")
    else:
        changes: dict[str, Any] = {flag: value}
        desk.refused(*texts, **changes)


@pytest.mark.parametrize(
    ("flag", "value", "target", "quantity"),
    [
        ("max_energy", "5mJ", "stm32f446", "energy_uj"),  # nobody has published its power
        ("max_latency", "50ms", "esp32s3", "latency_ms"),  # nobody has priced its kernels
        ("max_energy", "5mJ", "rv1106", "energy_uj"),  # nor has its maker's tool
    ],
)
def test_a_limit_on_what_is_not_known_for_the_target(
    desk: Desk, flag: str, value: str, target: str, quantity: str
) -> None:
    desk.refused(
        f"{quantity} cannot be limited", f"target {target!r}", "leave the limit out", target=target, **{flag: value}
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('max_sise = "256KB"', "unknown key 'max_sise'; did you mean 'max_size'?"),
        ("max_size = 256", 'max_size must be text in quotes, such as "256KB", got 256'),
        ("workers = 0", "workers must be at least 1"),
        ("seed = true", "seed must be a whole number"),
        ("max_size = ", "is not valid TOML"),
    ],
)
def test_a_config_file_that_cannot_be_used(desk: Desk, text: str, message: str) -> None:
    file = desk.folder / "wrong.toml"
    file.write_text(text)
    desk.refused(message, config=file, workers=None)


def test_limits_that_no_network_can_meet_are_exit_1_and_the_limit_that_binds_is_named(desk: Desk) -> None:
    desk.refused("The size binds", "1 KB", code=1, max_size="1KB")
    desk.refused("The latency binds", "0.0010 ms", code=1, max_latency="1us")
    result = CliRunner().invoke(cli.nas_app(), ["space", str(desk.model), "--max-ram", "1KB"])
    one_line(result, "The RAM binds", code=1)


# ---- the run's folder


def test_another_runs_ledger_stays_as_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.out.mkdir()
    first = b'{"entry":"run","format":1,"fingerprint":"0123456789abcdef"}\n'
    (desk.out / LEDGER_FILE).write_bytes(first + b'{"entry":"torn')
    (desk.out / "config.toml").write_text("seed = 7\n")
    (desk.out / "original.onnx").write_bytes(b"theirs")
    desk.refused("holds another run", "choose another --out")
    desk.refused("holds another run", resume="")
    module_file(desk, monkeypatch)
    desk.refused("holds another run", model="bad_input_nets:network")


def test_a_ledger_that_is_damaged_or_of_another_kind(desk: Desk) -> None:
    desk.out.mkdir()
    for content in (b"what is this\n{}\n", b'{"entry":"run","format":99,"fingerprint":"0"}\n'):
        (desk.out / LEDGER_FILE).write_bytes(content)
        desk.refused(LEDGER_FILE, "choose another --out")


def test_resume_without_a_run(desk: Desk) -> None:
    desk.refused("no run to go on with", "leave --resume out", resume="")
    desk.out.mkdir()
    desk.refused("no run to go on with", resume="")


def test_an_output_folder_below_a_file(desk: Desk) -> None:
    (desk.folder / "file").write_text("a file")
    desk.refused("cannot write", "Not a directory", out=desk.folder / "file" / "run")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is where nobody can make a folder")
def test_an_output_folder_that_nobody_can_write(desk: Desk) -> None:
    desk.refused("cannot write /proc/run", out="/proc/run")


@pytest.mark.skipif(os.geteuid() == 0, reason="no folder is read-only for root")
def test_a_read_only_output_folder(desk: Desk) -> None:
    desk.out.mkdir()
    desk.out.chmod(0o500)
    try:
        desk.refused("cannot write", "Permission denied")
    finally:
        desk.out.chmod(0o700)


def whole(folder: Path) -> None:
    """Nothing half-written: the ledger's lines are entries, no temporary name is left, each model file is readable."""
    assert (folder / LEDGER_FILE).read_bytes().endswith(b"\n")
    assert read(folder / LEDGER_FILE)[0]["entry"] == "run"
    assert [path for path in folder.rglob(".*") if path.is_file()] == []
    for path in folder.rglob("*.onnx"):
        onnx.checker.check_model(onnx.load(path))


@pytest.mark.parametrize("good", [0, 2, 5, 9])
def test_a_disk_that_fills_up(desk: Desk, monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    """The disk takes so many artefacts and no more; afterwards the run goes on."""
    real, count = atomic.os.replace, 0

    def full(source: str, target: Path) -> None:
        nonlocal count
        count += 1
        if count > good:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "replace", full)
        one_line(desk.run(), "No space left on device")
    assert count == good + 1
    whole(desk.out)
    kept = (desk.out / LEDGER_FILE).read_bytes()
    result = desk.run(resume="")
    assert result.exit_code == 0, result.output
    assert (desk.out / LEDGER_FILE).read_bytes().startswith(kept)
    assert (desk.out / "report.html").exists()


@pytest.mark.parametrize("good", [0, 1, 4])
def test_a_ledger_that_cannot_grow(desk: Desk, monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    """The disk takes so many lines and half of the next one."""
    real, count = os.pwrite, 0

    def full(descriptor: int, line: bytes, offset: int) -> int:
        nonlocal count
        count += 1
        if count <= good:
            return real(descriptor, line, offset)
        if count == good + 1:
            return real(descriptor, line[: len(line) // 2], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        one_line(desk.run(), LEDGER_FILE, "No space left on device")
    lines = (desk.out / LEDGER_FILE).read_bytes()
    assert lines.count(b"\n") == good
    assert not lines or lines.endswith(b"\n")
    assert desk.run(resume="").exit_code == 0
    assert (desk.out / LEDGER_FILE).read_bytes().startswith(lines)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_file_that_the_system_will_not_let_grow(desk: Desk) -> None:
    limit = 9_000  # bytes: more than the ledger needs, less than the weights
    script = (
        "import resource, sys; from nas.cli import optimize_main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); optimize_main()"
    )
    done = subprocess.run([sys.executable, "-c", script, *desk.flags()], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    whole(desk.out)


# ---- the Python API


def test_a_module_and_arrays_make_a_run(desk: Desk) -> None:
    flags: dict[str, Any] = {"max_size": "40KB", "max_drop": "none", "budget": "60steps", "workers": 1}
    front = nas.optimize(network(), arrays(), out=desk.out, quiet=True, **flags)
    assert len(front.table) >= 1
    onnx.checker.check_model(onnx.load(desk.out / "original.onnx"))
    assert front.result.original.name == "Sequential"
    before = tree(desk.out)
    with pytest.raises(RunFolderError, match="holds this run already; go on with --resume"):
        nas.optimize(network(), arrays(), out=desk.out, quiet=True, **flags)
    assert tree(desk.out) == before


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"model": nn.Linear(3, 4)}, ModelError, "must run on N x 1 x 8 x 8"),
        ({"data": {"x_val": np.zeros((4, 1, 8, 8))}}, DataError, "x_train"),
        ({"data": arrays() | {"y_train": np.arange(64) % 3}}, DataError, "every class needs images"),
        ({"data": arrays() | {"x_train": np.zeros(64)}}, DataError, "x_train must be N x C x H x W"),
        ({"max_sise": "40KB"}, InputError, "did you mean 'max_size'?"),
        ({"max_size": 40_000}, InputError, "max_size must be text"),
        ({"max_size": "1KB"}, NothingFits, "The size binds"),
        ({"resume": True}, RunFolderError, "no run to go on with"),
    ],
)
def test_the_python_door_refuses_alike(desk: Desk, changes: dict[str, Any], kind: type[Exception], text: str) -> None:
    before = tree(desk.folder)
    given: dict[str, Any] = {"model": network(), "data": arrays(), "budget": "60steps", "out": desk.out, "quiet": True}
    with pytest.raises(kind) as caught:
        nas.optimize(**(given | changes))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tree(desk.folder) == before


# ---- the smaller commands


def test_small_commands_refuse_in_one_line(desk: Desk) -> None:
    def command(*arguments: str | Path) -> Result:
        return CliRunner().invoke(cli.nas_app(), [str(argument) for argument in arguments])

    desk.out.mkdir()
    (desk.out / "result.json").write_text('{"original": ')
    one_line(command("report", desk.out), "result.json cannot be read")
    one_line(command("report", desk.folder / "none"), "result.json")
    one_line(command("dashboard", desk.folder / "none"), LEDGER_FILE)
    (desk.out / LEDGER_FILE).write_text('{"entry":"other"}\n')
    one_line(command("dashboard", desk.out), LEDGER_FILE)
    one_line(command("cost", desk.model, "--target", "stm32"), "nearest: stm32")
    one_line(command("cost", desk.data), "ONNX")
    one_line(command("space", desk.model, "--max-size", "256XB"), "256XB")
    one_line(command("space", desk.model, "--space", "everything"), "everything")
