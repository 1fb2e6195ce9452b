"""The tables of a run folder: `front.csv`, `archive.csv`, `bill.csv` and `summary.json`, from a `RunResult` alone.

The only module that imports pandas. An empty cell is a figure that is not known.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd

from nas.atomic import write_json, write_text
from nas.result import Point, RunResult
from targets.cost import CallBill, Cost

FRONT_COLUMNS = (
    "id", "size_bytes", "weights_bytes", "flash_bytes", "ram_bytes", "runtime", "macs", "latency_ms",
    "energy_uj", "params", "val_accuracy", "val_drop", "val_drop_upper95", "verdict", "test_accuracy", "test_drop",
    "onnx", "tflite", "input_shape", "knee", "layers_of_4_bits", "seeds", "val_drop_mean", "val_drop_sd",
)  # fmt: skip
ARCHIVE_COLUMNS = (
    "id", "stage", "rung", "steps", "split", "size_bytes", "flash_bytes", "ram_bytes", "macs", "latency_ms",
    "energy_uj", "accuracy", "drop", "kl", "status", "is_ladder",
)  # fmt: skip


WHOLE = ("size_bytes", "flash_bytes", "ram_bytes", "macs")


def front_table(result: RunResult) -> pd.DataFrame:
    """One row a point of the front, smallest first; columns as in `FRONT_COLUMNS`, `val_*` is final_val."""
    return pd.DataFrame([_front_row(point) for point in result.front], columns=list(FRONT_COLUMNS))


def archive_table(result: RunResult) -> pd.DataFrame:
    """Everything that was scored and is not on the front.

    Rows of stage `search` are evaluations in the search's order, with accuracy and drop on search_val; rows of stage
    `finish` are finished networks that are dominated or over a limit, with accuracy and drop on final_val.
    """
    rows: list[dict[str, Any]] = [
        {**dataclasses.asdict(row), **_costs(row.cost), "stage": "search", "split": "search_val"}
        for row in result.archive
    ]
    rows += [
        {
            "id": point.id,
            "stage": "finish",
            "steps": point.steps,
            "split": "final_val",
            **_costs(point.cost),
            "accuracy": point.val_accuracy,
            "drop": point.val_drop,
            "status": "dominated" if point.within_limits else "over the limits",
            "is_ladder": point.is_ladder,
        }
        for point in sorted(result.points, key=lambda p: p.cost.size_bytes)
        if not point.on_front
    ]
    table = pd.DataFrame(rows, columns=list(ARCHIVE_COLUMNS))
    return table.astype({"rung": "Int64", "steps": "Int64", **dict.fromkeys(WHOLE, "Int64")})


def bill_table(bill: tuple[CallBill, ...]) -> pd.DataFrame:
    """One row a kernel call, in execution order."""
    return pd.DataFrame([dataclasses.asdict(call) for call in bill])


def summary(result: RunResult) -> dict[str, Any]:
    """What `summary.json` holds: the run in a page, without the lists."""
    chosen = result.chosen_point
    return {
        "original": dataclasses.asdict(result.original),
        "data": {
            "name": result.data_name,
            "task": result.task,
            "metric": result.metric,
            "outputs": result.outputs,
            "splits": result.splits,
        },
        "target": result.target,
        "runtime": result.runtime,
        "compiler_level": result.compiler_level,
        "bands": {
            name: getattr(result, name)
            for name in ("latency_band_percent", "energy_band_percent", "energy_band_factor")
        },
        "limits": dataclasses.asdict(result.limits),
        "objectives": list(result.objectives),
        "chosen": _front_row(chosen) if chosen else None,
        "front_size": len(result.front),
        "evaluations": len(result.archive),
        "hypervolume": result.hypervolume,
        "audit": None if result.audit is None else dataclasses.asdict(result.audit),
        "binding": result.binding,
        "seconds": result.seconds,
        "overhead_share": result.overhead_share,
        "plan": result.plan,
        "strategy": result.strategy,
        "seed": result.seed,
        "version": result.version,
        "notes": list(result.notes),
    }


def write_tables(result: RunResult, folder: Path) -> None:
    """Writes the four tables, each whole or not at all.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    write_text(folder / "front.csv", _csv(front_table(result)))
    write_text(folder / "archive.csv", _csv(archive_table(result)))
    write_text(folder / "bill.csv", _csv(bill_table(result.bill)))
    write_json(folder / "summary.json", summary(result))


def _csv(table: pd.DataFrame) -> str:
    text: str = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text


def _costs(cost: Cost | None) -> dict[str, Any]:
    return {} if cost is None else dataclasses.asdict(cost)


def _front_row(point: Point) -> dict[str, Any]:
    values = {**dataclasses.asdict(point), **dataclasses.asdict(point.cost)}
    values["input_shape"] = "x".join(map(str, point.input_shape))
    values["layers_of_4_bits"] = sum(value == 4 for name, value in point.values.items() if name.startswith("bits:"))
    drops = point.seed_drops
    values |= {"seeds": max(1, len(drops)), "val_drop_mean": point.seeds_mean, "val_drop_sd": point.seeds_sd}
    return {column: values[column] for column in FRONT_COLUMNS}
