"""Torch-Pruning as an engine: its networks in the place of ours, everything else the same. Takes `optimize`'s flags.

    pip install '.[zoo]'
    python -m experiments.search_bench.peer --pruning=global --max-size=256KB --budget=2m --out=results/peer

Its channels, by magnitude (L1), at 256 pruning ratios, make a family of networks by size, and the family is scouted,
placed, finished and judged as the ladder is: the same original, cached answers, recipe, int8 path and meters. Students
begin with the weights that it leaves. `--pruning` is local (the same share everywhere), global or isomorphic.
"""

import sys
import time
from dataclasses import replace
from functools import partial

from experiments.search_bench.pruning import Family, PeerProblem
from nas import inputs
from nas.artefacts import RunFolder
from nas.config import RunConfig, resolve
from nas.ledger import LEDGER_FILE, Ledger
from nas.progress import Progress
from nas.ray_pool import Cluster, RayPool
from nas.run import Clock, _Run
from nas.workers import Serial
from search_spaces.errors import NothingFits


class PeerRun(_Run):
    def _workers(self, setup, arrays):
        make = partial(PeerProblem, setup)
        if self.cluster is None:
            return Serial(make, arrays)
        return RayPool(make, arrays, count=self.config.workers, cluster=self.cluster)


def run(config: RunConfig, mode: str) -> None:
    clock = Clock(time.time())
    found = inputs.read(config)
    found = replace(found, space=Family(found.graph, found.weights, mode))
    folder = RunFolder(config.folder)
    cluster = Cluster(config.workers, config.address) if config.workers > 1 else None
    with Progress(quiet=True) as view, Ledger.open(config.folder / LEDGER_FILE, found.fingerprint) as ledger:
        try:
            PeerRun(config, found, folder, ledger, view, clock, cluster, None).go()
        finally:
            if cluster is not None:
                cluster.close()


if __name__ == "__main__":
    asked = dict(part.removeprefix("--").split("=", 1) for part in sys.argv[1:] if "=" in part)
    mode = asked.pop("pruning", "global")
    flags = {name.replace("-", "_"): int(value) if value.isdigit() else value for name, value in asked.items()}
    try:
        run(resolve(flags | {"strategy": "ladder"}), mode)
    except NothingFits as error:
        print(error)
        sys.exit(1)
