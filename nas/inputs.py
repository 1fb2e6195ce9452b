"""What a run is made of, read and checked before anything costs time: model, data, device, limits, space."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas import data_sources, quickstart, wording
from nas.config import RunConfig
from nas.data import DataSet, load_data
from nas.objectives import Limits, violation
from search_spaces.declare import load_declaration
from search_spaces.errors import DataError, ModelError, NothingFits
from search_spaces.from_onnx import load_model
from search_spaces.graph import Graph
from search_spaces.space import SearchSpace, derive
from targets.cost import estimate
from targets.device import Device, load_device


@dataclass(frozen=True)
class Inputs:
    """A checked run.

    Attributes:
        model_path: the original as ONNX.
        model_name: as a reader would call it.
        graph, weights: the original, parsed.
        data: fits the graph's input and output.
        device, limits: with the device's own flash and RAM among the limits.
        space: derived from the graph and cut by the limits; `whole_space` before the cut.
        fingerprint: of everything that defines what is searched for.
    """

    model_path: Path
    model_name: str
    graph: Graph
    weights: dict[str, np.ndarray]
    data: DataSet
    device: Device
    limits: Limits
    whole_space: SearchSpace
    space: SearchSpace
    fingerprint: str

    @property
    def digests(self) -> dict[str, str]:
        return {"model": file_digest(self.model_path), **self.data.digests()}


def read(config: RunConfig, *, data: Mapping[str, Any] | None = None, model_path: Path | None = None) -> Inputs:
    """Reads and checks everything a config names.

    Args:
        config: the run.
        data: arrays given in Python instead of `config.data`.
        model_path: an ONNX file that stands for `config.model` (a module exported by the Python API).

    Raises:
        InputError: something cannot be used; the message is one line.
        NothingFits: not even the smallest network of the space meets the limits.
    """
    device = load_device(config.target)
    limits = with_device(config.limits, device)
    declaration = load_declaration(config.space)
    path = model_path or find_model(config, data)
    graph, weights = load_model(path)
    if len(graph.outputs) != 1 or len(graph.shapes[graph.outputs[0]]) != 1:
        found = [graph.shapes[name] for name in graph.outputs]
        raise ModelError(f"a classifier has one output of N x classes, {path} has {found}")
    spec = data if data is not None else config.data
    loaded = load_data(spec, graph.input_shape, graph.shapes[graph.outputs[0]][0], seed=config.seed)
    whole = derive(graph, declaration)
    try:
        space = whole.cut(lambda changed: violation(estimate(changed, device, config.runtime), limits) == 0)
    except NothingFits:
        least = estimate(whole.apply(whole.cheapest), device, config.runtime)
        sentence = wording.binding_sentence(least, limits)
        raise NothingFits(f"even the smallest network of the space is over a limit. {sentence}") from None
    digests = {"model": file_digest(path), **loaded.digests()}
    name = "MobileNetV1 x1.0 (bundled)" if config.model is None and model_path is None else Path(path).name
    return Inputs(path, name, graph, weights, loaded, device, limits, whole, space, config.fingerprint(**digests))


def with_device(limits: Limits, device: Device) -> Limits:
    """The limits, and the device's own flash and RAM where they are tighter or nothing was said."""
    return replace(
        limits,
        flash_bytes=min(limits.flash_bytes or device.flash_bytes, device.flash_bytes),
        ram_bytes=min(limits.ram_bytes or device.ram_bytes, device.ram_bytes),
    )


def find_model(config: RunConfig, data: Mapping[str, Any] | None = None) -> Path:
    """The original's ONNX file; a PyTorch function is called and exported into the run folder.

    Raises:
        ModelError: there is no such file or function, or it cannot be exported.
    """
    if config.model is None:
        return quickstart.MODEL_PATH
    if ":" not in config.model or Path(config.model).suffix in (".onnx", ".pt2"):
        return Path(config.model)
    from nas import from_torch  # imports torch, which an ONNX model does not need here

    module = from_torch.load(config.model, Path(config.weights) if config.weights else None)
    arrays = data if data is not None else data_sources.read(config.data, (), seed=config.seed).arrays
    if "x_train" not in arrays:
        raise DataError("data must hold x_train; its images tell the input shape of a PyTorch model")
    target = config.folder / "original.onnx"
    from_torch.export(module, np.asarray(arrays["x_train"]).shape[1:], target)
    return target


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
