"""Trains ResNet-8, MLPerf Tiny's image classifier, on Fashion-MNIST padded to 32 x 32; keeps its weights, log and sum.

    python -m experiments.originals.train_resnet8 [--epochs 20]

It sees `train` of the quickstart's split only; the accuracies on the other splits are logged and choose nothing: the
last epoch is the one that is kept. Each epoch is kept as well, and a training that was stopped goes on.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.originals.train_mobilenet_v1 import accuracy, augment, note
from experiments.runs import record_sum
from nas import quickstart

HERE = Path(__file__).parent
WEIGHTS = Path("results/originals/resnet8.safetensors")
PAD = 2


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inside, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        self.shortcut = nn.Identity() if inside == out else nn.Conv2d(inside, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


def resnet8() -> nn.Module:
    """78 thousand parameters: 16, 32 and 64 channels, one block each."""
    stem = [nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    blocks = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)]
    return nn.Sequential(*stem, *blocks, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))


def splits() -> dict[str, np.ndarray]:
    """The quickstart's arrays, images padded with black to 32 x 32; both validation splits are `val`."""
    data = quickstart.arrays()
    around = ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD))
    padded = {key: np.pad(value, around) if key.startswith("x_") else value for key, value in data.items()}
    val = {f"{k}_val": np.concatenate([padded[f"{k}_search_val"], padded[f"{k}_final_val"]]) for k in "xy"}
    return {f"{k}_{part}": padded[f"{k}_{part}"] for k in "xy" for part in ("train", "test")} | val


def train(args: argparse.Namespace) -> nn.Module:
    torch.manual_seed(args.seed)
    views = torch.Generator().manual_seed(args.seed + 1)
    data = quickstart.arrays()
    images, labels = torch.from_numpy(data["x_train"]), torch.from_numpy(data["y_train"])
    net = resnet8().to(memory_format=torch.channels_last)
    per_epoch = len(images) // args.batch
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.1, args.epochs * per_epoch, pct_start=0.1, cycle_momentum=False
    )
    state, done = WEIGHTS.with_suffix(".state"), 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        done = kept["epoch"]
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
    start = time.perf_counter()
    for epoch in range(done + 1, args.epochs + 1):
        net.train()
        order, losses = torch.Generator().manual_seed(1000 * args.seed + epoch), []
        for batch in torch.randperm(len(images), generator=order).split(args.batch)[:per_epoch]:
            x = F.pad(augment(images[batch].float().div_(255), views), (PAD, PAD, PAD, PAD))
            loss = F.cross_entropy(net(x.contiguous(memory_format=torch.channels_last)), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        shown = ("search_val", "final_val", "test") if epoch == args.epochs else ("search_val",)
        around = ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD))
        measured = {s: accuracy(net, np.pad(data[f"x_{s}"], around), data[f"y_{s}"]) for s in shown}
        note(HERE / "resnet8.csv", epoch, float(np.mean(losses)), measured, time.perf_counter() - start)
        kept = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        torch.save(kept | {"epoch": epoch}, state)
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    net = train(args)
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, WEIGHTS)
    print(record_sum(WEIGHTS))


if __name__ == "__main__":
    main()
