"""An autoencoder that hears faults of machines it was never shown, on SYNTHETIC spectra.

    python -m experiments.machines.run [--budget 10m] [--workers N]

Trains the original unless its weights are there, then searches; a run that was stopped goes on.
"""

import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from experiments.machines.spectra import BINS, FAULTS, FRAMES, splits
from experiments.runs import fit, parser

CONFIG = tomllib.loads(Path(__file__).with_name("config.toml").read_text())


def net() -> nn.Module:
    """640-128-128-8-128-128-640 with batch norm, 0.2 M parameters: MLPerf Tiny's autoencoder with fewer layers."""
    layers: list[nn.Module] = []
    sides = (BINS * FRAMES, 128, 128, 8, 128, 128)
    for inputs, outputs in pairwise(sides):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sides[-1], sides[0]))


def train(weights: Path, epochs: int = 40, batch: int = 128) -> None:
    """Reproduces the training rows, all of them sound."""
    torch.manual_seed(0)
    data, model = splits(), net()
    x = torch.from_numpy(data["x_train"])
    steps = len(x) // batch
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs * steps)
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(x)).split(batch)[:steps]:
            loss = nn.functional.mse_loss(model(x[rows]), x[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 10 == 0:
            print(f"epoch {epoch}, loss {loss.item():.3f}", flush=True)
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), weights)
    for part in ("val", "test"):
        report(model.eval(), part, data[f"x_{part}"], data[f"y_{part}"])


@torch.inference_mode()
def report(model: nn.Module, part: str, x: np.ndarray, y: np.ndarray) -> None:
    """The share of pairs of a faulty and a sound row of which the faulty one is reproduced worse, for each fault."""
    errors = ((model(torch.from_numpy(x)).numpy() - x) ** 2).mean(1)
    faulty = errors[y == 1]
    shares = [100 * (one[:, None] > errors[y == 0]).mean() for one in (faulty, *(faulty[k::4] for k in range(4)))]
    named = ", ".join(f"{fault} {share:.1f}" for fault, share in zip(FAULTS, shares[1:], strict=True))
    print(f"{part}: AUC {shares[0]:.2f} % ({named})", flush=True)


def main() -> None:
    args = parser(__doc__).parse_args()
    if not Path(CONFIG["weights"]).exists():
        train(Path(CONFIG["weights"]))
    fit(CONFIG, args)


if __name__ == "__main__":
    main()
