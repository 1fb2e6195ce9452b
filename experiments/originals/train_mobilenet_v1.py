"""Trains the quickstart's original, MobileNetV1 x1.0 at 28x28, and writes its ONNX file and its log.

    python experiments/originals/train_mobilenet_v1.py [--epochs 14] [--workers 2]

The network is arXiv:1704.04861 with TensorFlow's SAME padding, one input channel and ten classes. It sees `train` only;
the accuracies on the other splits are logged and choose nothing: the last epoch is the one that is kept.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from nas import quickstart

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
HERE = Path(__file__).parent


def same_padding(size: int, stride: int) -> tuple[nn.Module, int]:
    """TensorFlow's SAME padding of a 3x3 kernel, and the output's side; the extra row and column go below and right."""
    out = -(-size // stride)
    total = max((out - 1) * stride + 3 - size, 0)
    low, high = total // 2, total - total // 2
    return (nn.ZeroPad2d((low, high, low, high)) if total else nn.Identity()), out


def mobilenet_v1(classes: int = 10, side: int = 28) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels, size = 1, side

    def spatial(out: int, stride: int, groups: int) -> None:
        nonlocal size
        pad, size = same_padding(size, stride)
        layers.extend([pad, nn.Conv2d(channels, out, 3, stride, groups=groups, bias=False)])
        layers.extend([nn.BatchNorm2d(out), nn.ReLU6(inplace=True)])

    spatial(32, 2, 1)
    channels = 32
    for out, stride in BLOCKS:
        spatial(channels, stride, channels)
        layers.extend([nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU6(inplace=True)])
        channels = out
    return nn.Sequential(*layers, nn.AvgPool2d(size), nn.Flatten(), nn.Linear(channels, classes))


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Mirrored half the time and shifted by up to two pixels; N x 1 x 28 x 28 in [0, 1]."""
    n = len(x)
    x = torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.5, x.flip(3), x)
    padded = nn.functional.pad(x, (2, 2, 2, 2))
    dy, dx = (torch.randint(0, 5, (n, 1), generator=rng) for _ in range(2))
    rows = (dy + torch.arange(28)).view(n, 1, 28, 1).expand(n, 1, 28, 32)
    columns = (dx + torch.arange(28)).view(n, 1, 1, 28).expand(n, 1, 28, 28)
    return padded.gather(2, rows).gather(3, columns)


@torch.inference_mode()
def accuracy(net: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    net.eval()
    right = 0
    for k in range(0, len(x), 500):
        batch = torch.from_numpy(x[k : k + 500]).float().div_(255).contiguous(memory_format=torch.channels_last)
        right += int((net(batch).argmax(1).numpy() == y[k : k + 500]).sum())
    return 100 * right / len(x)


def train(rank: int, args: argparse.Namespace) -> None:
    """One of `args.workers` processes: each takes its share of every batch, gradients are averaged (DDP)."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    dist.init_process_group("gloo", init_method=f"file://{args.meeting}", rank=rank, world_size=args.workers)
    torch.manual_seed(args.seed)
    order = torch.Generator().manual_seed(args.seed)
    views = torch.Generator().manual_seed(args.seed + 1 + rank)
    data = quickstart.arrays()
    images, labels = torch.from_numpy(data["x_train"]), torch.from_numpy(data["y_train"])
    net = mobilenet_v1().to(memory_format=torch.channels_last)
    replica = nn.parallel.DistributedDataParallel(net, gradient_as_bucket_view=True)
    per_epoch = len(images) // args.batch
    optimizer = torch.optim.SGD(net.parameters(), lr=0.06, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.06, args.epochs * per_epoch, pct_start=0.1, cycle_momentum=False
    )
    start = time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        replica.train()
        losses = []
        for batch in torch.randperm(len(images), generator=order).split(args.batch)[:per_epoch]:
            mine = batch[rank :: args.workers]
            x = augment(images[mine].float().div_(255), views).contiguous(memory_format=torch.channels_last)
            loss = nn.functional.cross_entropy(replica(x), labels[mine])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        if rank == 0:
            splits = ("search_val", "final_val", "test") if epoch == args.epochs else ("search_val",)
            measured = {split: accuracy(net, data[f"x_{split}"], data[f"y_{split}"]) for split in splits}
            note(args.log, epoch, float(np.mean(losses)), measured, time.perf_counter() - start)
            torch.save(net.state_dict(), args.weights)
    dist.destroy_process_group()


def note(log: Path, epoch: int, loss: float, accuracies: dict[str, float], seconds: float) -> None:
    """Appends one row to the log, which starts anew with the first epoch."""
    with log.open("w" if epoch == 1 else "a", newline="") as file:
        rows = csv.writer(file)
        if epoch == 1:
            rows.writerow(["epoch", "train_loss", *[f"{s}_accuracy" for s in ("search_val", "final_val", "test")], "s"])
        measured = [accuracies.get(split, "") for split in ("search_val", "final_val", "test")]
        rows.writerow([epoch, round(loss, 4), *measured, round(seconds)])
    print(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracies}, {seconds:.0f} s", flush=True)


def export(weights: Path, out: Path) -> None:
    net = mobilenet_v1()
    net.load_state_dict(torch.load(weights, weights_only=True))
    net.eval()
    part = out.with_suffix(".part")
    axes = {"image": {0: "n"}, "logits": {0: "n"}}
    names = {"input_names": ["image"], "output_names": ["logits"]}
    torch.onnx.export(
        net, (torch.zeros(1, 1, 28, 28),), part, dynamo=False, opset_version=17, dynamic_axes=axes, **names
    )
    part.replace(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=HERE / "mobilenet_v1.csv")
    parser.add_argument("--out", type=Path, default=quickstart.MODEL_PATH)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        args.meeting, args.weights = Path(folder) / "meeting", Path(folder) / "weights.pt"
        torch.multiprocessing.spawn(train, (args,), nprocs=args.workers)
        export(args.weights, args.out)


if __name__ == "__main__":
    main()
