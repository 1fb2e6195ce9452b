"""What a run found, as one record: every table, picture and page of the run folder is made from it alone.

`result.json` holds a `RunResult`; `front.csv`, `archive.csv`, `bill.csv`, `summary.json`, `pareto.png`, `bill.png` and
`report.html` are derived from it (`nas report DIR` makes them again). Accuracies are the task's metric (top-1) in
percent, drops are points of it against the original in fp32 on the same images.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nas import records
from nas.objectives import OBJECTIVES, Limits, resources
from search_spaces.errors import RunFolderError
from targets.cost import CallBill, Cost

if TYPE_CHECKING:
    import pandas as pd

RESULT_FILE = "result.json"

Verdict = Literal["proven", "likely", "not"]
VERDICTS: tuple[Verdict, ...] = ("proven", "likely", "not")


@dataclass(frozen=True, slots=True)
class Original:
    """The model that was given.

    Attributes:
        name: the file or function it came from, as a reader would call it.
        file_bytes: its file as given; for a float model, four bytes a parameter and the graph.
        params, macs: of one sample, as `Graph` counts them.
        accuracy: of fp32 by split; `final_val` and `test` at least, `train` where it was measured.
        int8_accuracy: the same for the original quantized to int8 without training; empty where that takes long.
        cost: what the original itself would cost as int8 on the target; None where it cannot be lowered.
    """

    name: str
    file_bytes: int
    params: int
    macs: int
    accuracy: dict[str, float]
    int8_accuracy: dict[str, float] = field(default_factory=dict)
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One finished and exported network.

    Attributes:
        id: name of its folder under `models/`.
        values: gene name to value, as `SearchSpace.values` gives it.
        input_shape: what the exported files take, without the batch axis; `(C, H, W)` for images.
        cost: predicted before training; `size_bytes` equals the `.tflite` file to the byte.
        steps: training steps it received in all.
        search_drop: int8 drop on search_val, which the search saw.
        val_accuracy, val_drop: of the ONNX file in onnxruntime on final_val, which the search never saw.
        val_drop_upper95: one-sided 95 % upper bound of the drop, paired by image.
        verdict: `proven` if that bound is within the drop limit, `likely` if only the point estimate is, else `not`.
        test_accuracy, test_drop: of the `.tflite` file in LiteRT, scored once at the end; they choose nothing.
        onnx, tflite: paths relative to the run folder.
        on_front: no other point within the limits is at least as good in every objective, and better in one.
        within_limits: within every limit that was set, the drop's point estimate included.
        is_ladder: a uniform-width copy of the original, the control.
        knee: on the front, where it bends most (`pareto.knee`).
        seed_drops: `val_drop`, then that of each training with another seed (`nas.repeats`); empty where there is none.
    """

    id: str
    values: dict[str, int]
    input_shape: tuple[int, ...]
    cost: Cost
    steps: int
    search_drop: float
    val_accuracy: float
    val_drop: float
    val_drop_upper95: float
    verdict: Verdict
    test_accuracy: float | None
    test_drop: float | None
    onnx: str
    tflite: str
    on_front: bool
    within_limits: bool
    is_ladder: bool = False
    knee: bool = False
    seed_drops: tuple[float, ...] = ()

    @property
    def seeds_mean(self) -> float | None:
        """Mean drop over the seeds; None without other seeds."""
        return statistics.fmean(self.seed_drops) if self.seed_drops else None

    @property
    def seeds_sd(self) -> float | None:
        """Standard deviation of the drop over the seeds (n - 1); None without other seeds."""
        return statistics.stdev(self.seed_drops) if self.seed_drops else None


@dataclass(frozen=True, slots=True)
class ArchiveRow:
    """One evaluation of the search: a network at one rung, scored in int8 on search_val.

    Attributes:
        status: `ok`, `infeasible` (over a limit, never trained) or `failed`.
        cost, accuracy, drop, kl: None where the evaluation did not get so far; `kl` as in `Evaluation`.
    """

    id: str
    rung: int
    steps: int
    cost: Cost | None
    accuracy: float | None
    drop: float | None
    kl: float | None
    status: str
    is_ladder: bool = False


@dataclass(frozen=True, slots=True)
class Audit:
    """What a run says against itself, on final_val (`nas.audit`).

    Attributes:
        finished: networks with an untrained look that were fully trained.
        look_correlation: Spearman's rho between the KL of the look and the drop of the finished file; None with fewer
            than four of them.
        look_correlation_at_size: the same with the ranks of size taken out.
        search_volume, ladder_volume: hypervolume of the found networks, and of the ladder's; None without any.
        gain_low, gain_high: 95 % interval of their difference.
        choices: scored networks within the limits of cost, among which one was chosen.
        optimism: points by which the chosen network's drop looks better than it is because it was chosen by it.
    """

    finished: int
    look_correlation: float | None
    look_correlation_at_size: float | None
    search_volume: float | None
    ladder_volume: float | None
    gain_low: float | None
    gain_high: float | None
    choices: int
    optimism: float | None


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run.

    Attributes:
        original: what was given.
        data_name, splits: the data set, and how many images each split holds.
        task, metric, outputs: what the model is for, what an accuracy is, and "10 classes".
        target, runtime: the device and the runtime that all costs are for.
        limits: what was asked; `limits.drop` in points, None = no limit.
        points: finished networks, in any order.
        chosen: id of the smallest `proven` point by the first resource of the objectives, else of the smallest
            `likely` one, else None.
        archive: every evaluation of the search.
        bill: the kernel calls of the chosen point, in execution order; empty without one.
        hypervolume: of the objectives below the limits, all but the drop as log2, drop clipped at 0; higher is better.
            Where an objective has no limit, the original's value is the limit (5 points of drop).
        binding: one sentence, which limit stops the network from being smaller or better.
        seconds: `total`, `search` (the loop) and `overhead` by the wall clock; `train` and `quantize` are sums over
            the workers.
        overhead_share: 1 - worker seconds of arithmetic / (workers x wall), 0 to 1.
        plan: the step plan as the ledger has it.
        strategy, seed, version: what to give to see the same run again.
        latency_band_percent, energy_band_percent, energy_band_factor: bands of those estimates, from the device
            (`targets.device.Device`); None where the device has none.
        compiler_level: at which runtime and kernels were priced.
        told_by: the maker's tool that latency, RAM and flash of the points are from; None where they are ours.
        notes: warnings and remarks for the reader, one sentence each.
        objectives: what was minimised, by name.
        audit: what the run says against itself; None where nothing was scored.
    """

    original: Original
    data_name: str
    task: str
    metric: str
    outputs: str
    splits: dict[str, int]
    target: str
    runtime: str
    limits: Limits
    points: tuple[Point, ...]
    chosen: str | None
    archive: tuple[ArchiveRow, ...]
    bill: tuple[CallBill, ...]
    hypervolume: float
    binding: str
    seconds: dict[str, float]
    overhead_share: float | None
    plan: dict[str, Any]
    strategy: str
    seed: int
    version: str
    latency_band_percent: float | None = None
    energy_band_percent: float | None = None
    energy_band_factor: float | None = None
    compiler_level: str = "O3"
    told_by: str | None = None
    notes: tuple[str, ...] = ()
    objectives: tuple[str, ...] = OBJECTIVES
    audit: Audit | None = None

    def __post_init__(self) -> None:
        ids = [point.id for point in self.points]
        if len(ids) != len(set(ids)):
            raise ValueError(f"point ids must be unique, got {ids}")
        if self.chosen is not None and self.chosen not in ids:
            raise ValueError(f"chosen must be one of the points {ids}, got {self.chosen!r}")

    @property
    def resource(self) -> str:
        """The first of the objectives that is no drop: "smallest" is by it."""
        return resources(self.objectives)[0]

    @property
    def front(self) -> tuple[Point, ...]:
        """The points of the Pareto front, smallest first."""
        return self._by_size(p for p in self.points if p.on_front)

    @property
    def ladder(self) -> tuple[Point, ...]:
        """The finished uniform-width copies of the original, smallest first."""
        return self._by_size(p for p in self.points if p.is_ladder)

    def _by_size(self, points: Iterable[Point]) -> tuple[Point, ...]:
        return tuple(sorted(points, key=lambda p: (getattr(p.cost, self.resource), p.val_drop)))

    @property
    def chosen_point(self) -> Point | None:
        return next((point for point in self.points if point.id == self.chosen), None)

    def breaks_on_test(self, point: Point) -> bool:
        """Whether the point's test drop is over the limit: such a point stays on the front, and is flagged."""
        limit, drop = self.limits.drop, point.test_drop
        return limit is not None and drop is not None and drop > limit

    def to_json(self) -> dict[str, Any]:
        """Plain values; a figure that is not a number (never measured) becomes None, since JSON has no NaN."""
        found: dict[str, Any] = records.without_nan(dataclasses.asdict(self))
        return found

    @staticmethod
    def from_json(values: dict[str, Any]) -> RunResult:
        found: RunResult = records.built(RunResult, values)
        return found


@dataclass(frozen=True)
class Front:
    """What `nas.optimize` returns: the run folder and what was found.

    Attributes:
        folder: holds the exported models, the tables and `report.html`.
        result: the whole record.
    """

    folder: Path
    result: RunResult

    @property
    def points(self) -> tuple[Point, ...]:
        """The Pareto front, smallest first."""
        return self.result.front

    @property
    def chosen(self) -> Point | None:
        """The model to ship, or None when nothing meets the limits."""
        return self.result.chosen_point

    @property
    def table(self) -> pd.DataFrame:
        """The front as `front.csv` has it, one row a model."""
        from nas.report import tables  # pandas takes a third of a second to import

        return tables.front_table(self.result)


def load_result(folder: Path) -> RunResult:
    """The record of a finished run.

    Raises:
        RunFolderError: the folder holds no `result.json`, or one that this version cannot read.
    """
    path = folder / RESULT_FILE
    try:
        return RunResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        advice = "give the folder of a finished run, or finish it with --resume"
        raise RunFolderError(f"{folder} holds no {RESULT_FILE}: {advice}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); run again to write it anew") from None
