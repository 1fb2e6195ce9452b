"""Training: the gradient is the loss's, the optimiser is torch's, and everything repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nas import checkpoints
from nas.data.views import Views
from nas.students.candidate import Student
from nas.tasks import load_task
from nas.training.distill import Distiller, Recipe, TrainingDiverged
from search_spaces.errors import RunFolderError
from tests import toys
from tests.task_suite import softmax_loss as loss

RECIPE = Recipe(lr=0.02, batch=16, warmup_steps=4)


@pytest.fixture(scope="module")
def views() -> Views:
    """Random pictures, and as teacher the same network with other weights."""
    graph, _ = toys.depthwise()
    images = np.stack([toys.images(graph, 70, seed) for seed in (0, 1)])
    teacher = Student(graph, toys.random_weights(graph, 9))
    logits = 3 * np.stack([teacher.logits(x) for x in images])
    return Views(images, logits, logits[0].argmax(1), load_task())


def distiller(views: Views, recipe: Recipe = RECIPE, seed: int = 0) -> Distiller:
    graph, weights = toys.depthwise()
    student = Student(graph, weights)
    student.add_norm(views.images[0][:32])
    return Distiller(student, views, recipe, seed=seed)


def mean_loss(views: Views, weights: dict[str, np.ndarray]) -> float:
    logits = Student(toys.depthwise()[0], weights).logits(views.images[0])
    return float(loss(*(torch.from_numpy(a) for a in (logits, views.logits[0], views.targets)), 4.0, 0.9))


def test_gradient_is_that_of_the_loss(views: Views) -> None:
    rows = np.array([3, 139, 70, 71, 0])
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    teacher, labels = torch.from_numpy(views.logits.reshape(-1, 4)[rows]), torch.from_numpy(views.targets[rows % 70])
    (expected,) = torch.autograd.grad(loss(logits, teacher, labels, 4.0, 0.9), logits)
    found = np.empty((4, 5), np.float32)
    views.loss_gradient(rows, lambda: np.empty(0), np.ascontiguousarray(logits.detach().numpy().T), 4.0, 0.9, found)
    np.testing.assert_allclose(found.T, expected, atol=1e-6)


def test_steps_are_those_of_torchs_sgd(views: Views) -> None:
    mine, theirs = distiller(views), distiller(views)
    named = theirs.student.parameters_by_name()
    decayed = [p for key, p in named.items() if key.endswith(".weight")]
    rest = [p for key, p in named.items() if not key.endswith(".weight")]
    groups = [{"params": decayed, "weight_decay": RECIPE.weight_decay}, {"params": rest}]
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=True)
    theirs.student.train()
    for step in range(6):
        each = views.size // 16
        rows = views.order(0, step // each)[16 * (step % each) :][:16]
        x = torch.from_numpy(views.images.reshape(-1, 1, 16, 16)[rows])
        teacher = torch.from_numpy(views.logits.reshape(-1, 4)[rows])
        labels = torch.from_numpy(views.targets[rows % views.size])
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * min(1, (step + 1) / 4)
        optimizer.zero_grad()
        loss(theirs.student(x), teacher, labels, 4.0, 0.9).backward()
        optimizer.step()
    mine.run(6)
    for key, value in theirs.student.state().items():
        np.testing.assert_allclose(mine.student.state()[key], value, atol=2e-5, rtol=1e-3)


def test_training_lowers_the_loss(views: Views) -> None:
    trained = distiller(views)
    before = mean_loss(views, trained.student.folded())
    trained.run(40)
    assert mean_loss(views, trained.cooled(10)) < 0.5 * before


def test_same_seed_same_weights_and_another_seed_others(views: Views) -> None:
    first, second, other = distiller(views), distiller(views), distiller(views, seed=1)
    for trained in (first, second, other):
        trained.run(5)
    assert all(np.array_equal(value, second.state()[key]) for key, value in first.state().items())
    assert any(not np.array_equal(value, other.state()[key]) for key, value in first.state().items())


def test_steps_in_two_runs_are_the_steps_in_one(views: Views) -> None:
    once, twice = distiller(views), distiller(views)
    once.run(9)
    twice.run(4)
    twice.run(5)
    assert all(np.array_equal(value, twice.state()[key]) for key, value in once.state().items())


def test_cooling_leaves_the_distiller_alone(views: Views) -> None:
    disturbed, quiet = distiller(views), distiller(views)
    for trained in (disturbed, quiet):
        trained.run(3)
    before = disturbed.state()
    cooled = disturbed.cooled(4)
    assert all(np.array_equal(value, before[key]) for key, value in disturbed.state().items())
    assert not np.array_equal(cooled["stem.weight"], disturbed.student.folded()["stem.weight"])
    finished = quiet.finish(4)
    assert all(np.array_equal(value, finished[key]) for key, value in cooled.items())


def test_a_checkpoint_goes_on_where_it_stopped(views: Views, tmp_path: Path) -> None:
    straight, stopped = distiller(views), distiller(views)
    straight.run(8)
    stopped.run(5)
    path = tmp_path / "state.safetensors"
    path.write_bytes(checkpoints.dump(stopped.state()))
    graph, _ = toys.depthwise()
    resumed = Distiller.resume(graph, checkpoints.load(path), views, RECIPE, seed=0)
    resumed.run(3)
    assert all(np.array_equal(value, resumed.state()[key]) for key, value in straight.state().items())


def test_a_broken_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="missing"):
        checkpoints.load(tmp_path / "none")
    whole = checkpoints.dump({"a": np.arange(100.0)})
    (tmp_path / "torn").write_bytes(whole[:-9])
    with pytest.raises(RunFolderError, match="cannot be read"):
        checkpoints.load(tmp_path / "torn")


def test_a_checkpoints_bytes_do_not_depend_on_order() -> None:
    arrays = {"b": np.arange(3, dtype=np.float32), "a": np.eye(2)[::-1]}
    assert checkpoints.dump(arrays) == checkpoints.dump(dict(reversed(arrays.items())))


def test_divergence_is_named(views: Views) -> None:
    wild = distiller(views, Recipe(lr=1e20, batch=16, warmup_steps=1))
    with pytest.raises(TrainingDiverged, match="learning rate"):
        wild.run(30)
