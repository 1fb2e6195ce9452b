"""Exercises from a wrist's accelerometer and gyroscope: seglearn's watch data, split by person, and a 1-D network.

    pip install seglearn
    python -m experiments.har.watch          # trains the original, writes results/har/net.safetensors
    optimize --model experiments.har.watch:net --weights results/har/net.safetensors \\
        --data experiments.har.watch:splits --max-size 32KB --max-drop 2% --budget 3m --out results/har/run

Real data (seglearn, BSD-3-Clause): 140 recordings of seven shoulder exercises by 20 persons, six channels at 50 Hz.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

WINDOW, STEP = 128, 32
WEIGHTS = Path("results/har/net.safetensors")


def splits() -> dict[str, np.ndarray]:
    """Windows N x 6 x 128, z-scored by the training persons; nobody is in two of train, val and test."""
    from seglearn.datasets import load_watch

    data = load_watch()
    x, y, person = [], [], []
    for series, label, subject in zip(data["X"], data["y"], data["subject"], strict=True):
        for start in range(0, len(series) - WINDOW + 1, STEP):
            x.append(np.asarray(series[start : start + WINDOW], np.float32).T)
            y.append(int(label))
            person.append(int(subject))
    x, y, person = np.stack(x), np.array(y), np.array(person)
    people = np.unique(person)
    parts = {"test": people[::4], "val": people[1::4]}
    parts["train"] = np.setdiff1d(people, [*parts["test"], *parts["val"]])
    rows = {part: np.isin(person, members) for part, members in parts.items()}
    mean, std = (f(x[rows["train"]], axis=(0, 2), keepdims=True) for f in (np.mean, np.std))
    x = (x - mean) / std
    found = {}
    for part, chosen in rows.items():
        found |= {f"x_{part}": x[chosen], f"y_{part}": y[chosen], f"groups_{part}": person[chosen]}
    return found


def net() -> nn.Module:
    """Four 1-D convolutions of 64 to 128 channels: 0.2 M parameters."""
    layers: list[nn.Module] = []
    channels = 6
    for out, stride in ((64, 1), (64, 2), (128, 2), (128, 2)):
        layers += [nn.Conv1d(channels, out, 7, stride, 3), nn.BatchNorm1d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(channels, 7))


def main(steps: int = 1500, batch: int = 64) -> None:
    torch.manual_seed(0)
    data, model = splits(), net()
    x, y = torch.from_numpy(data["x_train"]), torch.from_numpy(data["y_train"])
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for step in range(steps):
        rows = torch.randint(len(x), (batch,))
        loss = nn.functional.cross_entropy(model(x[rows] + 0.05 * torch.randn(batch, 6, WINDOW)), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 250 == 249:
            print(f"step {step + 1}, loss {loss.item():.3f}", flush=True)
    model.eval()
    with torch.no_grad():
        for part in ("train", "val", "test"):
            right = model(torch.from_numpy(data[f"x_{part}"])).argmax(1).numpy() == data[f"y_{part}"]
            print(f"{part}: {len(right)} windows, {100 * right.mean():.2f} % right")
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), WEIGHTS)


if __name__ == "__main__":
    main()
