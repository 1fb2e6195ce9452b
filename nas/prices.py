"""A genome's price, with latency, RAM and flash by the tool of the device's maker where a limit asks for them.

Our own tables price kernels of Cortex-M cores. What a network takes on an NPU its maker's compiler knows, in half a
second (Vela) to a few (rknn-toolkit2), so it is asked only about networks that keep every other limit, and once about
each: answers are kept in the run's folder, for all workers and for `--resume`. Before training the weights are random,
which compresses differently; the exported file is asked about again, and its answer is what a limit is judged by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nas import atomic, maker
from nas.objectives import Limits, violation
from search_spaces.errors import LimitError, TargetError
from search_spaces.genes import Genome
from search_spaces.graph import Graph, Weights
from search_spaces.space import SearchSpace
from targets import npu_support
from targets.cost import UNPRICED, Cost
from targets.device import Device
from targets.lower import lower
from targets.makers import installed, maker_of
from targets.pricing import Pricer
from targets.program import Runtime
from targets.vendor import VendorEstimate


class Answer(NamedTuple):
    """What a maker's tool said of a network, as fields of `Cost`."""

    latency_ms: float
    ram_bytes: int
    flash_bytes: int

    @staticmethod
    def of(estimate: VendorEstimate) -> Answer:
        return Answer(estimate.latency_ms, estimate.ram_bytes, estimate.flash_bytes)

    def put(self, cost: Cost) -> Cost:
        """The cost with the answer in it."""
        return replace(cost, latency_ms=self.latency_ms, ram_bytes=self.ram_bytes, flash_bytes=self.flash_bytes)


TOLD = Answer._fields
"""Quantities that a maker's tool answers for."""

NO_PRICE = "kernels for weights of 4 bits, which the space has (bits = true), have no price"

REFUSED = Answer(1e9, 10**12, 10**12)
"""Of a network that the tool refuses: worse than any real one, and finite."""


def check_limits(limits: Limits, device: Device, *, bits: bool = False) -> None:
    """What a user limits must be known for the device, by our tables or by its maker's tool.

    Args:
        bits: weights may have 4 bits.

    Raises:
        LimitError: it is not, or the tool is not installed; the message says how to get it.
    """
    tool = maker_of(device)
    for name in limits.active:
        if bits and name in UNPRICED:
            raise LimitError(f"{name} cannot be limited: {NO_PRICE}; leave the limit out or the bits")
        if tool is not None and name in TOLD:
            try:
                tool.executable(device)
            except TargetError as error:
                raise LimitError(f"{name} cannot be limited: {error}; or leave the limit out") from None
        elif name not in (*device.priced, "size_bytes", "drop"):
            law = f"{name} cannot be limited: it is not known for target {device.name!r}"
            raise LimitError(f"{law}; leave the limit out or name another target (nas targets)")


def asks_maker(limits: Limits, device: Device) -> bool:
    """Is the maker's tool to be asked? Where only our tables limit, and it is not installed, they suffice."""
    return any(name in limits.active for name in TOLD) and installed(device)


def told_by(limits: Limits, device: Device) -> str | None:
    """The maker's tool whose figures of `TOLD` a run's networks have; None where they are ours."""
    tool = maker_of(device)
    return tool.name if tool is not None and asks_maker(limits, device) else None


def known_before(limits: Limits, device: Device) -> Limits:
    """The limits that our tables answer for."""
    if not asks_maker(limits, device):
        return limits
    return replace(limits, latency_ms=None, ram_bytes=None, flash_bytes=None)


class Prices:
    """Prices the genomes of one space on one device within limits.

    Args:
        space, device, runtime, limits: what is priced, for whom, and what is asked for.
        folder: where a tool's answers are kept; None keeps them in memory.
    """

    def __init__(
        self, space: SearchSpace, device: Device, runtime: Runtime, limits: Limits, folder: Path | None = None
    ) -> None:
        self.space, self.device, self.folder = space, device, folder
        self.pricer = Pricer(space, device, runtime)
        self.tool = maker_of(device) if asks_maker(limits, device) else None
        self._before = known_before(limits, device)
        self._known: dict[Genome, Cost] = {}

    def price(self, genome: Genome) -> Cost:
        """What the network costs; without the maker's figures where it breaks another limit already.

        Raises:
            SpaceError: the genome belongs to another space.
            TargetError: the runtime lacks an operator.
        """
        cost = self.pricer.price(genome)
        if self.tool is None or violation(cost, self._before) > 0:
            return cost
        if genome not in self._known:
            self._known[genome] = self._answer(genome).put(cost)
        return self._known[genome]

    def _answer(self, genome: Genome) -> Answer:
        file = None if self.folder is None else self.folder / f"{genome.key}.json"
        if file is not None and file.exists():
            return Answer(**json.loads(file.read_text()))
        from nas.timing import fresh_weights  # imports torch, as quantizing does

        graph = self.space.apply(genome)
        try:
            found = Answer.of(self.of_network(graph, fresh_weights(graph, seed=0)))
        except TargetError:
            found = REFUSED
        if file is not None:
            atomic.write_json(file, found._asdict())
        return found

    def of_network(self, graph: Graph, weights: Weights) -> VendorEstimate:
        """What the tool says of a network that was not exported.

        Raises:
            TargetError: it fails.
        """
        assert self.tool is not None
        program = lower(graph)
        return maker.estimate(maker.int8_file(program, graph, weights, self.tool), program, self.device, self.tool)

    def of_files(self, cost: Cost, graph: Graph, files: Mapping[str, bytes]) -> Cost:
        """A network's cost by the files that were exported, "onnx" and "tflite".

        Raises:
            TargetError: the tool fails.
        """
        if self.tool is None:
            return cost
        return Answer.of(maker.estimate(files[self.tool.takes], lower(graph), self.device, self.tool)).put(cost)

    def off_npu(self, graph: Graph) -> str:
        """Why the NPU does not run a network that comes of one it runs; empty if it does."""
        return next(iter(off_npu(graph, self.space.graph, self.device)), "")


def off_npu(graph: Graph, original: Graph, device: Device) -> list[str]:
    """The rules that a network breaks on the device's NPU with operators that the original's do not, in sentences."""
    if device.npu is None:
        return []
    before = npu_support.left(lower(original), device.npu)
    return [message for op, message in npu_support.left(lower(graph), device.npu).items() if op not in before]
