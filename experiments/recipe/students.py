"""Students of one ladder network under a recipe, judged in float on all 10,000 validation images of the quickstart."""

import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from nas import baseline, inputs, material
from nas.config import RunConfig
from nas.data.feed import feed
from nas.data.views import Views
from nas.evaluate import FINISH_COOLDOWN, REFIT_IMAGES
from nas.judge import Judge
from nas.strategies import ladder
from nas.students.candidate import Student
from nas.students.inherit import importance
from nas.students.refit import Reference, refit
from nas.training.distill import Distiller, Recipe
from search_spaces.graph import Weights
from targets.pricing import Pricer

FOLDER = Path("results/recipe")
VIEWS = 4
OWN = ("views", "cooldown", "averaged", "augmented")
"""Settings beside those of a `Recipe`: the views that are learned from (2), the share of steps with a falling rate, the
share of a picture's teacher that is the mean of the original's answers to all four views of it (0), and whether the
steps with a falling rate see all views as well (0), in place of the pictures as they are.
"""

Settings = dict[str, float]


def settings(arm: str) -> Settings:
    """`"lr=0.1,views=4"` as numbers; `base` is empty."""
    pairs = [part.split("=") for part in arm.split(",") if part != "base"]
    return {name: float(value) for name, value in pairs}


def recipe_of(given: Settings) -> Recipe:
    whole = {field.name for field in fields(Recipe) if field.type == "int"}
    return replace(Recipe(), **{k: int(v) if k in whole else v for k, v in given.items() if k not in OWN})


class Room:
    """The quickstart with the original's answers on a few views, kept in `FOLDER`."""

    def __init__(self) -> None:
        self.found = inputs.read(RunConfig())
        arrays = self._arrays()
        data = self.found.data
        self.images, self.logits, self.targets = arrays["view_images"], arrays["view_logits"], data.y_train
        x, y = np.concatenate([data.x_search, data.x_final]), np.concatenate([data.y_search, data.y_final])
        self.judge, self.answers = Judge(data.task, x, y, arrays["val_logits"]), arrays["val_logits"]
        weights = self.found.weights
        self.reference = Reference(self.found.space.graph, weights, feed(self.images[0][:REFIT_IMAGES]))
        self.order = importance(self.found.space.graph, weights, self.found.space.channels, self.reference)
        self._begun: dict[int, tuple] = {}

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("view_images", "view_logits", "val_logits")
        if not (FOLDER / "val_logits.npy").exists():
            FOLDER.mkdir(parents=True, exist_ok=True)
            session = self.found.session(threads=os.cpu_count() or 1)
            base = baseline.measure(session, self.found.data, seed=0)
            made = material.gather(self.found, session, base, views=VIEWS, seed=0)
            made["val_logits"] = np.concatenate([base.logits["search_val"], base.logits["final_val"]])
            for name in names:
                np.save(FOLDER / f"{name}.npy", made[name])
        return {name: np.load(FOLDER / f"{name}.npy", mmap_mode="r") for name in names}

    def begun(self, kb: int) -> tuple:
        """The graph and the refitted weights of the widest uniform network of at most that size."""
        if kb not in self._begun:
            space = self.found.space
            price = Pricer(space, self.found.device, "tflm").price
            genome = ladder.at_size(space, lambda g: float(price(g).size_bytes), kb * 1024.0)
            weights = refit(space, genome, self.found.weights, self.reference, self.order)
            self._begun[kb] = space.apply(genome), weights
        return self._begun[kb]

    def distiller(self, kb: int, given: Settings, *, seed: int) -> Distiller:
        graph, weights = self.begun(kb)
        count = int(given.get("views", 2))
        logits, share = self.logits[:count], given.get("averaged", 0.0)
        if share:
            logits = (1 - share) * logits + share * self.logits.mean(0)
        views = Views(self.images[:count], logits, self.targets, self.found.data.task)
        student = Student(graph, weights, ending=self.found.data.task.ending)
        student.add_norm(self.reference.images)
        return Distiller(student, views, recipe_of(given), seed=seed)

    def trained(self, kb: int, given: Settings, steps: int, *, seed: int) -> dict[str, float]:
        """The student after a finish of that many steps: its drop in points and its KL to the original."""
        distiller = self.distiller(kb, given, seed=seed)
        falling = round(steps * given.get("cooldown", FINISH_COOLDOWN))
        falling = min(falling, steps - distiller.recipe.warmup_steps)
        distiller.run(steps - falling)
        if given.get("augmented"):
            distiller._train([distiller.recipe.lr * (falling - k) / falling for k in range(falling)], distiller._rows())
            return self.score(kb, distiller.student.folded())
        return self.score(kb, distiller.finish(falling))

    def distance(self, kb: int, weights: Weights, *, rows: slice) -> float:
        """Its KL to the original on some of the validation images."""
        graph, _ = self.begun(kb)
        task = self.found.data.task
        logits = Student(graph, weights, ending=task.ending).logits(self.judge.images(graph.input_shape)[rows])
        return task.distance(self.answers[rows], logits)

    def score(self, kb: int, weights: Weights) -> dict[str, float]:
        graph, _ = self.begun(kb)
        task = self.found.data.task
        logits = Student(graph, weights, ending=task.ending).logits(self.judge.images(graph.input_shape))
        drop = self.judge.original_score - self.judge.score(logits)
        return {"drop": drop, "kl": task.distance(self.answers, logits)}
