"""Distillation: a student learns the original's answers to augmented views of the training images.

Loss: alpha T^2 KL(teacher || student at temperature T) + (1 - alpha) cross-entropy with the labels (arXiv:1503.02531).
SGD with Nesterov momentum at a constant rate after a short warm-up, so that training can go on at any time; what is
scored is a copy that trained a little further with the rate falling to zero (`cooled`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas.candidate import Student
from nas.views import Views
from search_spaces.errors import EngineError
from search_spaces.graph import Graph

CHECK_EVERY = 25  # steps between two looks for numbers that are not finite
MOMENTUM_PREFIX = "momentum:"


class TrainingDiverged(EngineError):
    """Weights or logits stopped being finite; the message names the step."""


@dataclass(frozen=True)
class Recipe:
    """How a student is trained.

    Attributes:
        lr: learning rate after the warm-up, for the mean loss of a batch.
        batch: pictures in a step; fewer if there are not as many.
        temperature, alpha: T and the teacher's share of the loss.
        momentum: Nesterov's.
        weight_decay: pulls weights to zero; biases and norms are left alone.
        warmup_steps: over which the rate rises linearly from lr / warmup_steps.
    """

    lr: float = 0.05
    batch: int = 128
    temperature: float = 4.0
    alpha: float = 0.9
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup_steps: int = 30


class Distiller:
    """Trains one student; the same seed, views, recipe and calls give the same weights.

    Args:
        student: trained in place; `add_norm` it first.
        views: what it learns from.
        seed: decides the order of the pictures.
        step: steps it was trained for already.
    """

    def __init__(self, student: Student, views: Views, recipe: Recipe, *, seed: int, step: int = 0) -> None:
        self.student, self.views, self.recipe, self.seed, self.step = student, views, recipe, seed, step
        self.batch = min(recipe.batch, views.size)
        self._flatten()

    @classmethod
    def resume(
        cls, graph: Graph, state: Mapping[str, np.ndarray], views: Views, recipe: Recipe, *, seed: int
    ) -> Distiller:
        """The distiller whose `state` was kept; goes on as if it had never stopped."""
        distiller = cls(Student.restore(graph, state), views, recipe, seed=seed, step=int(state["step"][0]))
        for name, velocity in zip(distiller._names, distiller._velocities, strict=True):
            velocity.copy_(torch.from_numpy(np.asarray(state[MOMENTUM_PREFIX + name])))
        return distiller

    def state(self) -> dict[str, np.ndarray]:
        """All that `resume` needs, as copies: the student's state, momentum, and the step."""
        found = self.student.state()
        for name, velocity in zip(self._names, self._velocities, strict=True):
            found[MOMENTUM_PREFIX + name] = velocity.numpy().copy()
        return found | {"step": np.array([self.step])}

    def run(self, steps: int) -> None:
        """Trains on at the constant rate.

        Raises:
            TrainingDiverged: see there.
        """
        self._train([self._rate(self.step + k) for k in range(steps)])

    def finish(self, steps: int) -> dict[str, np.ndarray]:
        """Trains on with the rate falling linearly to zero: the last stretch. Returns the folded weights."""
        rate = self._rate(self.step)
        self._train([rate * (steps - k) / steps for k in range(steps)])
        return self.student.folded()

    def cooled(self, steps: int) -> dict[str, np.ndarray]:
        """Folded weights of a copy that went through `finish(steps)`; this distiller stays as it is."""
        kept, student, step = [t.clone() for t in self._everything()], self.student, self.step
        try:
            return self.finish(steps)
        finally:
            self.step = step
            for tensor, value in zip(self._everything(), kept, strict=True):
                tensor.copy_(value)
            assert self.student is student

    def _everything(self) -> list[Tensor]:
        """All that a step changes."""
        return [self._values, self._velocity, *self.student.buffers()]

    def _flatten(self) -> None:
        """Lays all parameters side by side in one tensor, so that an optimiser step is a handful of operations.

        Weights come first: only they decay.
        """
        named = sorted(self.student.parameters_by_name().items(), key=lambda item: not item[0].endswith(".weight"))
        self._names = [name for name, _ in named]
        self._parameters = [parameter for _, parameter in named]
        sizes = [parameter.numel() for parameter in self._parameters]
        self._values, self._velocity = torch.empty(sum(sizes)), torch.zeros(sum(sizes))
        self._velocities = []
        pieces = zip(self._parameters, self._values.split(sizes), self._velocity.split(sizes), strict=True)
        for parameter, value, velocity in pieces:
            value.copy_(parameter.detach().reshape(-1))
            parameter.data = value.view(parameter.shape)
            self._velocities.append(velocity.view(parameter.shape))
        self._decayed = sum(n for n, name in zip(sizes, self._names, strict=True) if name.endswith(".weight"))

    def _rate(self, step: int) -> float:
        return self.recipe.lr * min(1.0, (step + 1) / max(self.recipe.warmup_steps, 1))

    def _rows(self) -> Iterator[Tensor]:
        """Row numbers of one batch after another, from the current step on, for ever."""
        each = self.views.size // self.batch
        epoch, k = divmod(self.step, each)
        while True:
            batches = torch.from_numpy(self.views.order(self.seed, epoch)).split(self.batch)
            yield from batches[k:each]
            epoch, k = epoch + 1, 0

    def _train(self, rates: list[float]) -> None:
        """One step for each rate."""
        recipe, student = self.recipe, self.student
        student.train()
        for rate, rows in zip(rates, self._rows(), strict=False):
            x, teacher, labels = self.views.batch(rows)
            logits = student(x)
            gradient = loss_gradient(logits.detach(), teacher, labels, recipe.temperature, recipe.alpha)
            gradients = torch.autograd.grad(logits, self._parameters, gradient)
            self._update(torch.cat([g.reshape(-1) for g in gradients]), rate)
            self.step += 1
            if self.step % CHECK_EVERY == 0:
                self._check(logits)
        self._check(self._values)

    @torch.no_grad()
    def _update(self, gradient: Tensor, rate: float) -> None:
        """Nesterov's step as torch.optim.SGD does it: v = m v + g, w -= rate (g + m v)."""
        weights = self._values[: self._decayed]
        gradient[: self._decayed].add_(weights, alpha=self.recipe.weight_decay)
        self._velocity.mul_(self.recipe.momentum).add_(gradient)
        self._values.add_(gradient.add_(self._velocity, alpha=self.recipe.momentum), alpha=-rate)

    def _check(self, values: Tensor) -> None:
        if not torch.isfinite(values.detach().sum()):
            law = "training must keep finite numbers"
            raise TrainingDiverged(
                f"{law}, but lost them by step {self.step}; lower the learning rate {self.recipe.lr}"
            )


def loss_gradient(logits: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    """Gradient of the mean loss to the logits, `N x classes`.

    T^2 KL at temperature T has the gradient T (softmax(z / T) - softmax(teacher / T)); cross-entropy softmax(z) - one.
    """
    soft = torch.softmax(logits / temperature, 1).sub_(torch.softmax(teacher / temperature, 1))
    hard = torch.softmax(logits, 1)
    hard[torch.arange(len(labels)), labels] -= 1
    return soft.mul_(alpha * temperature).add_(hard, alpha=1 - alpha).div_(len(labels))


def loss(logits: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    """The mean loss itself, for tests and reports."""
    log_soft = torch.log_softmax(logits / temperature, 1)
    target = torch.log_softmax(teacher / temperature, 1)
    divergence = (target.exp() * (target - log_soft)).sum(1).mean()
    return alpha * temperature**2 * divergence + (1 - alpha) * torch.nn.functional.cross_entropy(logits, labels)
