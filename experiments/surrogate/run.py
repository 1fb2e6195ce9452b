"""Do screened offspring, or another mutation, find better networks after equally many looks?

    python -m experiments.surrogate.run [--seeds 0 1 2 3 4] [--looks 240] [--arms ..]

MobileNetV1 in the band around two points below 256 KB: real looks, real stages; only the scouts' trainings, which place
the band, are stand-ins. A row an arm and seed goes to `volumes.csv` as it ends.
"""

import argparse
import csv
import time
from functools import partial
from pathlib import Path

import numpy as np
from pymoo.core.mutation import Mutation
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair

from nas import baseline, inputs, pareto
from nas.artefacts import RunFolder
from nas.config import RunConfig
from nas.evaluate import Setup, builder
from nas.evaluation import Evaluation, Job
from nas.plan import Plan
from nas.runtime import Session
from nas.strategies.evolution import EvolutionProposer
from nas.strategies.proposers import RandomProposer
from nas.strategies.staged import Staged
from nas.strategies.surrogate import Screened
from nas.training.distill import Recipe

HERE = Path(__file__).parent
COUNTS = (30, 60, 120, 240)
TOTAL = 10_000.0
"""Steps of a plan that the looks are a small part of."""


class Polynomial(EvolutionProposer):
    """With pymoo's rounded polynomial mutation."""

    def _mutation(self):
        return PM(prob=0.9, prob_var=min(0.5, 3 / len(self.space.genes)), eta=5, repair=RoundingRepair())


class Neighbor(Mutation):
    """The space's own small step: one to three genes that matter, each as likely to change as any other."""

    def __init__(self, space) -> None:
        super().__init__(prob=0.9)
        self.space = space

    def _do(self, problem, X, *args, random_state, **kwargs):
        genomes = [self.space.decode(row) for row in np.asarray(X, dtype=int)]
        return np.array([self.space.encode(self.space.mutate(genome, rng=random_state)) for genome in genomes])


class Alike(EvolutionProposer):
    """With all genes mutated alike."""

    def _mutation(self):
        return Neighbor(self.space)


PROPOSERS = {"polynomial": Polynomial, "neighbor": Alike, "moves": EvolutionProposer}


def problem():
    """MobileNetV1's looks: no view is needed beyond the first images', and no answer on views at all."""
    found = inputs.read(RunConfig(max_size="256KB", max_drop="2%"))
    data, session = found.data, Session(found.model_path, threads=1, integer=False)
    arrays = {
        "view_images": data.x_train[None, :1000], "view_logits": np.zeros((1, 1000, 10), np.float32),
        "y_train": data.y_train[:1000], "x_search": data.x_search, "y_search": data.y_search,
        "search_logits": baseline.measure(session, data, seed=0).logits["search_val"],
    } | {f"weight:{name}": array for name, array in found.weights.items()}  # fmt: skip
    folder = RunFolder(Path("results/surrogate").resolve())
    setup = Setup(found.space, found.device, "tflm", found.limits, data.task, Recipe(), (25, 100), folder)
    return found, builder(setup)(arrays)


def search(arm: str, space, evaluate, price, limits, *, looks: int, seed: int):
    """Sizes and KL of what one arm looked at, in order, and the milliseconds of its proposals."""
    plan = Plan("steps", TOTAL, 1, 4.0, 0.0, 0.0, scouts=4, search_share=(4.0 * looks + 1) / TOTAL)

    def make(seeds):
        if arm == "random":
            return RandomProposer(space, seed=seed)
        inner = PROPOSERS[arm.removesuffix("-screened")](space, seeds=seeds, seed=seed)
        return Screened(inner, space, price, unscreened=len(seeds)) if "screened" in arm else inner

    staged = Staged(space, price, limits, plan, aim=1.5, seed=seed, make_proposer=make)
    points, spent = [], []
    while staged.phase in ("scouts", "search"):
        start = time.process_time()
        job = staged.ask()
        took = 1000 * (time.process_time() - start)
        if job is None or staged.phase not in ("scouts", "search"):
            break
        done = evaluate(job)
        if staged.phase == "search" and job.rung == 0:
            points.append((done.cost.size_bytes, done.kl))
            spent.append(took)
        staged.tell(done)
    return np.array(points), np.array(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--looks", type=int, default=240)
    parser.add_argument(
        "--arms",
        nargs="+",
        default=[
            "moves",
            "moves-screened",
            "polynomial",
            "polynomial-screened",
            "neighbor",
            "neighbor-screened",
            "random",
        ],
    )
    parser.add_argument("--out", type=Path, default=HERE / "volumes.csv")
    args = parser.parse_args()
    found, real = problem()
    known: dict[Job, Evaluation] = {}

    def evaluate(job: Job) -> Evaluation:
        cost = real.price(job.genome)
        if job.rung:  # ten points at 64 KB after the last rung, and half of it at twice the size
            drop = 10 * 65536 / cost.size_bytes
            return Evaluation(job, cost, accuracy=90 - drop, drop=drop, kl=drop / 20)
        look = Job.make(job.genome, 0, 0, run_seed=0)
        if look not in known:
            known[look] = real.evaluate(look)
        return Evaluation(job, cost, kl=known[look].kl)

    run = partial(search, space=found.space, evaluate=evaluate, price=real.price, limits=found.limits)
    for seed in args.seeds:
        for arm in args.arms:
            points, spent = run(arm, looks=args.looks, seed=seed)
            logs = np.log2(points / (262144, 1.0))
            volumes = {count: pareto.hypervolume(logs[:count], np.zeros(2)) for count in COUNTS if count <= len(logs)}
            cells = [f"{volumes[count]:.4f}" if count in volumes else "" for count in COUNTS]
            row = [arm, seed, len(points), *cells, f"{np.median(spent[-60:]):.1f}"]
            with args.out.open("a", newline="") as file:
                csv.writer(file).writerow(row)
            print(*row, flush=True)


if __name__ == "__main__":
    main()
