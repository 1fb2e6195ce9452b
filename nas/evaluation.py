"""The two records that pass between those who suggest, those who evaluate and those who judge.

A `Job` asks for one genome to be trained to one rung; an `Evaluation` is the answer. Both are frozen, check themselves
when built, and go to JSON and back unchanged.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from search_spaces.genes import Genome
from targets.cost import Cost

Status = Literal["ok", "infeasible", "failed"]

_START = re.compile(r"refit|(parent|checkpoint):[0-9a-f]{12}|seed:[1-9][0-9]*")


def _digest(*parts: Any) -> bytes:
    """SHA-256 of the parts as JSON: the same in every process, on every machine, unlike `hash()`."""
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).digest()


def job_id(genome: Genome, rung: int, start: str) -> str:
    """The ledger's key: the first 12 hexadecimal digits of the SHA-256 of genome, rung and start."""
    return _digest(genome.to_json(), rung, start).hex()[:12]


def job_seed(run_seed: int, genome: Genome, rung: int, repeat: int = 0) -> int:
    """A seed in [0, 2**32) that follows from what is asked for, never from when: arrival order changes no result.

    Args:
        repeat: 0, or which of the other seeds a network is trained again with.
    """
    asked = (run_seed, genome.to_json(), rung, *([repeat] if repeat else []))
    return int.from_bytes(_digest(*asked)[:4], "big")


def _repeat(start: str) -> int:
    """The k of `seed:<k>`, else 0."""
    kind, _, number = start.partition(":")
    return int(number) if kind == "seed" else 0


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do. `Job.make` fills in the identity and the seed.

    Attributes:
        id: `job_id(genome, rung, start)`.
        genome: which network.
        rung: 0 is refit without training; higher rungs train longer.
        steps: training steps this job pays for, a cool-down included; 0 on rung 0.
        start: `refit`, `parent:<id>` (the weights of another genome's job), `checkpoint:<id>` (its own earlier rung) or
            `seed:<k>` (the refit again, with the k-th other seed: `nas.repeats`).
        seed: `job_seed(run seed, genome, rung, k)`, k as in `seed:<k>`, else 0.

    Raises:
        ValueError: a field breaks its rule.
    """

    id: str
    genome: Genome
    rung: int
    steps: int
    start: str
    seed: int

    def __post_init__(self) -> None:
        if self.rung < 0 or self.steps < 0:
            raise ValueError(f"rung and steps must be >= 0, got rung={self.rung}, steps={self.steps}")
        if not _START.fullmatch(self.start):
            law = "refit, parent:<job id>, checkpoint:<job id> or seed:<number from 1>"
            raise ValueError(f"start must be {law}, got {self.start!r}")
        if self.id != job_id(self.genome, self.rung, self.start):
            raise ValueError(f"id {self.id!r} is not that of this genome, rung and start; use Job.make")

    @staticmethod
    def make(genome: Genome, rung: int, steps: int, start: str = "refit", *, run_seed: int) -> Job:
        """A job with the identity and the seed that follow from what it asks for."""
        seed = job_seed(run_seed, genome, rung, _repeat(start))
        return Job(job_id(genome, rung, start), genome, rung, steps, start, seed)

    @property
    def origin(self) -> str | None:
        """The id of the job whose weights this one starts from; None after a refit."""
        return None if self.repeat else self.start.partition(":")[2] or None

    @property
    def repeat(self) -> int:
        """Which of the other seeds the network is trained again with; 0 in the search."""
        return _repeat(self.start)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "genome": self.genome.to_json(),
            "rung": self.rung,
            "steps": self.steps,
            "start": self.start,
            "seed": self.seed,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Job:
        return Job(**{**data, "genome": Genome.from_json(data["genome"])})


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of a job.

    Attributes:
        job: what was asked for.
        cost: the price of the network on the run's device; None if it could not be priced.
        accuracy: the task's metric of the int8 model on search_val, in percent; None where nothing was scored.
        drop: that of the original in fp32 on the same images minus `accuracy`, in points; negative is better than it.
        kl: distance from the original's outputs, as the task has it (of classes, the mean KL divergence in nats);
            lower is better; None where it was not measured.
        status: `ok`; `infeasible` (over a limit, nothing was trained); `failed` (`note` says why).
        note: one line for people.
        seconds: wall seconds by phase (`refit`, `train`, `quantize`, `score`, ...).
        worker: index of the worker that did it.
        taken: training steps that were taken where the clock cut the job short; None: all that it asked for.

    Raises:
        ValueError: a measurement is not finite, or an `ok` evaluation measured nothing.
    """

    job: Job
    cost: Cost | None = None
    accuracy: float | None = None
    drop: float | None = None
    kl: float | None = None
    status: Status = "ok"
    note: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    worker: int = 0
    taken: int | None = None

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"status must be one of {', '.join(get_args(Status))}, got {self.status!r}")
        measured = {"accuracy": self.accuracy, "drop": self.drop, "kl": self.kl}
        for name, value in measured.items():
            # A NaN compares false with everything and would survive every selection.
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} must be finite, got {value}; an evaluation that diverged has failed")
        if self.status == "ok" and self.accuracy is None and self.kl is None:
            raise ValueError("an ok evaluation needs an accuracy or a KL divergence")
        if (self.accuracy is None) != (self.drop is None):
            raise ValueError(f"accuracy and drop come together, got accuracy={self.accuracy}, drop={self.drop}")

    @staticmethod
    def failure(
        job: Job, note: str, *, cost: Cost | None = None, seconds: Mapping[str, float] | None = None
    ) -> Evaluation:
        """A job that came to nothing, with the reason on one line."""
        return Evaluation(job, cost, status="failed", note=" ".join(note.split()), seconds=seconds or {})

    @property
    def steps(self) -> int:
        """Training steps that were taken."""
        return self.job.steps if self.taken is None else self.taken

    @property
    def outcome(self) -> Evaluation:
        """Without seconds and worker: what must be equal when a run is repeated."""
        return replace(self, seconds={}, worker=0)

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job.to_json(),
            "cost": None if self.cost is None else asdict(self.cost),
            "accuracy": _number(self.accuracy),
            "drop": _number(self.drop),
            "kl": _number(self.kl),
            "status": self.status,
            "note": self.note,
            "seconds": {name: float(value) for name, value in self.seconds.items()},
            "worker": self.worker,
            "taken": self.taken,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Evaluation:
        cost = None if data["cost"] is None else Cost(**data["cost"])
        return Evaluation(**{**data, "job": Job.from_json(data["job"]), "cost": cost})


def _number(value: float | None) -> float | None:
    """A plain Python number: NumPy's scalars are measurements too, and JSON does not know them."""
    return None if value is None else float(value)
