"""What a budget buys: a price list in worker seconds (or in steps), measured and written to the ledger.

The search reasons in these prices and never looks at a clock, so the same plans give the same run. The clock is only a
final cut-off; where it and the plan drift apart, the driver writes a corrected plan to the ledger (`nas.pacing`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from search_spaces.graph import Graph

COOLDOWN = 0.2  # share of a rung's steps that its scored copy is trained on with a falling rate


@dataclass(frozen=True)
class Plan:
    """Prices and shares of one run.

    Attributes:
        unit: what a price is counted in; "steps" makes every step cost 1 and needs no timing.
        total: everything the workers may spend together.
        workers: how many work side by side.
        look: inherit, refit, calibrate, write and score one candidate.
        per_op, per_mac: one training step of a batch costs `per_op * operators + per_mac * MACs`.
        rungs: training steps a candidate has seen at the end of each rung; the finish is the rung after the last.
        scouts: ladder networks measured first.
        search_share: of `total`, what looks may cost; promotions come on top.
        finishes: full trainings, a multiple of `workers`.
        reserved: kept out of `total` for trainings with other seeds after the search (`nas.repeats`).
    """

    unit: Literal["seconds", "steps"]
    total: float
    workers: int
    look: float
    per_op: float
    per_mac: float
    rungs: tuple[int, ...] = (25, 100)
    scouts: int = 6
    search_share: float = 0.18
    finishes: int = 4
    reserved: float = 0.0

    def step(self, graph: Graph) -> float:
        """Price of one training step."""
        return self.per_op * len(graph.ops) + self.per_mac * graph.macs if self.unit == "seconds" else 1.0

    def job(self, graph: Graph, steps: int, *, cooldown: float = COOLDOWN) -> float:
        """Price of a job that trains `steps` steps, cools a copy for that share of them, and scores it in int8."""
        return self.look + steps * (1 + cooldown) * self.step(graph)

    def steps_for(self, graph: Graph, price: float) -> int:
        """Training steps a finish of that price holds, its cool-down among them; a multiple of ten, at least ten."""
        return max(10, int((price - self.look) / self.step(graph)) // 10 * 10)

    def rescaled(self, *, total: float) -> Plan:
        """The plan with another total."""
        return replace(self, total=total)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"rungs": list(self.rungs)}

    @staticmethod
    def from_json(fields: dict[str, Any]) -> Plan:
        return Plan(**(fields | {"rungs": tuple(fields["rungs"])}))


def finishes_for(workers: int) -> int:
    """Full trainings a run pays for: three waves over all workers, and at least six."""
    return workers * max(3, -(-6 // workers))


def step_plan(steps: int, workers: int) -> Plan:
    """The plan of a budget in steps. A look is set at four steps, about what it costs beside a small network's step."""
    few = {"rungs": (5, 10), "scouts": 3} if steps < 2000 else {}
    return Plan("steps", float(steps), workers, 4.0, 0.0, 0.0, finishes=finishes_for(workers), **few)  # type: ignore[arg-type]


def fit_prices(graphs: list[Graph], step_seconds: list[float]) -> tuple[float, float]:
    """`(per_op, per_mac)` in seconds from timed training steps: relative least squares, neither below zero."""
    rows = np.array([[len(graph.ops), graph.macs] for graph in graphs]) / np.array(step_seconds)[:, None]
    ones = np.ones(len(rows))
    per_op, per_mac = np.linalg.lstsq(rows, ones, rcond=None)[0]
    if per_op < 0:
        per_op, per_mac = 0.0, float(rows[:, 1] @ ones / (rows[:, 1] @ rows[:, 1]))
    elif per_mac < 0:
        per_op, per_mac = float(rows[:, 0] @ ones / (rows[:, 0] @ rows[:, 0])), 0.0
    return float(per_op), float(per_mac)


def seconds_plan(total: float, workers: int, look: float, prices: tuple[float, float], *, shortest: float) -> Plan:
    """The plan of a budget in seconds.

    Args:
        total: worker seconds left for jobs.
        shortest: seconds of one training step of a mid-sized candidate; the first rung is a thousandth of the steps
            that `total` would pay for, from 10 to 400, and the second four times that.
    """
    first = int(min(max(total / max(shortest, 1e-6) / 1000, 10), 400))
    scouts = 4 if first < 30 else 6
    rungs = (first, 4 * first)
    return Plan("seconds", total, workers, look, *prices, rungs=rungs, scouts=scouts, finishes=finishes_for(workers))
