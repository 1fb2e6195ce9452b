"""Which channels a narrower network should keep.

Two criteria. Without images: how strongly the next layers read a channel. With images: channels are chosen one by one,
each time the one that explains most of what the next layers' outputs still lack. The latter sees that a channel is
dead, saturated or a copy of another; folded filters alone do not show it (a channel that BatchNorm found constant has
the *largest* folded filter).

Measured on MobileNetV1 x0.125 (Fashion-MNIST, 57 k parameters), accuracy in percent after a refit and no training, and
after 500 steps of distillation: largest filters 9 and 10, readers 66 and 84, one by one 73 and 85. Taylor, L1 of
coupled layers and what BatchNorm's gamma was did not beat that by more than noise (`experiments/importance`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas.students.candidate import Student
from nas.students.reference import Reference
from search_spaces.channels import ChannelMap
from search_spaces.graph import Graph, Op, Weights
from search_spaces.ops import CONVOLUTIONS

CHOSEN = 0.5
"""Share of an atom's channels that is chosen one by one; the rest follow by what they would add then."""

ROWS = 20_000
"""Values of a channel that covariances are taken from at most."""

DEAD = 1e-6  # of the largest variance in a layer: a channel that has less left is explained


def importance(
    graph: Graph, weights: Weights, channels: ChannelMap, reference: Reference | None = None
) -> dict[int, np.ndarray]:
    """For each atom a permutation of its channels, most important first.

    Args:
        graph, weights, channels: the original and its atoms.
        reference: the original on some images; with it channels are chosen one by one, else by their readers.

    Every layer that reads an atom counts alike, so channels that an add ties together are judged together. An atom that
    no dense layer reads keeps its order, as do equal channels.
    """
    if reference is None:
        return by_readers(graph, weights, channels)
    found = {atom.id: np.arange(atom.size) for atom in channels.atoms}
    parts: dict[int, list[Reader]] = {}
    for atom, part in _readers_of(graph, weights, channels, reference):
        parts.setdefault(atom, []).append(part)
    for atom, layers in parts.items():
        found[atom] = choose(layers, round(CHOSEN * channels.atoms[atom].size))
    return found


def by_readers(graph: Graph, weights: Weights, channels: ChannelMap) -> dict[int, np.ndarray]:
    """Orders channels by the squared norm of all weights that read them, as a share of their layer's mean."""
    scores = [np.zeros(atom.size) for atom in channels.atoms]
    for op in readers(graph):
        weight = np.square(weights[f"{op.name}.weight"], dtype=np.float64)
        norms = weight.reshape(*weight.shape[:2], -1).sum((0, 2)).reshape(-1, channels.span[op.inputs[0]]).sum(1)
        for atom, here in _pieces(channels, op.inputs[0]):
            scores[atom] += norms[here] / (norms.mean() or 1.0)
    return {k: np.argsort(-score, kind="stable") for k, score in enumerate(scores)}


@dataclass
class Reader:
    """A layer that reads channels, on the way to being explained by those chosen so far.

    Attributes:
        covariance: R, `C x C`, what is left of the channels' covariance.
        energy: Q = R M R, M = W W^T of the layer's weights W, `C x outputs`. Q[c, c] / R[c, c] is the output variance
            that channel c would explain.
        total: output variance, of which shares are taken.
    """

    covariance: Tensor
    energy: Tensor
    total: float

    def __post_init__(self) -> None:
        self.floor = DEAD * float(self.covariance.diagonal().max())

    def gain(self) -> Tensor:
        """Share of the output variance that each channel would explain now."""
        variance = self.covariance.diagonal()
        explained = self.energy.diagonal() / variance.clamp(min=1e-30) / max(self.total, 1e-30)
        return torch.where(variance > self.floor, explained, 0.0)

    def explain(self, channel: int) -> None:
        """Takes a channel's part out of all others: R -= r r^T / R[c, c] with r = R[:, c], and Q follows."""
        variance = float(self.covariance[channel, channel])
        if variance <= self.floor:
            return
        r, q = self.covariance[:, channel].clone(), self.energy[:, channel].clone()
        half = (q - r * (float(q[channel]) / (2 * variance))) / variance
        self.energy.addr_(r, half, alpha=-1).addr_(half, r, alpha=-1)
        self.covariance.addr_(r, r, alpha=-1 / variance)


def choose(layers: list[Reader], count: int) -> np.ndarray:
    """All channels, the first `count` chosen one by one by the sum of their gains; the layers' matrices are used up."""
    size = len(layers[0].covariance)
    left = torch.ones(size, dtype=torch.bool)
    found: list[int] = []
    while True:
        gain = torch.stack([layer.gain() for layer in layers]).sum(0)
        order = torch.argsort(gain.masked_fill(~left, -1.0), descending=True, stable=True)
        if len(found) >= count:
            return np.array(found + order[: size - len(found)].tolist(), dtype=np.int64)
        best = int(order[0])
        found.append(best)
        left[best] = False
        for layer in layers:
            layer.explain(best)


def readers(graph: Graph) -> list[Op]:
    """Operators in which every output reads every input channel."""
    return [op for op in graph.ops if op.kind == "linear" or (op.kind in CONVOLUTIONS and op["groups"] == 1)]


def _readers_of(
    graph: Graph, weights: Weights, channels: ChannelMap, reference: Reference
) -> Iterator[tuple[int, Reader]]:
    """Every layer that reads an atom which may change, with that atom.

    Behind a flatten a channel has several places; matrices are summed over them. A kernel's taps count as outputs.
    """
    dense = readers(graph)
    values = Student(graph, weights).tensors(torch.tensor(reference.images), [op.inputs[0] for op in dense])
    for op in dense:
        name, span = op.inputs[0], channels.span[op.inputs[0]]
        weight = torch.tensor(weights[f"{op.name}.weight"], dtype=torch.float32)
        taps = weight.flatten(2).movedim(1, 0).flatten(1) if weight.ndim > 2 else weight.t()  # inputs x outputs
        rows = values[name].movedim(1, 0).flatten(1)
        rows = rows[:, :: max(1, rows.shape[1] // ROWS)]
        rows = rows - rows.mean(1, keepdim=True)
        for atom, here in _pieces(channels, name):
            if channels.atoms[atom].frozen:
                continue
            size = channels.atoms[atom].size
            covariance, energy, total = torch.zeros(size, size), torch.zeros(size, size), 0.0
            for place in range(span):
                one = rows.view(-1, span, rows.shape[1])[here, place]
                read = taps.reshape(-1, span, taps.shape[1])[here, place]
                together = one @ one.t() / one.shape[1]
                made = together @ read
                covariance += together
                energy += made @ made.t()
                total += float((made * read).sum())
            yield atom, Reader(covariance, energy, total)


def _pieces(channels: ChannelMap, tensor: str) -> Iterator[tuple[int, slice]]:
    """The atoms along a tensor's channels, and where each lies."""
    start = 0
    for atom in channels.of[tensor]:
        size = channels.atoms[atom].size
        yield atom, slice(start, start + size)
        start += size
