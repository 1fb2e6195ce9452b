"""A real, small task for end-to-end tests: scikit-learn's digits (1,797 images of 8 x 8) and a net trained on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from nas.pytorch import modules


def arrays() -> dict[str, np.ndarray]:
    """897 training, 500 validation and 400 test images, uint8 N x 1 x 8 x 8."""
    digits = load_digits()
    images = (digits.images * 255 / 16).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    rows = np.random.default_rng(0).permutation(len(images))
    parts = {"train": rows[:897], "val": rows[897:1397], "test": rows[1397:]}
    found = {f"x_{part}": images[chosen] for part, chosen in parts.items()}
    return found | {f"y_{part}": labels[chosen] for part, chosen in parts.items()}


def network(*head: nn.Module) -> nn.Sequential:
    """A plain chain with a stride and a depthwise block: about 24,000 parameters; behind its pool, 32 features."""

    def block(into: int, out: int, stride: int = 1, groups: int = 1, kernel: int = 3) -> list[nn.Module]:
        conv = nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        return [conv, nn.BatchNorm2d(out), nn.ReLU()]

    return nn.Sequential(
        *block(1, 24),
        *block(24, 32, stride=2),
        *block(32, 32, groups=32),
        *block(32, 48, kernel=1),
        *block(48, 32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        *(head or [nn.Linear(32, 10)]),
    )


def write(folder: Path, *, epochs: int = 30) -> tuple[Path, Path]:
    """Trains the network (about five seconds) and writes `digits.onnx` and `digits.npz`."""
    torch.manual_seed(0)
    return trained(network(), arrays(), nn.functional.cross_entropy, folder, epochs=epochs)


def trained(
    net: nn.Module, data: dict[str, np.ndarray], loss_of: Callable[..., torch.Tensor], folder: Path, *, epochs: int
) -> tuple[Path, Path]:
    """Trains a network on `x_train` and `y_train` and writes it and the data."""
    x, y = torch.from_numpy(data["x_train"]), torch.from_numpy(data["y_train"])
    x = x.float() / 255 if x.dtype == torch.uint8 else x
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    shuffle = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=shuffle).split(64):
            loss = loss_of(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    model, file = folder / "digits.onnx", folder / "digits.npz"
    modules.export(net, tuple(x.shape[1:]), model)
    np.savez(file, **data)  # type: ignore[arg-type]
    return model, file
