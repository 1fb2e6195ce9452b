"""Random networks of the five originals' spaces: inherited, distilled for some steps, quantized and written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import originals

from nas import baseline, inputs, material
from nas.artefacts import RunFolder
from nas.config import RunConfig
from nas.evaluate import RealProblem, Setup, builder
from nas.evaluation import Job
from nas.objectives import Limits
from nas.training.distill import Recipe

NETWORKS = ("mobilenet_v1", "resnet8", "mobilenet_v3", "densenet", "series")
STEPS = 100


def made(name: str, count: int, folder: Path, steps: int = STEPS) -> Iterator[tuple[str, Path, inputs.Inputs]]:
    """Of a network, `count` candidates: job id, folder of `<id>.onnx` and `<id>.tflite`, and what the run would read.

    A candidate whose files are there is not made again.
    """
    home = RunFolder(folder / f"{steps}steps" / name)
    config = RunConfig(model=str(original(name, folder)), data="arrays", max_size="", max_drop="", out=str(home.root))
    found = inputs.read(config, data=originals.arrays(name))
    rng = np.random.default_rng(0)
    jobs: dict[str, Job] = {}
    while len(jobs) < count:
        job = Job.make(found.space.sample(rng=rng), 1, steps, run_seed=0)
        jobs[job.id] = job
    problem = None
    for job in jobs.values():
        if not home.tflite(job.id).exists():
            problem = problem or _problem(found, home, steps)
            problem.evaluate(job)
        yield job.id, home.work, found


def original(name: str, folder: Path) -> Path:
    """The original's file, trained at the first call; the quickstart's own is there."""
    if name == "mobilenet_v1":
        return inputs.quickstart.model_path()
    path = folder / f"{name}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        originals.write(name, path)
    return path


def _problem(found: inputs.Inputs, home: RunFolder, steps: int) -> RealProblem:
    session = found.session(threads=2)
    arrays = material.gather(found, session, baseline.measure(session, found.data, seed=0), views=1, seed=0)
    setup = Setup(found.space, found.device, "tflm", Limits(), found.data.task, Recipe(), (steps,), home)
    return builder(setup)(arrays)
