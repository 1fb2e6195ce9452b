"""Other ways to say which channels a narrower network should keep: a permutation of each atom's channels, best first.

Of coupled channels the scores of all layers that write them are added, each as a share of its layer's mean (as
Torch-Pruning does); "l1" counts the layers that read them as well.
"""

from collections.abc import Callable

import numpy as np
import torch

from nas.students.candidate import Student
from nas.students.importance import readers
from search_spaces.ops import LAYERS

BATCH = 8  # images whose gradients are summed before they are squared


def ordered(channels, parts) -> dict[int, np.ndarray]:
    """From scores along the channels of tensors to an order of every atom.

    Args:
        parts: pairs of a tensor's name and a score for each of its channels.
    """
    scores = [np.zeros(atom.size) for atom in channels.atoms]
    for tensor, score in parts:
        start = 0
        for atom in channels.of[tensor]:
            size = channels.atoms[atom].size
            scores[atom] += score[start : start + size] / (score.mean() or 1.0)
            start += size
    return {k: np.argsort(-score, kind="stable") for k, score in enumerate(scores)}


def written(graph) -> list[str]:
    """The layers whose outputs are channels of their own."""
    return [op.name for op in graph.ops if op.kind in LAYERS]


def l1(space, weights, x, targets) -> dict[int, np.ndarray]:
    """Sum of the sizes of all weights that write or read a channel."""
    graph, channels = space.graph, space.channels
    parts = [(name, np.abs(weights[f"{name}.weight"]).reshape(len(weights[f"{name}.weight"]), -1).sum(1))
             for name in written(graph)]  # fmt: skip
    for op in readers(graph):
        weight = np.abs(weights[f"{op.name}.weight"])
        read = weight.reshape(*weight.shape[:2], -1).sum((0, 2)).reshape(-1, channels.span[op.inputs[0]]).sum(1)
        parts.append((op.inputs[0], read))
    return ordered(channels, parts)


def bn_gamma(space, weights, x, targets) -> dict[int, np.ndarray]:
    """BatchNorm's |gamma|: it is folded at the door, and what it was is the standard deviation of a filter's output."""
    names = written(space.graph)
    found = Student(space.graph, weights).tensors(torch.tensor(x), names)
    parts = [(name, value.movedim(1, 0).flatten(1).std(1).numpy()) for name, value in found.items()]
    return ordered(space.channels, parts)


def _gates(space, weights, x, loss: Callable) -> dict[int, np.ndarray]:
    """First-order Taylor (arXiv:1906.10771): the mean square, over batches, of the loss's slope along a filter's gate.

    The slope is the sum of weight times gradient over the filter, its bias included.
    """
    student = Student(space.graph, weights)
    named, names = student.parameters_by_name(), written(space.graph)
    total = {name: 0.0 for name in names}
    for first in range(0, len(x), BATCH):
        student.zero_grad()
        loss(student(torch.tensor(x[first : first + BATCH])).flatten(1), slice(first, first + BATCH)).backward()
        for name in names:
            both = [named[f"{name}.{role}"] for role in ("weight", "bias")]
            slope = sum((p.detach() * p.grad).reshape(len(p), -1).sum(1) for p in both)
            total[name] += slope.square().double().numpy()
    return ordered(space.channels, total.items())


def taylor(space, weights, x, targets) -> dict[int, np.ndarray]:
    """Of the cross-entropy with the targets."""
    labels = torch.as_tensor(targets, dtype=torch.long)
    return _gates(space, weights, x, lambda logits, rows: torch.nn.functional.cross_entropy(logits, labels[rows]))


def taylor_logits(space, weights, x, targets) -> dict[int, np.ndarray]:
    """Of the logits, by random signs: on average the squared change of all of them, which distillation sees."""
    rng = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (len(x), 10), generator=rng).float() * 2 - 1
    return _gates(space, weights, x, lambda logits, rows: (logits * signs[rows]).sum())
