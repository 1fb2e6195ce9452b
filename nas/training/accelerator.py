"""A GPU, or any other device of torch, that students are trained on in place of the processor.

A student's parameters, their gradients and momentum and its running statistics lie there for as long as it is trained,
and so do the views, if all of them are kept (`nas.data.views`) and small: they go there once a worker. Each step then
sends row numbers there; logits come back and their gradient goes there again, because every loss has one definition
(`nas.tasks.losses`), which is the processor's. Refits, looks, quantization and scores stay with the processor.

Arithmetic is float32 throughout, by cuDNN's deterministic kernels. bf16 was left out: on the one device at hand, a
processor, it makes steps slower (`experiments/training/speed.py`), and nobody has measured it on a GPU.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from nas.data.views import Views
from nas.students.candidate import Student
from nas.tasks import Task
from search_spaces.errors import InputError
from search_spaces.graph import Graph, Weights

HELD_BYTES = 1 << 30
"""Larger views stay in memory, and each batch is sent: every worker that shares a GPU would hold them."""


class Accelerator:
    """The device of one process, and the views that lie there.

    Args:
        name: torch's, `cuda`; `cpu` takes the same way through the code as a GPU does.
    """

    def __init__(self, name: str) -> None:
        self.device = torch.device(name)
        self._table: np.ndarray | None = None
        self._held: Tensor

    def pictures(self, views: Views, rows: np.ndarray) -> Tensor:
        """The pictures of some row numbers as a network is fed, `N x ...`, channels last, on the device."""
        if views.table is None or views.table.nbytes > HELD_BYTES:
            planes = np.empty((int(np.prod(views.shape)), len(rows)), np.float32)
            views.pictures(rows, planes)
            found = self.put(planes).t()
        else:
            if self._table is not views.table:
                self._table, self._held = views.table, self.put(views.table)
            found = self._held.index_select(0, self.put(rows)).float() / views.divisor
        found = found.reshape(len(rows), *views.shape)
        return found.contiguous(memory_format=torch.channels_last) if found.ndim == 4 else found

    def put(self, array: np.ndarray) -> Tensor:
        """A copy there."""
        return torch.tensor(array, device=self.device)

    def original(self, graph: Graph, weights: Weights, task: Task) -> Student:
        """The original there: its `logits` are the values that students learn from."""
        return Student(graph, weights, ending=task.ending).to(self.device)


def find(wanted: str) -> str | None:
    """What to make an `Accelerator` of; None if students are trained on the processor.

    Args:
        wanted: `cpu`, `cuda` or `auto`.

    Raises:
        InputError: `cuda` is wanted, and torch finds none.
    """
    if wanted == "cpu":
        return None
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        law = f"device cuda needs a GPU that torch can use, and torch {torch.__version__} finds none"
        advice = "check the driver (nvidia-smi)" if torch.version.cuda else "install a build of torch with CUDA"
        raise InputError(f"{law}; {advice}, or use --device cpu")
    return None


def title(name: str | None) -> str:
    """What trains, as `environment.json` has it."""
    return torch.cuda.get_device_name(name) if name == "cuda" else "cpu"


def gpus() -> int:
    """How many GPUs torch can use on this machine."""
    return torch.cuda.device_count()


def deterministic() -> AbstractContextManager[None]:
    """Convolutions by the same kernels each time, in float32 in full."""
    found: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return found


# The kernels of the same names (`nas.training.kernels`), on vectors of any device and without waiting for it.


def nesterov(
    values: Tensor,
    gradient: Tensor,
    velocity: Tensor,
    rate: float,
    momentum: float,
    decay: float,
    decayed: int,
    clip: float,
) -> None:
    """One step of SGD; a gradient longer than `clip` is cut to that length."""
    gradient *= (clip / torch.linalg.vector_norm(gradient)).clamp(max=1.0)
    gradient[:decayed].add_(values[:decayed], alpha=decay)
    velocity.mul_(momentum).add_(gradient)
    values.sub_(gradient.add(velocity, alpha=momentum), alpha=rate)


def adam_on_grid(
    exact: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    steps: Tensor,
    coarse: Tensor,
    limits: Tensor,
    values: Tensor,
    rate: float,
    step: int,
) -> None:
    """One step of Adam on numbers behind integers."""
    towards = gradient * steps * coarse
    first.lerp_(towards, 1 - 0.9)
    second.lerp_(towards * towards, 1 - 0.99)
    size = (second / (1 - 0.99**step)).sqrt_().add_(1e-12)
    exact.sub_(first / size, alpha=rate / (1 - 0.9**step)).clamp_(-limits, limits)
    torch.mul((exact * coarse).round_(), steps, out=values)
