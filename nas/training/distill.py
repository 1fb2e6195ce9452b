"""Distillation: a student learns the original's answers to augmented views of the training images.

The loss is the task's (`nas.tasks.losses`): mostly the distance to the original's answers, partly that to the targets.
SGD with Nesterov momentum at a constant rate after a short warm-up, so that training can go on at any time; what is
scored is a copy that trained a little further, on the pictures as they are, with the rate falling to zero (`cooled`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from nas.data.views import Views
from nas.students.candidate import Student
from nas.training import accelerator, passes
from nas.training.accelerator import Accelerator
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
        temperature, alpha: T, where the loss has one, and the teacher's share of the loss.
        momentum: Nesterov's.
        weight_decay: pulls weights to zero; biases and norms are left alone.
        warmup_steps: over which the rate rises linearly from lr / warmup_steps.
        clip: largest Euclidean norm of a step's gradient; a refitted network of 27 layers begins with norms of 20 to
            200 and without a bound forgets in its first steps what the refit gave it.
        views: how many of the views are learned from, view 0 first, which is the pictures as they are; 0 = all.
    """

    lr: float = 0.05
    batch: int = 128
    temperature: float = 4.0
    alpha: float = 0.9
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_steps: int = 30
    clip: float = 2.0
    views: int = 0


class Distiller:
    """Trains one student; the same seed, views, recipe, device and calls give the same weights.

    Args:
        student: trained in place; `add_norm` it first.
        views: what it learns from.
        seed: decides the order of the pictures.
        step: steps it was trained for already.
        on: the device it moves to; None is the processor.
    """

    def __init__(
        self,
        student: Student,
        views: Views,
        recipe: Recipe,
        *,
        seed: int,
        step: int = 0,
        on: Accelerator | None = None,
    ) -> None:
        self.student = student if on is None else student.to(on.device)
        self.views, self.recipe = views.first(recipe.views), recipe
        self.seed, self.step, self.on = seed, step, on
        self.batch = min(recipe.batch, views.size)
        self._pass: passes.Pass | None = None
        # Asked for by every `run`, however short.
        self._orders = lru_cache(maxsize=1)(self.views.order), lru_cache(maxsize=1)(self.views.first(1).order)
        self._flatten()

    @classmethod
    def resume(
        cls,
        graph: Graph,
        state: Mapping[str, np.ndarray],
        views: Views,
        recipe: Recipe,
        *,
        seed: int,
        on: Accelerator | None = None,
    ) -> Distiller:
        """The distiller whose `state` was kept; goes on as if it had never stopped."""
        student = Student.restore(graph, state, ending=views.task.ending)
        distiller = cls(student, views, recipe, seed=seed, step=int(state["step"][0]), on=on)
        for name, velocity in distiller._velocities.items():
            velocity.copy_(torch.from_numpy(np.asarray(state[MOMENTUM_PREFIX + name])))
        return distiller

    def state(self) -> dict[str, np.ndarray]:
        """All that `resume` needs, as copies: the student's state, momentum, and the step."""
        found = self.student.state()
        for name, velocity in self._velocities.items():
            found[MOMENTUM_PREFIX + name] = velocity.cpu().numpy().copy()
        return found | {"step": np.array([self.step])}

    def run(self, steps: int) -> None:
        """Trains on at the constant rate.

        Raises:
            TrainingDiverged: see there.
        """
        self._train([self._rate(self.step + k) for k in range(steps)], self._rows())

    def finish(self, steps: int) -> dict[str, np.ndarray]:
        """Trains on with the rate falling linearly to zero: the last stretch. Returns the folded weights.

        On the pictures as they are: augmented views keep a long training from learning them by heart, but what is asked
        for in the end is the answer to pictures like these (measured in `experiments/recipe`).
        """
        rate = self._rate(self.step)
        self._train([rate * (steps - k) / steps for k in range(steps)], self._rows(plain=True))
        return self.student.folded()

    def cooled(self, steps: int) -> dict[str, np.ndarray]:
        """Folded weights of a copy that went through `finish(steps)`; this distiller stays as it is."""
        kept, step = [tensor.clone() for tensor in self._everything()], self.step
        try:
            return self.finish(steps)
        finally:
            self.step = step
            for tensor, value in zip(self._everything(), kept, strict=True):
                tensor.copy_(value)

    def _everything(self) -> list[Tensor]:
        """All that a step changes."""
        return [self._values, self._velocity, *self.student.buffers()]

    def _flatten(self) -> None:
        """Lays all parameters side by side in one vector, so that an optimiser step is one sweep over it.

        Weights come first: only they decay. The student's parameters become views of it.
        """
        named = self.student.parameters_by_name()
        self._names = sorted(named, key=lambda name: not name.endswith(".weight"))
        sizes = [named[name].numel() for name in self._names]
        self._decayed = sum(n for n, name in zip(sizes, self._names, strict=True) if name.endswith(".weight"))
        device = None if self.on is None else self.on.device
        self._values, self._gradient, self._velocity = (torch.zeros(sum(sizes), device=device) for _ in range(3))
        self._gradients, self._velocities = {}, {}
        start = 0
        for name, size in zip(self._names, sizes, strict=True):
            here, shape = slice(start, start + size), named[name].shape
            self._values[here] = named[name].detach().reshape(-1)
            named[name].data = self._values[here].view(shape)
            self._gradients[name] = self._gradient[here].view(shape)
            self._velocities[name] = self._velocity[here].view(shape)
            start += size

    def _rate(self, step: int) -> float:
        return self.recipe.lr * min(1.0, (step + 1) / max(self.recipe.warmup_steps, 1))

    def _rows(self, *, plain: bool = False) -> Iterator[np.ndarray]:
        """Row numbers of one batch after another, from the current step on, for ever; those of view 0 if `plain`."""
        each = self.views.size // self.batch
        epoch, k = divmod(self.step, each)
        while True:
            order = self._orders[plain](self.seed, epoch)
            for first in range(k * self.batch, each * self.batch, self.batch):
                yield order[first : first + self.batch]
            epoch, k = epoch + 1, 0

    def _train(self, rates: list[float], batches: Iterator[np.ndarray]) -> None:
        """One step for each rate."""
        if self._pass is None:
            self._pass = passes.choose(self.student, self.batch, self._gradients, self.on)
        one, recipe = self._pass, self.recipe
        images = partial(getattr, one, "images")
        for rate, rows in zip(rates, batches, strict=False):
            one.load(self.views, rows)
            logits = one.forward()
            self.views.loss_gradient(rows, images, logits, recipe.temperature, recipe.alpha, one.logits_gradient)
            one.backward()
            self._update(rate)
            self.step += 1
            if self.step % CHECK_EVERY == 0:
                self._check(logits)
        self._check(self._values.cpu().numpy())

    def _update(self, rate: float) -> None:
        """Moves the parameters against their gradient."""
        from nas.training import kernels  # they take a second to load, and only training needs them

        recipe = self.recipe
        settings = rate, recipe.momentum, recipe.weight_decay, self._decayed
        if self.on is not None:
            accelerator.nesterov(self._values, self._gradient, self._velocity, *settings, recipe.clip)
            return
        state = self._values.numpy(), self._gradient.numpy(), self._velocity.numpy()
        norm = float(np.sqrt(state[1] @ state[1]))
        if norm > recipe.clip:
            state[1][:] *= recipe.clip / norm
        kernels.nesterov(*state, *settings)

    def _check(self, values: np.ndarray) -> None:
        if not np.isfinite(values.sum()):
            law = "training must keep finite numbers"
            raise TrainingDiverged(
                f"{law}, but lost them by step {self.step}; lower the learning rate {self.recipe.lr}"
            )
