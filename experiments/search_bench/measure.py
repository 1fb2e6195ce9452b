"""What is written down of one run: its smallest proven file, its hypervolume on the test images, and its curve."""

from pathlib import Path

import numpy as np

import nas
from nas import finale
from nas.ledger import LEDGER_FILE, Entry, evaluation_of, read
from nas.objectives import objective_vector, parse_budget, reference_point, violation
from nas.pareto import hypervolume


def seconds_of(budget: str) -> float:
    """For comparing budgets; steps count as less than any seconds."""
    found = parse_budget(budget)
    return found.seconds if found.seconds is not None else -1 / found.steps


def test_volume(result: nas.RunResult, points: list) -> float:
    """Hypervolume of the scenario's objectives below its limits, with the drops on the test images.

    Points are those that a user would have been given: on final_val within the limits. Nothing is chosen by the test.
    """
    reference = reference_point(result.limits, result.objectives, result.original.cost)
    vectors = [objective_vector(p.cost, p.test_drop, result.objectives) for p in points if p.within_limits]
    return round(hypervolume(np.array(vectors), reference), 4) if vectors else 0.0


def arrivals(folder: Path, began: float) -> list[tuple[float, Entry]]:
    """Evaluations with the seconds since the process began."""
    entries = [entry for entry in read(folder / LEDGER_FILE) if entry["entry"] == "evaluation"]
    return [(entry["time"] - began, entry) for entry in entries]


def figures(result: nas.RunResult | None, folder: Path, began: float) -> dict[str, object]:
    """The row's measured part; empty where nothing met the limits or nothing fits."""
    names = ("size_bytes", "ram_bytes", "latency_ms")
    empty = dict.fromkeys(
        ("proven_kb", *names[1:], "proven_val_drop", "proven_bound", "proven_test_drop", "proven_is_ladder",
         "test_hypervolume", "val_hypervolume", "first_seconds", "evaluations", "finishes", "steps")
    )  # fmt: skip
    if result is None:
        return empty
    proven = [p for p in result.points if p.within_limits and p.verdict == "proven"]
    best = min(proven, key=lambda p: p.cost.size_bytes, default=None)
    limits = result.limits
    fit = [
        at
        for at, entry in arrivals(folder, began)
        if (e := evaluation_of(entry)).drop is not None and violation(e.cost, limits, e.drop) == 0
    ]
    rungs = len(result.plan["rungs"])
    found = {
        "test_hypervolume": test_volume(result, list(result.front)),
        "val_hypervolume": round(result.hypervolume, 4),
        "first_seconds": round(min(fit), 1) if fit else None,
        "evaluations": len(result.archive),
        "finishes": sum(row.rung > rungs for row in result.archive),
        "steps": sum(row.steps for row in result.archive),
    }
    if best is not None:
        found |= {
            "proven_kb": round(best.cost.size_bytes / 1024, 2), "ram_bytes": best.cost.ram_bytes,
            "latency_ms": best.cost.latency_ms and round(best.cost.latency_ms, 4),
            "proven_val_drop": round(best.val_drop, 3), "proven_bound": round(best.val_drop_upper95, 3),
            "proven_test_drop": round(best.test_drop, 3), "proven_is_ladder": best.is_ladder,
        }  # fmt: skip
    return empty | found


def curve(result: nas.RunResult, folder: Path, began: float) -> list[dict[str, float]]:
    """Test hypervolume over the seconds: of the front, by final_val, of the final points that had arrived by then."""
    points = {p.id: p for p in result.points if p.test_drop is not None}
    last = {evaluation_of(entry).job.genome.key: at for at, entry in arrivals(folder, began)}
    times = sorted(((at, points[key]) for key, at in last.items() if key in points), key=lambda pair: pair[0])
    rows = []
    for k, (at, _) in enumerate(times):
        arrived = finale.mark_front([point for _, point in times[: k + 1]], result.objectives)
        volume = test_volume(result, [point for point in arrived if point.on_front])
        if not rows or volume != rows[-1]["test_hypervolume"]:
            rows.append({"at_seconds": round(at, 1), "test_hypervolume": volume})
    return rows
