"""Every task keeps one contract; metrics are arithmetic."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from nas import judge
from nas.data.views import Views
from nas.judge import Judge
from nas.students.candidate import Student
from nas.tasks import TASKS, load_task, metrics
from nas.training.distill import Distiller, Recipe
from search_spaces.errors import DataError, InputError, ModelError
from tests.task_suite import ROWS, VALUES, Case, cases
from tests.toys import Sketch, random_weights

CASES = cases()
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def test_every_task_is_tried() -> None:
    assert CASES.keys() == TASKS.keys()


@each
def test_the_gradient_is_that_of_the_loss(case: Case) -> None:
    """Two views of the same rows, so that row numbers count both."""
    teacher = np.stack([case.teacher, case.teacher + 0.5])
    views = Views(np.stack([case.x, case.x]), teacher, case.targets, case.task)
    rows = np.array([3, ROWS + 7, 0, ROWS + 3])
    outputs = torch.randn(4, VALUES, generator=torch.Generator().manual_seed(0)).requires_grad_()
    wanted = torch.from_numpy(case.wanted[rows % ROWS])
    both = teacher.reshape(-1, VALUES)
    value = case.loss_for(both)(outputs, torch.from_numpy(both[rows]), wanted, 4.0, 0.9)
    (expected,) = torch.autograd.grad(value, outputs)
    found = np.empty((VALUES, 4), np.float32)
    planes = np.empty((VALUES, 4), np.float32)
    views.pictures(rows, planes)
    views.loss_gradient(rows, lambda: planes, np.ascontiguousarray(outputs.detach().numpy().T), 4.0, 0.9, found)
    np.testing.assert_allclose(found.T, expected, atol=1e-6, rtol=1e-4)


@each
def test_a_distance_is_zero_to_itself_and_grows(case: Case) -> None:
    away = np.random.default_rng(1).standard_normal(case.teacher.shape).astype(np.float32)
    found = [case.task.distance(case.teacher, case.teacher + step * away) for step in (0, 0.1, 1)]
    assert found[0] == pytest.approx(0, abs=1e-9)
    assert 0 < found[1] < found[2]


@each
def test_perfect_answers_score_100_and_others_less(case: Case) -> None:
    judged = Judge(case.task, case.x, case.targets, case.perfect)
    assert judged.original_score == pytest.approx(100)
    assert judged.drop(case.perfect) == (0.0, 0.0)
    worse = case.perfect + 3 * np.random.default_rng(2).standard_normal(case.perfect.shape).astype(np.float32)
    drop, upper = judged.drop(worse)
    assert drop == pytest.approx(100 - judged.score(worse))
    assert 0 < drop < upper


@each
def test_targets_are_checked(case: Case) -> None:
    assert np.array_equal(case.task.targets(case.targets, "val", VALUES), case.targets)
    for wrong, why in case.wrong:
        with pytest.raises(DataError, match=why):
            case.task.targets(wrong, "val", VALUES)


@each
def test_strata_are_one_code_a_row(case: Case) -> None:
    codes = case.task.strata(case.targets)
    assert codes.shape == (ROWS,)
    assert len(np.unique(codes)) <= 10
    assert codes.dtype.kind in "iu"


@each
def test_a_trained_student_is_nearer_to_the_original(case: Case) -> None:
    sketch = Sketch(VALUES)
    for name, width in (("hidden", 16), ("logits", VALUES)):
        sketch.add(name, "linear", out_channels=width)
    graph = sketch.done()
    weights = random_weights(graph, 1)
    student = Student(graph, weights, ending=case.task.ending)
    recipe = Recipe(lr=0.02, batch=20, warmup_steps=4, weight_decay=0.0)
    views = Views(case.x[None], case.teacher[None], case.targets, case.task)
    after = Student(graph, Distiller(student, views, recipe, seed=0).finish(300)).logits(case.x)
    before = Student(graph, weights).logits(case.x)
    assert case.task.distance(case.teacher, after) < 0.95 * case.task.distance(case.teacher, before)


@each
def test_a_task_goes_to_a_worker_and_back(case: Case) -> None:
    again = pickle.loads(pickle.dumps(case.task))
    assert again == case.task
    assert again.metric.score(case.task.answers(case.perfect, case.x), case.targets) == pytest.approx(100)


@pytest.mark.parametrize(
    ("task", "shapes", "text"),
    [
        ("classification", ((3, 8, 8), (1,)), "--task multilabel"),
        ("classification", ((3, 8, 8), (5, 1, 1)), "N x classes"),
        ("regression", ((64,), (2, 4, 4)), "N x 2 x 4 x 4"),
        ("anomaly", ((64,), (8,)), "reproduces its input"),
    ],
)
def test_models_for_something_else_are_refused(task: str, shapes: tuple, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        load_task(task).check_model(*shapes, "net.onnx")


# -- metrics by hand ------------------------------------------------------------------------------------------------


def test_average_precision_by_hand() -> None:
    """Ranks of the positives 1 and 3 of 4: (1/1 + 2/3) / 2. All scores equal: the share of positives."""
    scores, positive = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    assert metrics.average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.average_precision(np.zeros(4), positive) == pytest.approx(0.5)


def test_a_label_that_no_row_has_is_left_out() -> None:
    labels = np.array([[1, 0], [0, 0]], np.float32)
    assert metrics.mean_average_precision(np.array([[2.0, 1.0], [1.0, 5.0]]), labels) == 100.0
    assert np.isnan(metrics.mean_average_precision(np.zeros((2, 2)), np.zeros((2, 2))))


def test_auc_by_hand() -> None:
    """Flagged 3 and 1 against 2 and 1: three of four pairs, one of them half."""
    assert metrics.auc(np.array([3.0, 1.0, 2.0, 1.0]), np.array([1, 1, 0, 0])) == 100 * (2 + 0.5) / 4
    assert np.isnan(metrics.auc(np.ones(2), np.ones(2)))


def test_r2_by_hand() -> None:
    """Targets 0 and 2 have variance 1; errors of 1 and 0 leave half of it. The mean as the answer explains nothing."""
    targets = np.array([[0.0], [2.0]])
    assert metrics.r2(np.array([[1.0], [2.0]]), targets) == pytest.approx(50)
    assert metrics.r2(np.ones((2, 1)), targets) == pytest.approx(0)


def test_label_accuracy_by_hand() -> None:
    logits, labels = np.array([[2.0, -1.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert metrics.label_accuracy(logits, labels) == 75.0


def test_top1_is_a_percentage_of_first_places() -> None:
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 2.0]])
    assert metrics.top1(logits, np.array([0, 1, 0, 0])) == 75.0


def test_the_bound_of_an_area_holds_for_19_of_20_students() -> None:
    """Scores of 200 rows whose AUCs are truly 92.1 % and 76.0 %: normal scores 2 and 1 apart, their noise shared."""
    task, rng = load_task("anomaly"), np.random.default_rng(0)
    truth, held, tries = 92.135 - 76.025, 0, 120
    for _ in range(tries):
        flags, noise = np.arange(200) % 2, rng.standard_normal(200)
        drop, error = task.metric.difference(noise + 2 * flags, noise + flags, flags)
        held += drop + judge.Z95 * error >= truth
    assert held / tries == pytest.approx(0.95, abs=0.05)


def test_kl_by_hand() -> None:
    """Teacher 3/4, 1/4 and student 1/2, 1/2: 3/4 ln(3/2) + 1/4 ln(1/2)."""
    teacher, student = np.log([[0.75, 0.25]]) + 7, np.zeros((1, 2))
    task = load_task()
    assert task.distance(teacher, student) == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert task.distance(teacher, teacher - 3) == pytest.approx(0)


# -- choosing a task and a metric -----------------------------------------------------------------------------------


def half_of_the_first(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float(outputs[:, 0].mean()) / 2


def no_number(outputs: np.ndarray, targets: np.ndarray) -> str:
    return "good"


def test_a_metric_of_ones_own() -> None:
    metric = load_task("regression", "tests.nas.test_tasks:half_of_the_first").metric
    assert metric.name == "half_of_the_first"
    assert metric.score(np.array([[4.0], [8.0]]), np.zeros((2, 1))) == 3.0
    drop, error = metric.difference(np.array([[4.0], [8.0]]), np.array([[4.0], [4.0]]), np.zeros((2, 1)))
    assert (drop, error > 0) == (1.0, True)


@pytest.mark.parametrize(
    ("task", "metric", "text"),
    [
        ("multilable", "", "did you mean 'multilabel'"),
        ("regression", "auc", "r2 or package.module:function"),
        ("regression", "tests.nas.test_tasks:nothing", "has no function nothing"),
        ("regression", "tests.nas.test_tasks:no_number", "must return one number, got str"),
        ("regression", "tests.nas.test_tasks:test_auc_by_hand", "raised TypeError"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(task: str, metric: str, text: str) -> None:
    with pytest.raises(InputError, match=text) as refused:
        load_task(task, metric).metric.score(np.zeros((2, 1)), np.zeros((2, 1)))
    assert "\n" not in str(refused.value)
