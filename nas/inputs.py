"""What a run is made of, read and checked before anything costs time: model, data, device, limits, space."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas import atomic, quickstart, wording
from nas.config import RunConfig
from nas.data import sources
from nas.data.augment import Preset, preset_for
from nas.data.dataset import DataSet, load_data
from nas.data.pictures import Told
from nas.data.scratch import Scratch
from nas.functions import FUNCTION
from nas.objectives import ANYWHERE, Limits, violation
from nas.prices import NO_PRICE, Prices, check_limits, known_before, off_npu
from search_spaces.declare import Declaration, load_declaration
from search_spaces.errors import DataError, LimitError, ModelError, NothingFits, TargetError
from search_spaces.from_onnx import load_model, read_model
from search_spaces.graph import Graph, Shape, Weights
from search_spaces.preprocessing import normalized
from search_spaces.space import SearchSpace, derive
from search_spaces.to_onnx import to_onnx
from targets import npu_support
from targets.cost import UNPRICED, estimate
from targets.device import Device
from targets.lower import lower
from targets.program import Runtime

if TYPE_CHECKING:
    from torch import nn

    from nas.runtime import Session

EXPORTED_FILE = "original.onnx"


@dataclass(frozen=True)
class Inputs:
    """A checked run.

    Attributes:
        model_path: the original as ONNX.
        exported: that file's content where the original is a PyTorch module or program; `keep` writes it.
        model_name: as a reader would call it.
        graph, weights: the original, parsed.
        data: fits the graph's input and output.
        device, limits: with the device's own flash and RAM among the limits.
        space: derived from the graph and cut by the limits.
        fingerprint: of everything that defines what is searched for.
        prepared: the graph begins with the normalization that the file expects to be done before it.
        augment: how views of the training samples are made.
        on_cpu: operators of the original that the device's NPU leaves to its CPU, a sentence each.
    """

    model_path: Path
    exported: bytes | None
    model_name: str
    graph: Graph
    weights: dict[str, np.ndarray]
    data: DataSet
    device: Device
    limits: Limits
    space: SearchSpace
    fingerprint: str
    prepared: bool = False
    augment: Preset = "none"
    on_cpu: tuple[str, ...] = ()

    @property
    def digests(self) -> dict[str, str]:
        return {"model": _digest(self.model_path, self.exported), **self.data.digests()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report should say of the data and the device, a sentence each."""
        packed = (wording.PACKED,) if self.space.declaration.bits else ()
        return (*self.data.notes, *wording.cautions(self.device), *self.on_cpu, *packed)

    def prices(self, runtime: Runtime, folder: Path) -> Prices:
        """What prices candidates; a maker's answers are kept in `folder`."""
        return Prices(self.space, self.device, runtime, self.limits, folder)

    def session(self, *, threads: int = 1) -> Session:
        """The original in onnxruntime, for batches of images as the graph takes them.

        Where the file fixes the batch, takes channels last or a series, or wants normalized images, the network is
        written anew: `to_onnx` computes the same.

        Raises:
            ModelError: onnxruntime does not run it.
        """
        from nas.runtime import Session, ending_of  # imports onnxruntime, which reading a model does not need

        ending = ending_of(self.graph, self.data.task.ending, int8=False)

        def opened(model: Path | bytes) -> Session:
            return Session(model, threads=threads, integer=False, ending=ending)

        session = opened(self.model_path if self.exported is None else self.exported)
        as_it_is = session.sides[0] is None and session.sides[1:] == self.graph.input_shape
        if self.prepared or not as_it_is:
            session = opened(to_onnx(self.graph, self.weights).SerializeToString())
        return session

    def keep(self) -> None:
        """Writes what was exported into the run folder, once that is known to be this run's.

        Raises:
            RunFolderError: it cannot be written.
        """
        if self.exported is not None:
            atomic.write_bytes(self.model_path, self.exported)


def read(
    config: RunConfig,
    *,
    data: Mapping[str, Any] | None = None,
    module: nn.Module | None = None,
    scratch: Scratch | None = None,
    told: Told = lambda text, share: None,
) -> Inputs:
    """Reads and checks everything a config names; writes nothing but what is too large for memory.

    Args:
        config: the run.
        data: arrays given in Python instead of `config.data`.
        module: given in Python instead of `config.model`.
        scratch: where decoded pictures go that are too large for memory; None keeps all in memory.
        told: hears how far decoding is.

    Raises:
        InputError: something cannot be used; the message is one line.
        NothingFits: not even the smallest network of the space meets the limits.
    """
    device = config.board
    declaration = load_declaration(config.space)
    limits = for_space(config.limits, device, config.runtime, declaration)
    check_objectives(config.parsed_objectives, device, bits=declaration.bits)
    spec: sources.Spec = data if data is not None else config.data
    exported = None
    if module is not None or (config.model is not None and FUNCTION.fullmatch(config.model)):
        spec = sources.read(spec, config.parsed_input_shape, seed=config.seed)
        path, exported = config.folder / EXPORTED_FILE, _exported(config, module, spec)
        graph, weights = read_model(exported, path, config.parsed_input_shape)
    elif config.model is not None and is_program(Path(config.model)):
        path, exported = config.folder / EXPORTED_FILE, _program(Path(config.model), config.parsed_input_shape)
        graph, weights = read_model(exported, path)
    else:
        path = _model_file(config.model)
        graph, weights = load_model(path, config.parsed_input_shape)
    if config.statistics:
        graph, weights = normalized(graph, weights, config.statistics)
    if len(graph.outputs) != 1:
        found = ", ".join(graph.outputs)
        raise ModelError(f"a model has one output, {path} has {found}; export it with the one that matters")
    task, output = config.loaded_task, graph.shapes[graph.outputs[0]]
    task.check_model(graph.input_shape, output, path)
    on_cpu = check_device(graph, device, limits)
    loaded = load_data(spec, graph.input_shape, prod(output), task, seed=config.seed, scratch=scratch, told=told)
    whole = derive(graph, declaration)
    space = cut(whole, device, config.runtime, limits)
    digests = {"model": _digest(path, exported), **loaded.digests()}
    fingerprint = config.fingerprint(**digests)
    name = _name(config.model, module)
    inputs = Inputs(
        path, exported, name, graph, weights, loaded, device, limits, space, fingerprint, bool(config.normalize),
        preset_for(loaded.x_train, config.augment), on_cpu,
    )  # fmt: skip
    inputs.session().logits(loaded.x_search[:2])  # a model that onnxruntime refuses is refused here
    return inputs


def for_space(limits: Limits, device: Device, runtime: Runtime, declaration: Declaration) -> Limits:
    """`with_device` for the networks of a space, whose weights may have 4 bits.

    Raises:
        LimitError: what is limited cannot be known for the device and all these networks.
        TargetError: the device or the runtime does not take weights of 4 bits, and the space has them.
    """
    if declaration.bits:
        npu_support.check_weights("int4", device)
        if runtime != "tflm":
            raise TargetError(f"weights of 4 bits (bits = true) run on tflm alone, got runtime {runtime!r}")
    return with_device(limits, device, bits=declaration.bits)


def with_device(limits: Limits, device: Device, *, bits: bool = False) -> Limits:
    """The limits, and the device's own flash and RAM where they are tighter or nothing was said.

    Args:
        bits: weights may have 4 bits, so flash is not known.

    Raises:
        LimitError: what is limited cannot be known for the device.
    """
    check_limits(limits, device, bits=bits)
    known = device.priced - (UNPRICED if bits else frozenset())
    own = {name: getattr(device, name) for name in ("flash_bytes", "ram_bytes") if name in known}
    tighter = {name: min(getattr(limits, name) or has, has) for name, has in own.items() if has is not None}
    return replace(limits, **tighter)


def check_objectives(names: tuple[str, ...], device: Device, *, bits: bool = False) -> None:
    """
    Args:
        bits: weights may have 4 bits.

    Raises:
        LimitError: one cannot be known for the device.
    """
    for name in names:
        if bits and name in UNPRICED:
            raise LimitError(f"{name} cannot be an objective: {NO_PRICE}; leave it out or the bits")
        if name not in (*device.priced, *ANYWHERE):
            law = f"{name} cannot be an objective: it is not known for target {device.name!r}"
            raise LimitError(f"{law}; leave it out or name another target (nas targets)")


def cut(whole: SearchSpace, device: Device, runtime: Runtime, limits: Limits) -> SearchSpace:
    """What the limits leave of a space.

    Raises:
        NothingFits: nothing; the message names the limit that binds.
        TargetError: the runtime lacks an operator.
        LimitError: what is limited is not known for the device.
    """
    before = known_before(limits, device)

    def fits(made: Graph) -> bool:
        return violation(estimate(made, device, runtime), before) == 0 and not off_npu(made, whole.graph, device)

    try:
        left = whole.cut(fits)
    except NothingFits:
        least = estimate(whole.apply(whole.cheapest), device, runtime)
        sentence = wording.binding_sentence(least, before)
        raise NothingFits(f"no network of the space meets the limits, not even the cheapest. {sentence}") from None
    if before != limits:
        _check_by_maker(Prices(left, device, runtime, limits), limits)
    return left


def _check_by_maker(prices: Prices, limits: Limits) -> None:
    """Raises NothingFits if, by the maker's tool, neither the cheapest network nor the narrowest whole one fits."""
    costs = [prices.price(genome) for genome in dict.fromkeys((prices.space.cheapest, prices.space.uniform(0.0)))]
    least = min(costs, key=lambda cost: violation(cost, limits))
    if violation(least, limits) > 0:
        sentence = wording.binding_sentence(least, limits)
        raise NothingFits(f"no network of the space meets the limits, not even the cheapest. {sentence}")


def check_device(graph: Graph, device: Device, limits: Limits) -> tuple[str, ...]:
    """What the device's NPU leaves of a network to a CPU whose kernels are priced, a sentence each.

    Raises:
        TargetError: the device takes no int8 weights, or its CPU has no prices for what the NPU leaves to it.
        LimitError: latency is limited, and the maker's tool does not count the CPU's share.
    """
    npu_support.check_weights("int8", device)
    left = () if device.npu is None else tuple(npu_support.broken(lower(graph), device.npu))
    if left and device.kernels is None:
        raise TargetError(left[0])
    if left and limits.latency_ms is not None:
        raise LimitError(f"latency_ms cannot be limited: the CPU's share of it is not known. {left[0]}")
    return left


def load_graph(path: Path, input_shape: Shape | None = None) -> Graph:
    """The network of an `.onnx` or `.pt2` file.

    Raises:
        ModelError: it cannot be read.
    """
    return load_network(path, input_shape)[0]


def load_network(path: Path, input_shape: Shape | None = None) -> tuple[Graph, Weights]:
    """The network of an `.onnx` or `.pt2` file, and its weights.

    Raises:
        ModelError: it cannot be read.
    """
    if is_program(path):
        return read_model(_program(path, input_shape), path)
    return load_model(path, input_shape)


def is_program(path: Path) -> bool:
    """Is it a file of `torch.export.save`, by its name?"""
    return path.suffix.lower() == ".pt2"


def _program(path: Path, input_shape: Shape | None) -> bytes:
    """A program of `torch.export.save` as ONNX."""
    from nas.pytorch import pt2  # imports torch, which an ONNX model does not need here

    return pt2.onnx_bytes(path, input_shape)


def _model_file(model: str | None) -> Path:
    """The ONNX file that `--model` names, or the bundled one."""
    if model is None:
        return quickstart.model_path()
    path = Path(model)
    law = "must be an .onnx or .pt2 file or package.module:function"
    if path.suffix.lower() in (".pt", ".pth", ".pkl"):
        advice = "export it to ONNX, or name the function that builds it and give --weights"
        raise ModelError(f"the model {law}, got {model!r}, which is pickled and not opened; {advice}")
    if ":" in model and not path.exists():
        raise ModelError(f"the model {law}, got {model!r}")
    return path


def _name(model: str | None, module: nn.Module | None) -> str:
    """The original as a reader would call it."""
    if module is not None:
        return type(module).__name__
    if model is None:
        return "MobileNetV1 x1.0 (bundled)"
    return model if FUNCTION.fullmatch(model) else Path(model).name


def _exported(config: RunConfig, module: nn.Module | None, source: sources.Source) -> bytes:
    """A PyTorch module as ONNX; its input has the shape of the training images."""
    from nas.pytorch import modules  # imports torch, which an ONNX model does not need here

    if "x_train" not in source.arrays:
        raise DataError("data must hold x_train; its images tell the input shape of a PyTorch model")
    shape = np.shape(source.arrays["x_train"])[1:]
    if not shape:
        raise DataError("x_train must be N x C x H x W or N x features, got a single row of numbers")
    if module is None:
        assert config.model is not None
        module = modules.load(config.model, Path(config.weights) if config.weights else None)
    grey = len(shape) == 2 and not modules.takes_series(module)  # N x H x W without its one channel
    return modules.onnx_bytes(module, (1, *shape) if grey else shape)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(path: Path, exported: bytes | None) -> str:
    return file_digest(path) if exported is None else hashlib.sha256(exported).hexdigest()
