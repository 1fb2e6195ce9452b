"""SYNTHETIC spectra of four machines, seeded: sound ones to train on, sound and faulty ones to be told apart.

A row is five successive frames of 128 frequency bins in decibels, as in MLPerf Tiny's anomaly detection (whose real
recordings, ToyADMOS, are not used here), standardized bin by bin by the training rows. A machine is its speed, the
strength of its harmonics, two resonances and a noise floor; every row has another speed and load. Faults are what
vibration analysis looks for: a worn bearing (tones at 3.57 times the speed, with sidebands), an imbalance (a stronger
first harmonic), looseness (half harmonics), a leak (noise in a band). They are as weak as to be missed sometimes.
"""

import numpy as np

BINS, FRAMES, MACHINES = 128, 5, 4
FAULTS = ("bearing", "imbalance", "looseness", "leak")
ROWS = {"train": 8000, "val": 4000, "test": 4000}
GRID = np.arange(BINS)


def tones(places: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """The power in each bin of tones at some bins, each as wide as a window makes it."""
    return (powers[:, None] * np.exp(-0.5 * ((GRID - places[:, None]) / 0.8) ** 2)).sum(0)


class Machine:
    """What is the same in every row of a machine."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.speed = rng.uniform(6, 10)  # the first harmonic's bin
        self.harmonics = 10 ** rng.uniform(-0.5, 1.5, 12) * 0.8 ** np.arange(12)
        self.load_exponents = rng.uniform(0.5, 2, 12)
        places, widths, gains = rng.uniform(20, 110, 2), rng.uniform(6, 15, 2), rng.uniform(1, 4, 2)
        self.resonance = 1 + (gains[:, None] * np.exp(-0.5 * ((GRID - places[:, None]) / widths[:, None]) ** 2)).sum(0)
        self.floor = 0.1 * np.exp(-GRID / rng.uniform(40, 120))

    def row(self, rng: np.random.Generator, fault: str | None) -> np.ndarray:
        """Decibels, frames one after another."""
        speed, load, strength = self.speed * rng.uniform(0.95, 1.05), rng.uniform(0.7, 1.4), rng.uniform(0.2, 1)
        harmonics, floor = self.harmonics * load**self.load_exponents, self.floor * rng.uniform(0.8, 1.25)
        if fault == "imbalance":
            harmonics[0] *= 1 + 4 * strength
        if fault == "leak":
            floor = floor * (1 + 1.5 * strength * np.exp(-0.5 * ((GRID - rng.uniform(60, 110)) / 12) ** 2))
        orders, powers = [np.arange(1, 13)], [harmonics]
        if fault == "looseness":
            orders.append(np.arange(0.5, 6))
            powers.append(0.15 * strength * harmonics[:6])
        if fault == "bearing":
            orders.append((3.57 * np.arange(1, 4)[:, None] + [-1, 0, 1]).ravel())
            powers.append(strength * np.tile([0.2, 0.5, 0.2], 3))
        orders, powers = np.concatenate(orders), np.concatenate(powers)
        frames = [
            (tones(orders * speed * (1 + drift), powers) * self.resonance + floor) * rng.gamma(8, 1 / 8, BINS)
            for drift in np.cumsum(rng.normal(0, 0.003, FRAMES))
        ]
        return 10 * np.log10(np.concatenate(frames) + 1e-3)


def splits(*, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows N x 640 as float32; in val and test every other one is faulty, each fault equally often."""
    machines = [Machine(np.random.default_rng([seed, number])) for number in range(MACHINES)]
    found: dict[str, np.ndarray] = {}
    for number, (part, count) in enumerate(ROWS.items()):
        rng = np.random.default_rng([seed, MACHINES + number])
        flags = np.zeros(count, np.int64) if part == "train" else np.arange(count) % 2
        kinds = [FAULTS[row // 2 % len(FAULTS)] if flag else None for row, flag in enumerate(flags)]
        rows = [machines[rng.integers(MACHINES)].row(rng, kind) for kind in kinds]
        found |= {f"x_{part}": np.array(rows, np.float32), f"y_{part}": flags}
    mean, std = found["x_train"].mean(0), found["x_train"].std(0)
    return {key: (value - mean) / std if key.startswith("x") else value for key, value in found.items()}
