"""`nas verify`: a run's files are its own, and every runtime answers to the same test images as it must.

What it must is said in `nas.verify.proof`. Runtimes that are not installed are named, and the others run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nas import inputs
from nas.config import CONFIG_FILE, resolve
from nas.data.resize import sized
from nas.data.scratch import Scratch
from nas.inputs import EXPORTED_FILE, Inputs
from nas.report import page
from nas.result import Point, load_result
from nas.runtime import ending_of
from nas.verify import integrity, litert, record
from nas.verify.compiled import CompiledC
from nas.verify.litert import LiteRT
from nas.verify.proof import Samples, proof
from nas.verify.qdq import OnnxRuntime
from nas.verify.record import Verification
from nas.verify.runner import Runner
from nas.verify.tflm import Tflm
from nas.version import VERSION
from search_spaces.errors import InputError, LimitError, RunFolderError

IMAGES = 500
GIVEN = "arrays"  # what a config calls data that came as arrays
Told = Callable[[str], None]


def runners() -> tuple[Runner, ...]:
    """Every runtime that is known, LiteRT's reference kernels first."""
    return LiteRT(threads=os.cpu_count() or 1), Tflm(), CompiledC(), OnnxRuntime()


def verify(
    folder: Path,
    *,
    images: int = IMAGES,
    every: bool = False,
    data: Mapping[str, Any] | None = None,
    told: Told = lambda text: None,
) -> Verification:
    """Verifies a finished run and writes `verify.json`.

    Args:
        folder: the run's.
        images: test images, taken at random; all where there are fewer.
        every: also points that are not on the front.
        data: the arrays that the run was given in Python.
        told: hears what is being done.

    Raises:
        RunFolderError: a file is missing or changed, or the run was given another model or other data.
        InputError: what the run was given cannot be read any more.
    """
    if images < 1:
        raise LimitError(f"images must be at least 1, got {images}")
    told("checking the files")
    digests = integrity.check_files(folder)
    result = load_result(folder)
    told("reading model and data")
    with Scratch(folder) as scratch:
        found = _inputs(folder, data, scratch)
        integrity.check_inputs(digests, found.digests)
        points = [p for p in result.points if every or p.on_front or p.id == result.chosen]
        done = prove(points, found, folder, seed=result.seed, images=images, told=told)
    record.write(done, folder)
    page.rewrite(folder)
    return done


def prove(
    points: Sequence[Point],
    found: Inputs,
    folder: Path,
    *,
    seed: int,
    images: int = IMAGES,
    told: Told = lambda text: None,
) -> Verification:
    """Proofs of points whose files lie in the run's folder, from the run's test images."""
    there = [runner for runner in runners() if not runner.missing()]
    data = found.data
    rows = np.sort(np.random.default_rng(seed).permutation(len(data.x_test))[:images])
    x, y = data.x_test[rows], data.y_test[rows]
    proofs = []
    for number, point in enumerate(points, 1):
        told(f"running model {number} of {len(points)} in {len(there)} runtimes")
        model = litert.exported((folder / point.tflite).read_bytes(), (folder / point.onnx).read_bytes())
        graph = found.space.apply(found.space.genome(point.values))
        ending = ending_of(graph, data.task.ending, int8=True)
        samples = Samples(data.task, x, y, sized(x, graph.input_shape), ending)
        proofs.append(proof(point.id, model, samples, there))
    missing = {runner.name: runner.needs for runner in runners() if runner.missing()}
    return Verification(data.task.metric.name, tuple(proofs), missing, VERSION)


def chosen(points: Sequence[Point], picked: Point | None, found: Inputs, folder: Path, *, seed: int) -> list[str]:
    """Proves a run's chosen model, if there is one, and writes `verify.json`; returns what is wrong, in sentences."""
    done = prove([p for p in points if picked is not None and p.id == picked.id], found, folder, seed=seed)
    record.write(done, folder)
    return [f"{sentence}." for proof in done.proofs for sentence in proof.broken]


def _inputs(folder: Path, data: Mapping[str, Any] | None, scratch: Scratch) -> Inputs:
    """What the run was given, read again; an original that was exported is read from the run's folder.

    Raises:
        InputError: it is not there any more.
    """
    config = replace(resolve({}, folder / CONFIG_FILE), out=str(folder))
    if (folder / EXPORTED_FILE).exists():
        config = replace(config, model=str(folder / EXPORTED_FILE), weights=None)
    if config.data == GIVEN and data is None:
        law = "the run was given its data in Python, where it must be given again"
        raise RunFolderError(f"{folder}: {law}; call nas.verify.prove.verify(Path({str(folder)!r}), data=...)")
    try:
        return inputs.read(config, data=data, scratch=scratch)
    except InputError as error:
        advice = f"a run is verified with what it was given ({CONFIG_FILE} names it, from the folder it was started in)"
        raise RunFolderError(f"{error}; {advice}") from None
