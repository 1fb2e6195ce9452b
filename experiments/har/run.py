"""Exercises from a wrist's accelerometer and gyroscope: seglearn's watch data, split by person, and a 1-D network.

    pip install --no-deps seglearn
    python -m experiments.har.run [--budget 10m] [--workers N]

Trains the original unless its weights are there, then searches; a run that was stopped goes on.
"""

import tomllib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from experiments.runs import fit, parser, record_sum

CONFIG = tomllib.loads(Path(__file__).with_name("config.toml").read_text())
WINDOW, STEP = 128, 32
PEOPLE = {"train": (1, 2, 3, 4, 5, 6), "val": (7, 8), "test": (9, 10)}


def splits() -> dict[str, np.ndarray]:
    """Windows N x 6 x 128, z-scored by the training people; nobody is in two of train, val and test."""
    from seglearn.datasets import load_watch

    data = load_watch()
    x, y, person = [], [], []
    for series, label, subject in zip(data["X"], data["y"], data["subject"], strict=True):
        for start in range(0, len(series) - WINDOW + 1, STEP):
            x.append(np.asarray(series[start : start + WINDOW], np.float32).T)
            y.append(int(label))
            person.append(int(subject))
    x, y, person = np.stack(x), np.array(y), np.array(person)
    rows = {part: np.isin(person, people) for part, people in PEOPLE.items()}
    mean, std = (f(x[rows["train"]], axis=(0, 2), keepdims=True) for f in (np.mean, np.std))
    x = (x - mean) / std
    return {
        f"{name}_{part}": values[chosen]
        for part, chosen in rows.items()
        for name, values in (("x", x), ("y", y), ("groups", person))
    }


def net() -> nn.Module:
    """Four 1-D convolutions of 64 to 128 channels: 0.2 M parameters."""
    layers: list[nn.Module] = []
    channels = 6
    for out, stride in ((64, 1), (64, 2), (128, 2), (128, 2)):
        layers += [nn.Conv1d(channels, out, 7, stride, 3), nn.BatchNorm1d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels, 7))


def train(weights: Path, steps: int = 1000, batch: int = 64) -> None:
    """Windows of another amplitude, sensor by sensor, and with noise, as another person's would be."""
    torch.manual_seed(0)
    data, model = splits(), net()
    x, y = torch.from_numpy(data["x_train"]), torch.from_numpy(data["y_train"])
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for step in range(1, steps + 1):
        rows = torch.randint(len(x), (batch,))
        seen = x[rows] * (1 + 0.2 * torch.randn(batch, 6, 1)) + 0.1 * torch.randn(batch, 6, WINDOW)
        loss = nn.functional.cross_entropy(model(seen), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}, loss {loss.item():.3f}", flush=True)
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), weights)
    print(record_sum(weights), flush=True)
    with torch.inference_mode():
        for part in PEOPLE:
            right = model.eval()(torch.from_numpy(data[f"x_{part}"])).argmax(1).numpy() == data[f"y_{part}"]
            print(f"{part}: people {PEOPLE[part]}, {len(right)} windows, {100 * right.mean():.2f} % right", flush=True)


def main() -> None:
    args = parser(__doc__).parse_args()
    if not Path(CONFIG["weights"]).exists():
        train(Path(CONFIG["weights"]))
    fit(CONFIG, args)


if __name__ == "__main__":
    main()
