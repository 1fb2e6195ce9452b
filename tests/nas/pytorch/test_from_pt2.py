"""Programs of `torch.export.save` into a Graph: the same numbers, and nothing of the file is unpickled or evaluated."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from typer.testing import CliRunner

from nas import cli, inputs
from nas.config import RunConfig
from nas.pytorch import pt2, pt2_archive
from search_spaces.errors import EngineError, ModelError
from search_spaces.from_onnx import read_model
from search_spaces.graph import Graph
from search_spaces.to_onnx import to_onnx
from tests.toys import run_onnx


class Gated(nn.Module):
    """Everything in place that can be, a gate, a shuffle of channels, and a flatten by numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor([0.4, 0.6]).view(1, 2, 1, 1), persistent=False)
        self.stem = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.wide, self.down, self.up = nn.Conv2d(8, 8, 3, padding="same"), nn.Linear(8, 4), nn.Linear(4, 8)
        self.head = nn.Linear(8 * 4 * 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.stem((x - self.mean) / torch.tensor([0.2, 0.3]).view(1, 2, 1, 1)), 2)
        y = functional.relu_(self.wide(x))
        gate = torch.sigmoid(self.up(functional.relu(self.down(x.mean((2, 3))))))[:, :, None, None]
        count, channels, height, width = x.shape
        x = (x + y * gate).view(count, 2, channels // 2, height, width).transpose(1, 2)
        x = x.reshape(count, channels, height, width)
        return self.head(torch.cat(x.chunk(2, 1)[::-1], 1).view(count, -1))


def plain() -> nn.Module:
    layers = (nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Dropout(), nn.Linear(8, 4))


def series() -> nn.Module:
    layers = (nn.Conv1d(2, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.SiLU(), nn.AvgPool1d(2), nn.Conv1d(8, 8, 3, padding=1))
    return nn.Sequential(*layers, nn.Hardswish(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4))


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "plain": (plain, (2, 8, 8), "conv relu global_avg_pool flatten linear"),
    "series": (series, (2, 16), "conv sigmoid mul avg_pool conv hard_swish global_avg_pool flatten linear"),
    "gated": (
        Gated,
        (2, 8, 8),
        "affine conv relu6 max_pool conv relu global_avg_pool conv relu conv sigmoid mul add shuffle "
        "slice slice concat flatten linear",
    ),
}


def exported(build: Callable[[], nn.Module], shape: tuple[int, ...], batch: int | None) -> torch.export.ExportedProgram:
    """A seeded module in eval mode as a program for `batch` samples, or for any number of them."""
    torch.manual_seed(0)
    module = build()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, 0, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(part.running_var, 0.5, 2)  # type: ignore[arg-type]
    axes = None if batch else ({0: torch.export.Dim("n")},)
    return torch.export.export(module.eval(), (torch.zeros(batch or 2, *shape),), dynamic_shapes=axes)


def graph_of(path: Path) -> tuple[Graph, dict[str, np.ndarray]]:
    return read_model(pt2.onnx_bytes(path), path)


@pytest.mark.parametrize("core", [False, True], ids=["as exported", "decomposed"])
@pytest.mark.parametrize("batch", [None, 1, 3])
@pytest.mark.parametrize(("build", "shape", "kinds"), NETS.values(), ids=NETS)
def test_the_graph_computes_what_the_program_computes(
    build: Callable[[], nn.Module], shape: tuple[int, ...], kinds: str, batch: int | None, core: bool, tmp_path: Path
) -> None:
    program, path = exported(build, shape, batch), tmp_path / "net.pt2"
    if core:
        program = program.run_decompositions()
    torch.export.save(program, path)
    graph, weights = graph_of(path)
    if not core:  # that spells activations out
        assert " ".join(op.kind for op in graph.ops) == kinds
    x = np.random.default_rng(0).standard_normal((batch or 5, *shape), np.float32)
    with torch.inference_mode():
        expected = program.module()(torch.from_numpy(x)).numpy()
    (found,) = run_onnx(to_onnx(graph, weights), x.reshape(-1, *graph.input_shape))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plain network, for one image."""
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    torch.export.save(exported(plain, (2, 8, 8), 1), path)
    return path


def test_the_commands_and_a_run_take_it(saved: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(cli.nas_app(), ["cost", str(saved), "--json"])
    assert json.loads(found.output)["cost"]["params"] == (2 * 9 * 8 + 8) + (8 * 4 + 4)
    rng = np.random.default_rng(0)
    data: dict[str, Any] = {f"x_{part}": rng.standard_normal((40, 2, 8, 8), np.float32) for part in ("train", "val")}
    data |= {f"y_{part}": np.arange(40) % 4 for part in ("train", "val")}
    config = RunConfig(model=str(saved), data="arrays", max_drop="none", out=str(tmp_path / "run"))
    read = inputs.read(config, data=data)
    with torch.inference_mode():
        expected = torch.export.load(saved).module()(torch.from_numpy(data["x_val"][:1])).numpy()
    np.testing.assert_allclose(read.session().logits(data["x_val"][:3])[:1], expected, atol=1e-4)
    assert not (tmp_path / "run").exists()


def test_a_program_in_train_mode(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(plain().train(), (torch.zeros(2, 2, 8, 8),)), tmp_path / "net.pt2")
    with pytest.raises(ModelError, match=r"'batch_norm' .* train mode; call module\.eval\(\) before torch\.export"):
        graph_of(tmp_path / "net.pt2")


def test_open_sides_are_asked_for(tmp_path: Path) -> None:
    sides = {0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=4), 3: torch.export.Dim("w", min=4)}
    program = torch.export.export(plain().eval(), (torch.zeros(2, 2, 8, 9),), dynamic_shapes=(sides,))
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(ModelError, match=r"input is N x 2 x \? x \?; say with --input-shape"):
        graph_of(tmp_path / "net.pt2")
    graph, _ = read_model(pt2.onnx_bytes(tmp_path / "net.pt2", (2, 6, 5)), tmp_path)
    assert graph.input_shape == (2, 6, 5)


# What a file could do


def rewritten(path: Path, out: Path, *, compress: int = zipfile.ZIP_STORED, **entries: bytes | Callable) -> Path:
    """A copy with some entries changed, by the last part of their names; JSON by a function, and new ones added."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", compress) as new:
        for info in old.infolist():
            name = info.filename.rpartition("/")[2].replace(".", "_")
            content = old.read(info)
            change = entries.pop(name, content)
            if callable(change):
                document = json.loads(content)
                change(document)
                change = json.dumps(document).encode()
            new.writestr(info.filename, change)
        assert not entries
    return out


class Opener:
    """Unpickling this writes a file."""

    def __reduce__(self) -> tuple[Callable, tuple[str, str]]:
        return open, ("pwned", "w")


def a_trap() -> bytes:
    file = io.BytesIO()
    torch.save(Opener(), file)
    return file.getvalue()


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, in which a trap that goes off leaves `pwned`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_sample_inputs_are_not_opened(saved: Path, room: Path) -> None:
    path = rewritten(saved, room / "net.pt2", model_pt=a_trap())
    assert graph_of(path)[0].outputs == ("logits",)
    assert not (room / "pwned").exists()
    torch.load(io.BytesIO(a_trap()), weights_only=False).close()
    assert (room / "pwned").exists()  # the trap was armed


def entry(config: dict[str, Any], **changes: Any) -> None:
    next(iter(config["config"].values())).update(changes)


def test_pickled_weights_are_refused(saved: Path, room: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        entry(config, use_pickle=True, path_name="weight_0")

    path = rewritten(saved, room / "net.pt2", model_weights_config_json=change, weight_0=a_trap())
    with pytest.raises(ModelError, match=r"holds '0\.weight' as a pickle, which is not opened; export it to ONNX"):
        graph_of(path)
    assert not (room / "pwned").exists()
    with pytest.raises(Exception, match="not an instance of"):  # torch does open it
        torch.export.load(path)
    assert (room / "pwned").exists()


@pytest.mark.parametrize("payload", ["opaque_obj_0", "custom_obj_0", "../weights/weight_0"])
def test_objects_among_the_constants_are_refused(saved: Path, room: Path, payload: str) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["thing"] = {"path_name": payload, "is_param": False, "use_pickle": False, "tensor_meta": None}

    path = rewritten(saved, room / "net.pt2", model_constants_config_json=change)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"net/data/constants/{payload}", pickle.dumps(Opener()))
    with pytest.raises(ModelError, match="holds 'thing' as a pickle"):
        graph_of(path)
    assert not (room / "pwned").exists()


def test_expressions_are_not_evaluated(saved: Path, room: Path) -> None:
    text = "open('pwned', 'w')"
    expression = {"as_expr": {"expr_str": text, "hint": {"as_int": 2}}}

    def change(document: dict[str, Any]) -> None:
        graph = document["graph_module"]["graph"]
        for tensor in graph["tensor_values"].values():
            tensor["sizes"][:1] = [expression] * len(tensor["sizes"][:1])
        graph["sym_int_values"]["s0"] = expression
        document["range_constraints"] = {text: {"min_val": 0, "max_val": 9}}

    path = rewritten(saved, room / "net.pt2", model_json=change)
    assert graph_of(path)[0].outputs == ("logits",)
    assert not (room / "pwned").exists()
    with pytest.raises(Exception, match="TextIOWrapper"):  # torch does evaluate it
        torch.export.load(path)
    assert (room / "pwned").exists()


def node(document: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = document["graph_module"]["graph"]["nodes"][number]
    return found


def argument(name: str, **value: Any) -> dict[str, Any]:
    return {"name": name, "arg": value, "kind": 1}


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.relu.out",
        "torch.ops.aten.zeros.default",
        "torch.ops.aten.__class__.default",
        "torch.ops.higher_order.cond",
        "torch.load",
        "os.system",
        "_operator.call",
    ],
)
def test_only_known_operators_are_called(saved: Path, room: Path, target: str) -> None:
    def change(document: dict[str, Any]) -> None:
        arguments = [argument("filename", as_string="pwned"), argument("size", as_int=1)]
        node(document, 0).update(target=target, inputs=arguments)

    with pytest.raises(ModelError, match=rf"operator {target} (has no rule here; export it to ONNX|is not in torch)"):
        graph_of(rewritten(saved, room / "net.pt2", model_json=change))
    assert [file.name for file in room.iterdir()] == ["net.pt2"]


def grown(document: dict[str, Any]) -> None:
    node(document, 0).update(
        target="torch.ops.aten.repeat.default",
        inputs=[argument("self", as_tensor={"name": "input"}), argument("repeats", as_ints=[1, 1, 10**4, 10**4])],
    )


def torn(document: dict[str, Any]) -> None:
    document["graph_module"]["graph"]["tensor_values"]["input"]["sizes"][3] = {"as_int": 10**6}
    inputs = [argument("self", as_tensor={"name": "input"}), argument("dim", as_int=3)]
    node(document, 0).update(target="torch.ops.aten.unbind.int", inputs=inputs)


def sides(*sizes: int, strides: tuple[int, ...] = (18, 9, 3, 1)) -> Callable[[dict[str, Any]], None]:
    """The first weight, 8 x 2 x 3 x 3, with other sides."""

    def change(config: dict[str, Any]) -> None:
        meta = next(iter(config["config"].values()))["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": s} for s in sizes], [{"as_int": s} for s in strides]

    return change


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model_json": grown}, "activations may have 134217728 numbers, 'conv2d' goes beyond"),
        ({"model_json": torn}, "may be cut into 4096 parts, got 1000000"),
        ({"model_weights_config_json": sides(9, 2, 3, 3)}, "tensor is larger than its bytes"),
        ({"model_weights_config_json": sides(8, 2, 3, 3, strides=(0, 0, 0, 2**40))}, "tensor is larger than its bytes"),
        ({"model_weights_config_json": sides(2**40, 1, 1, 1, strides=(0, 0, 0, 0))}, "tensor is larger than its bytes"),
        ({"model_weights_config_json": sides(8, 2, 3, -3)}, "a tensor's sides must be whole numbers"),
        ({"model_json": b"[" * 10**6}, "is not a whole file of torch.export.save (maximum recursion depth"),
        ({"model_json": b"{}"}, "is not a whole file of torch.export.save ('schema_version')"),
        ({"model_json": lambda document: document["graph_module"].pop("graph")}, "is not a whole exported program"),
        ({"model_json": lambda document: document["schema_version"].update(major=9)}, "version 8 of the schema, got 9"),
        ({"model_constants_config_json": b'{"config": 3}'}, "whole file of torch.export.save ('int' object has"),
        ({"byteorder": b"big"}, "must be little-endian"),
        ({"compress": zipfile.ZIP_DEFLATED}, "holds compressed entries"),
    ],
)  # fmt: skip
def test_damaged_and_greedy_files(saved: Path, tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelError) as caught:
        graph_of(rewritten(saved, tmp_path / "net.pt2", **changes))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_such_archive(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    with pytest.raises(ModelError, match=r"net\.pt2' cannot be read: No such file"):
        graph_of(path)
    path.write_bytes(saved.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"is not a whole file of torch\.export\.save \(File is not a zip file\)"):
        graph_of(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(ModelError, match=r"is of torch 2\.7 or older, which pickled its tensors"):
        graph_of(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/archive_format", "pt2")
    with pytest.raises(ModelError, match="must hold one exported program, got 0"):
        graph_of(path)


def test_the_largest_file_is_bounded(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pt2_archive, "LARGEST_FILE", 100)
    with pytest.raises(ModelError, match="may have at most 0 MB"):
        graph_of(saved)


VALUES = (
    *(None, True, -1, 0, 2**31, 2**70, 1.5, "Infinity", "x", "input", [], {}, [1] * 5, {"as_int": -5}),
    *(
        {"as_none": True},
        {"as_tensor": {"name": "input"}},
        {"as_ints": [2**20, 2**20]},
        "torch.ops.aten.matmul.default",
    ),
)


def places(document: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a JSON document that is read."""
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in inside:
        if key not in ("metadata", "module_call_graph"):
            yield (*way, key)
            yield from places(value, (*way, key)) if isinstance(value, dict | list) else ()


@pytest.mark.parametrize("name", ["model_json", "model_weights_config_json"])
def test_no_change_to_a_file_ends_in_a_crash(saved: Path, tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)

    def change(document: dict[str, Any]) -> None:
        found = list(places(document))
        *way, last = found[rng.integers(len(found))]
        inside: Any = document
        for key in way:
            inside = inside[key]
        inside[last] = VALUES[rng.integers(len(VALUES))]

    refusals = []
    for _ in range(50):
        try:
            graph_of(rewritten(saved, tmp_path / "net.pt2", **{name: change}))
        except EngineError as error:
            refusals.append(str(error))
    assert len(refusals) >= 5
    assert not any("\n" in text for text in refusals)
