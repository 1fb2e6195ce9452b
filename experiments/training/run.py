"""What makes a student better after the same number of steps? One network, several recipes, drop and KL on search_val.

    python experiments/training/run.py [ARM ...] [--kb 100] [--steps 12000] [--seeds 0 1]

An arm is a list of settings: `views=4`, `lr=0.1,weight_decay=1e-4`, or `base`. Settings are those of
`nas.training.distill.Recipe`, and `views`, the augmented views that the original answers (2); `stale=1` means eight
views of which only the pictures themselves were answered. The network is the widest uniform MobileNetV1 of at most that
size.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from nas import baseline, inputs, material
from nas.artefacts import RunFolder
from nas.config import RunConfig
from nas.evaluate import Setup, builder
from nas.evaluation import Job
from nas.ray_pool import RayPool
from nas.runtime import Session
from nas.strategies import ladder
from nas.training.distill import Recipe
from targets.pricing import Pricer

HERE = Path(__file__).parent


def settings(arm: str) -> dict[str, float]:
    """`"lr=0.1,views=4"` as numbers; `base` is empty."""
    pairs = [part.split("=") for part in arm.split(",") if part != "base"]
    return {name: float(value) for name, value in pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="*", default=["base"])
    parser.add_argument("--kb", type=int, default=100)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--folder", type=Path, default=Path("results/training"))
    args = parser.parse_args()
    found = inputs.read(RunConfig())
    session = Session(found.model_path, threads=2, integer=False)
    asked = {arm: settings(arm) for arm in args.arms}
    views = {arm: int(8 if "stale" in given else given.get("views", 2)) for arm, given in asked.items()}
    base = baseline.measure(session, found.data, seed=0)
    arrays = material.gather(found, session, base, views=max(views.values()), seed=0)
    price = Pricer(found.space, found.device, "tflm").price
    genome = ladder.at_size(found.space, lambda g: float(price(g).size_bytes), args.kb * 1024.0)
    table = HERE / f"{args.kb}kb-{args.steps}steps.csv"
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    for arm, given in asked.items():
        part = arrays | {key: arrays[key][: views[arm]] for key in ("view_images", "view_logits")}
        if "stale" in given:
            answers = np.broadcast_to(part["view_logits"][:1], part["view_logits"].shape)
            part["view_logits"] = np.ascontiguousarray(answers)
        recipe = replace(Recipe(), **{name: value for name, value in given.items() if name not in ("views", "stale")})
        setup = Setup(
            found.space, found.device, "tflm", found.limits, found.data.task, recipe, (), RunFolder(args.folder / arm)
        )
        pool = RayPool(builder(setup), part, count=len(args.seeds))
        for seed in args.seeds:
            pool.submit(Job.make(genome, 1, args.steps, "refit", run_seed=seed))
        for done in [pool.next() for _ in args.seeds]:
            rows.append({"arm": arm, "drop": done.drop, "kl": done.kl, "seconds": done.seconds["train"]})
        pool.close()
        pd.DataFrame(rows).to_csv(table, index=False, float_format="%.4f")
        print(pd.DataFrame(rows).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
