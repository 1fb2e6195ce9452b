"""Four small originals beside the quickstart's, each trained for a few epochs on Fashion-MNIST, as ONNX files.

The 1-D network reads a picture's rows as 28 channels of a series of 28 steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nas import quickstart
from nas.pytorch import modules

EPOCHS, BATCH = 3, 128


def block(into: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: type[nn.Module] = nn.ReLU):
    conv = nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), act())


def head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Residual(nn.Module):
    """Two convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(block(into, out, stride=stride), block(out, out, act=nn.Identity))
        self.side = nn.Identity() if stride == 1 else block(into, out, 1, stride, act=nn.Identity)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.main(x) + self.side(x))


class Inverted(nn.Module):
    """MobileNetV3's block: wide, depthwise, squeeze-and-excite, narrow, and a shortcut where shapes allow it."""

    def __init__(self, into: int, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.wide = nn.Sequential(
            block(into, wide, 1, act=nn.Hardswish), block(wide, wide, 3, stride, wide, nn.Hardswish)
        )
        squeezed = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, wide // 4, 1), nn.ReLU()]
        self.gate = nn.Sequential(*squeezed, nn.Conv2d(wide // 4, wide, 1), nn.Sigmoid())
        self.narrow = block(wide, out, 1, act=nn.Identity)
        self.adds = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        wide = self.wide(x)
        found = self.narrow(wide * self.gate(wide))
        return x + found if self.adds else found


class Dense(nn.Module):
    """DenseNet's block: every convolution reads all before it."""

    def __init__(self, into: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([block(into + k * growth, growth) for k in range(layers)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class Series(nn.Sequential):
    """A 1-D network."""

    def __init__(self) -> None:
        sizes = [(28, 48, 5, 1), (48, 64, 5, 2), (64, 96, 3, 2), (96, 96, 3, 1)]
        parts: list[nn.Module] = []
        for into, out, kernel, stride in sizes:
            conv = nn.Conv1d(into, out, kernel, stride, kernel // 2, bias=False)
            parts += [conv, nn.BatchNorm1d(out), nn.ReLU()]
        super().__init__(*parts, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(96, 10))


def networks() -> dict[str, nn.Module]:
    """By name, untrained."""
    torch.manual_seed(0)
    return {
        "resnet8": nn.Sequential(
            block(1, 16), Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2), head(64)
        ),
        "mobilenet_v3": nn.Sequential(
            block(1, 16, stride=2, act=nn.Hardswish), Inverted(16, 48, 24, 2), Inverted(24, 72, 24, 1),
            Inverted(24, 96, 40, 2), Inverted(40, 160, 40, 1), block(40, 160, 1, act=nn.Hardswish), head(160),
        ),
        "densenet": nn.Sequential(
            block(1, 16, stride=2), Dense(16, 12, 3), block(52, 32, 1), nn.AvgPool2d(2), Dense(32, 12, 3), head(68)
        ),
        "series": Series(),
    }  # fmt: skip


def arrays(name: str) -> dict[str, np.ndarray]:
    """The quickstart's splits, of train the first 10,000; as series for the 1-D network."""
    found = quickstart.arrays()
    found |= {key: found[key][:10_000] for key in ("x_train", "y_train")}
    if name == "series":
        found = {key: a[:, 0].astype(np.float32) / 255 if key[0] == "x" else a for key, a in found.items()}
    return found


def write(name: str, path: Path) -> None:
    """Trains an original and writes it."""
    net, data = networks()[name].train(), arrays(name)
    x, y = torch.from_numpy(data["x_train"]), torch.from_numpy(data["y_train"])
    x = x.float() / 255 if x.dtype == torch.uint8 else x
    steps = EPOCHS * (len(x) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, steps)
    shuffle = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=shuffle).split(BATCH)[: steps // EPOCHS]:
            loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    modules.export(net.eval(), tuple(x.shape[1:]), path)
