"""The tasks a run may have: classification, multilabel, regression, anomaly."""

from __future__ import annotations

from difflib import get_close_matches

from nas.functions import FUNCTION
from nas.tasks.anomaly import Anomaly
from nas.tasks.classification import Classification
from nas.tasks.metrics import custom
from nas.tasks.multilabel import MultiLabel
from nas.tasks.regression import Regression
from nas.tasks.task import Task
from search_spaces.errors import InputError

__all__ = ["CLASSIFICATION", "TASKS", "Task", "load_task"]

TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, MultiLabel, Regression, Anomaly)}


def load_task(name: str = "classification", metric: str = "") -> Task:
    """The task of that name.

    Args:
        metric: one of the task's own, the default if empty, or `package.module:function` of answers and targets.

    Raises:
        InputError: no such task or metric.
    """
    if name not in TASKS:
        near = get_close_matches(name, TASKS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"task must be one of {', '.join(TASKS)}, got {name!r}{hint}")
    kind = TASKS[name]
    if FUNCTION.fullmatch(metric):
        return kind(custom(metric))
    known = kind.metrics
    if metric and metric not in known:
        raise InputError(f"metric of {name} must be {', '.join(known)} or package.module:function, got {metric!r}")
    return kind(known[metric or next(iter(known))])


CLASSIFICATION = load_task()
