"""PyTorch modules through ONNX into a Graph: the same numbers; what cannot be used is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from nas import quickstart
from nas.pytorch import modules
from search_spaces.errors import ModelError, RunFolderError
from search_spaces.from_onnx import load_model
from search_spaces.graph import Graph
from search_spaces.to_onnx import to_onnx
from tests.toys import images, run_onnx


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


def chain() -> nn.Module:
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))
    return nn.Sequential(conv(2, 8), nn.ReLU(), nn.MaxPool2d(2), conv(8, 12), nn.ReLU(), *pooled)


def depthwise() -> nn.Module:
    """A MobileNet for 16x16 in TensorFlow's padding, so small at its end that its pool covers one element."""
    layers: list[nn.Module] = []
    channels = 2
    for out in (4, 8, 12, 16):
        same = nn.ZeroPad2d((0, 1, 0, 1))
        layers += [same, nn.Conv2d(channels, channels, 3, 2, groups=channels, bias=False)]
        layers += [nn.BatchNorm2d(channels), nn.ReLU6(), conv(channels, out, 1), nn.ReLU6()]
        channels = out
    return nn.Sequential(*layers, nn.AvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(16, 4))


class Residual(nn.Module):
    """A block of the first ResNet, https://arxiv.org/abs/1512.03385, with a projection, behind a normalised input."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor([0.4, 0.6]).view(1, 2, 1, 1))
        self.stem, self.first, self.second = conv(2, 8), conv(8, 12, stride=2), conv(12, 12)
        self.project, self.head = conv(8, 12, 1, 2), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem((x - self.mean) / 0.25))
        x = functional.relu(self.second(functional.relu(self.first(x))) + self.project(x))
        return self.head(x.mean((2, 3)))


class PreActivation(nn.Module):
    """BatchNorm before the convolution, https://arxiv.org/abs/1603.05027: it cannot fold and stays an affine."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.conv = nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)
        self.hidden, self.hidden_norm, self.head = nn.Linear(6 * 7 * 7, 10), nn.BatchNorm1d(10), nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = functional.avg_pool2d(x + self.conv(functional.relu(self.norm(x))), 2)
        x = self.hidden_norm(self.hidden(x.view(x.size(0), -1)))
        return functional.softmax(self.head(x.clamp(min=0)), dim=1)


class Concat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = conv(2, 6, 1), conv(2, 10)
        self.mix, self.head = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=4), nn.Linear(16 * 16 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([functional.relu(self.left(x)), self.right(x)], 1)
        x = functional.hardtanh(self.mix(x) + x, 0, 6)
        count, channels, height, width = x.shape
        return self.head(x.reshape(count, channels * height * width))


class Gated(nn.Module):
    """Squeeze and excite, https://arxiv.org/abs/1709.01507, with linear layers between a flatten and its undoing."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down, self.up, self.head = conv(2, 8), nn.Linear(8, 4), nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        gate = functional.adaptive_avg_pool2d(x, 1).view(x.size(0), -1)
        gate = torch.sigmoid(self.up(functional.relu(self.down(gate)))).view(x.size(0), -1, 1, 1)
        return self.head(functional.adaptive_avg_pool2d(gate * x, 1).squeeze(-1).squeeze(-1))


NETS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "chain": (chain, "conv relu max_pool conv relu global_avg_pool flatten linear"),
    "depthwise": (depthwise, "conv relu6 " * 8 + "flatten linear"),
    "residual": (Residual, "affine conv relu conv relu conv conv add relu global_avg_pool flatten linear"),
    "pre-activation": (PreActivation, "conv affine relu conv add avg_pool flatten linear relu linear softmax"),
    "concat": (Concat, "conv relu conv concat conv add relu6 flatten linear"),
    "gated": (Gated, "conv relu global_avg_pool conv relu conv sigmoid mul global_avg_pool flatten linear"),
}


def trained(build: Callable[[], nn.Module]) -> nn.Module:
    """As if trained: seeded weights, and statistics that are not those of a fresh BatchNorm."""
    torch.manual_seed(0)
    net = build()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, 0, 0.2)  # type: ignore[arg-type]
            nn.init.uniform_(part.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias, 0, 0.2)
    return net


def kinds(graph: Graph) -> str:
    return " ".join(op.kind for op in graph.ops)


@pytest.mark.parametrize(("build", "expected"), NETS.values(), ids=NETS)
def test_the_graph_computes_what_the_module_computes(
    build: Callable[[], nn.Module], expected: str, tmp_path: Path
) -> None:
    net, path = trained(build), tmp_path / "net.onnx"
    modules.export(net, (2, 16, 16), path)
    graph, weights = load_model(path)
    assert kinds(graph) == expected
    assert (graph.input, graph.outputs, graph.shapes["logits"]) == ("image", ("logits",), (4,))
    x = images(graph, 5)
    with torch.inference_mode():
        of_torch = net.eval()(torch.from_numpy(x)).numpy()
    (of_file,), (of_graph,) = run_onnx(path, x), run_onnx(to_onnx(graph, weights), x)
    np.testing.assert_allclose(of_graph, of_file, atol=1e-4)
    np.testing.assert_allclose(of_graph, of_torch, atol=1e-4)


@pytest.mark.skipif(not quickstart.MODEL_PATH.exists(), reason="the bundled original is not trained yet")
def test_the_bundled_original() -> None:
    graph, weights = load_model(quickstart.MODEL_PATH)
    assert kinds(graph) == "conv relu6 " * 27 + "flatten linear"
    x = (quickstart.arrays()["x_test"][:32] / 255).astype(np.float32)
    (before,), (after,) = run_onnx(quickstart.MODEL_PATH, x), run_onnx(to_onnx(graph, weights), x)
    np.testing.assert_allclose(after, before, atol=1e-4)


# Export


def test_export_leaves_every_submodule_in_its_mode(tmp_path: Path) -> None:
    net = trained(chain).train()
    net[0].eval()  # a part that was frozen on purpose
    modules.export(net, (2, 16, 16), tmp_path / "net.onnx")
    assert (net.training, net[0].training, net[3].training) == (True, False, True)


def test_a_failed_export_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"as it was")
    with pytest.raises(
        ModelError, match=r"must run on N x 5 x 16 x 16 and export to ONNX, got RuntimeError: .*channels"
    ):
        modules.export(chain(), (5, 16, 16), path)
    assert path.read_bytes() == b"as it was"
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.onnx"]


def test_export_into_a_file_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="file"):
        modules.export(chain(), (2, 16, 16), tmp_path / "file" / "net.onnx")


# Load


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module of the user's own."""
    (tmp_path / "their_models.py").write_text(
        "from torch import nn\n"
        "small = lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 2))\n"
        "def number(): return 3\n"
        "def broken(): raise OSError('no disk\\nno fun')\n"
    )
    (tmp_path / "broken_models.py").write_text("import a_package_nobody_has\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    return tmp_path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "checkpoint.pth"])
def test_load_with_weights(package: Path, name: str) -> None:
    source = modules.load("their_models:small").state_dict()
    source["1.bias"] = torch.tensor([3.0, 5.0])
    if name == "w.safetensors":
        save_file(source, package / name)
    else:
        torch.save(source if name == "w.pt" else {"state_dict": source, "epoch": 3}, package / name)
    loaded = modules.load("their_models:small", package / name)
    assert {key: value.tolist() for key, value in loaded.state_dict().items()} == {
        key: value.tolist() for key, value in source.items()
    }


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("their_models", "must be package.module:function"),
        ("no_such_models:small", "cannot be imported: No module named 'no_such_models'"),
        ("broken_models:small", "cannot be imported: No module named 'a_package_nobody_has'"),
        ("their_models:large", "module their_models has no function large"),
        ("their_models:number", "must return a torch.nn.Module, got int"),
        ("their_models:broken", "raised OSError: no disk"),
    ],
)
def test_specs_that_name_no_module(package: Path, spec: str, text: str) -> None:
    with pytest.raises(ModelError) as caught:
        modules.load(spec)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


class Opener:
    """Unpickling this writes a file."""

    def __reduce__(self) -> tuple[Callable, tuple[str, str]]:
        return open, ("pwned", "w")


def test_weights_are_never_unpickled(package: Path) -> None:
    torch.save({"1.weight": Opener()}, package / "evil.pt")
    with pytest.raises(ModelError, match=r"evil\.pt must hold tensors only"):
        modules.load("their_models:small", package / "evil.pt")
    assert not (package / "pwned").exists()
    torch.load(package / "evil.pt", weights_only=False)["1.weight"].close()
    assert (package / "pwned").exists()  # the trap was armed


def test_weights_that_cannot_be_used(package: Path) -> None:
    spec = "their_models:small"
    with pytest.raises(ModelError, match=r"gone\.pt', which is not there"):
        modules.load(spec, package / "gone.pt")
    for name in ("cut.safetensors", "cut.pt"):
        (package / name).write_bytes(b"not weights")
        with pytest.raises(ModelError, match=rf"{name} must hold tensors only and be whole"):
            modules.load(spec, package / name)
    torch.save([torch.zeros(2)], package / "list.pt")
    with pytest.raises(ModelError, match="must hold a state dict, got list"):
        modules.load(spec, package / "list.pt")
    save_file({"1.weight": torch.zeros(2, 4)}, package / "half.safetensors")
    with pytest.raises(ModelError, match=r'half\.safetensors does not fit .*Missing key.* "1.bias"'):
        modules.load(spec, package / "half.safetensors")
    save_file({"1.weight": torch.zeros(2, 5), "1.bias": torch.zeros(2)}, package / "wide.safetensors")
    with pytest.raises(ModelError, match=r"wide\.safetensors does not fit .*size mismatch for 1\.weight"):
        modules.load(spec, package / "wide.safetensors")
