"""What the benchmark is made of: originals, scenarios, engines, and the blocks of cells in the order of their value."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = Path("results/search_bench")
MAX_DROP = 2.0
MOST_LOAD = 0.5
"""Processors at work before a cell, above which its row is no evidence."""
SIZES = {"mobilenet": "256KB", "resnet8": "64KB", "har": "24KB"}
ORIGINALS: dict[str, dict[str, str]] = {
    "mobilenet": {},  # the quickstart's model and data
    "resnet8": {
        "model": "experiments.originals.train_resnet8:resnet8",
        "weights": "results/originals/resnet8.safetensors",
        "data": "experiments.originals.train_resnet8:splits",
    },
    "har": {
        "model": "experiments.har.run:net",
        "weights": "results/har/net.safetensors",
        "data": "experiments.har.run:splits",
    },
}
OBJECTIVES = {"S": "size,drop", "R": "size,ram,drop", "L": "size,latency,drop"}
ABLATIONS = sorted(path.stem for path in (HERE / "ablate").glob("*.toml"))
PRUNING = ("pruning-global", "pruning-local", "pruning-isomorphic")
ENGINES = ("nsga2", "ladder", "random", "tpe", "plain", *PRUNING)


@dataclass(frozen=True)
class Cell:
    """One run. `budget` as `optimize` takes it."""

    original: str
    scenario: str
    engine: str
    budget: str
    seed: int

    @property
    def name(self) -> str:
        return "-".join((self.original, self.scenario, self.engine, self.budget, str(self.seed)))

    @property
    def strategy(self) -> str:
        """What `--strategy` is given."""
        for file in (HERE / f"{self.engine}.toml", HERE / "ablate" / f"{self.engine}.toml"):
            if file.exists():
                return str(file)
        return "ladder" if self.engine in PRUNING else self.engine


@dataclass(frozen=True)
class Block:
    """Cells that belong together; seeds outermost, then scenarios, then engines, so that engines take turns."""

    original: str
    scenarios: str
    engines: tuple[str, ...]
    budget: str
    seeds: int
    minutes: float
    """Of one cell on two idle cores, start and end included."""

    def cells(self) -> Iterator[Cell]:
        for seed in range(self.seeds):
            for scenario in self.scenarios:
                for engine in self.engines:
                    yield Cell(self.original, scenario, engine, self.budget, seed)

    @property
    def hours(self) -> float:
        return self.seeds * len(self.scenarios) * len(self.engines) * self.minutes / 60


BLOCKS = {
    "headline": Block("mobilenet", "S", ("nsga2", "ladder"), "10m", 3, 10.5),
    "ram": Block("mobilenet", "R", ("nsga2", "ladder"), "10m", 3, 10.5),
    "peers": Block("mobilenet", "SR", ENGINES, "2m", 5, 2.5),
    "ablate": Block("mobilenet", "SR", ("nsga2", "ladder", *ABLATIONS), "2m", 5, 2.5),
    "latency": Block("mobilenet", "L", ("nsga2", "ladder"), "10m", 3, 10.5),
    "resnet8": Block("resnet8", "SR", ("nsga2", "ladder"), "10m", 3, 10.5),
    "peers10": Block("mobilenet", "SR", ("random", "tpe", "plain", *PRUNING), "10m", 3, 10.5),
    "har": Block("har", "S", ("nsga2", "ladder"), "2m", 5, 2.5),
    "hour": Block("mobilenet", "S", ("nsga2", "ladder"), "1h", 1, 61.0),
}
"""The most valuable first; a cell that two blocks share is run once."""
