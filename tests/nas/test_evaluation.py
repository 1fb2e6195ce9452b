"""Jobs and evaluations: identity, seeds, self-checks, JSON both ways."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest

from nas.evaluation import Evaluation, Job, job_id, job_seed
from search_spaces.genes import Genome
from tests.toy_problem import ToyProblem

GENOME = Genome((16, 32, 1))


@pytest.fixture
def job() -> Job:
    return Job.make(GENOME, 1, 100, run_seed=7)


def test_the_id_is_the_digest_of_genome_rung_and_start(job: Job) -> None:
    assert job.id == hashlib.sha256(b'[[16,32,1],1,"refit"]').hexdigest()[:12]


def test_the_seed_is_the_digest_of_run_seed_genome_and_rung(job: Job) -> None:
    assert job.seed == int(hashlib.sha256(b"[7,[16,32,1],1]").hexdigest()[:8], 16)


def test_ids_differ_by_genome_rung_and_start_and_not_by_steps() -> None:
    start = f"parent:{job_id(GENOME, 0, 'refit')}"
    ids = [job_id(GENOME, 1, "refit"), job_id(GENOME, 2, "refit"), job_id(GENOME, 1, start)]
    ids.append(job_id(Genome((16, 32, 0)), 1, "refit"))
    assert len(set(ids)) == 4
    assert Job.make(GENOME, 1, 5, run_seed=0).id == Job.make(GENOME, 1, 6, run_seed=0).id


def test_seeds_differ_by_run_genome_and_rung_and_fit_every_generator() -> None:
    seeds = {job_seed(run, Genome((width,)), rung) for run in range(5) for width in range(40) for rung in range(5)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)
    np.random.default_rng(max(seeds))


def test_origin_is_the_job_whose_weights_are_taken(job: Job) -> None:
    child = Job.make(GENOME, 2, 400, f"checkpoint:{job.id}", run_seed=7)
    assert (job.origin, child.origin) == (None, job.id)


def test_a_repeat_is_another_job_with_another_seed_that_starts_from_the_refit() -> None:
    own, first, second = (Job.make(GENOME, 3, 100, start, run_seed=7) for start in ("refit", "seed:1", "seed:2"))
    assert len({own.id, first.id, second.id}) == len({own.seed, first.seed, second.seed}) == 3
    assert [job.repeat for job in (own, first, second)] == [0, 1, 2]
    assert first.origin is second.origin is None
    assert Job.from_json(second.to_json()) == second


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ({"rung": -1}, "rung and steps must be >= 0"),
        ({"steps": -5}, "rung and steps must be >= 0"),
        ({"start": "scratch"}, "start must be"),
        ({"start": "parent:me"}, "start must be"),
        ({"start": "seed:0"}, "start must be"),
        ({"id": "0" * 12}, "is not that of this genome"),
        ({"rung": 2}, "is not that of this genome"),
    ],
)
def test_a_job_that_breaks_a_rule_is_not_built(job: Job, change: dict[str, object], law: str) -> None:
    with pytest.raises(ValueError, match=law):
        dataclasses.replace(job, **change)


def through_json(evaluation: Evaluation) -> Evaluation:
    return Evaluation.from_json(json.loads(json.dumps(evaluation.to_json(), allow_nan=False)))


def test_an_evaluation_survives_json(job: Job) -> None:
    done = ToyProblem().evaluate(job)
    assert through_json(done) == done
    assert through_json(done).cost == ToyProblem().price(GENOME)


def test_failures_and_untrained_looks_survive_json(job: Job) -> None:
    failed = Evaluation.failure(job, "it\n  broke")
    assert failed.note == "it broke"
    assert through_json(failed) == failed
    look = Evaluation(job, kl=0.25)
    assert through_json(look) == look


def test_steps_are_those_taken_and_a_ledger_without_them_is_read(job: Job) -> None:
    whole, short = Evaluation(job, kl=0.25), Evaluation(job, kl=0.25, taken=7)
    assert (whole.steps, short.steps, through_json(short)) == (job.steps, 7, short)
    old = {name: value for name, value in whole.to_json().items() if name != "taken"}
    assert Evaluation.from_json(old) == whole


def test_numpy_scalars_become_plain_numbers(job: Job) -> None:
    data = Evaluation(job, accuracy=np.float32(88.5), drop=np.float64(1.5), seconds={"t": np.float32(2)}).to_json()
    assert [type(data[name]) for name in ("accuracy", "drop")] == [float, float]
    assert json.loads(json.dumps(data))["seconds"] == {"t": 2.0}


@pytest.mark.parametrize("name", ["accuracy", "drop", "kl"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_measurement_that_is_not_finite_is_refused(job: Job, name: str, value: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Evaluation(job, **{"accuracy": 80.0, "drop": 1.0, "kl": 0.1, name: value})


def test_an_ok_evaluation_has_measured_something(job: Job) -> None:
    with pytest.raises(ValueError, match="needs an accuracy or a KL"):
        Evaluation(job)
    with pytest.raises(ValueError, match="come together"):
        Evaluation(job, accuracy=88.0)
    with pytest.raises(ValueError, match="status must be one of ok, infeasible, failed"):
        Evaluation(job, kl=0.1, status="fine")  # type: ignore[arg-type]


def test_the_outcome_leaves_out_who_and_how_long(job: Job) -> None:
    one = Evaluation(job, kl=0.5, seconds={"refit": 1.0}, worker=0)
    other = Evaluation(job, kl=0.5, seconds={"refit": 2.0}, worker=3)
    assert one != other
    assert one.outcome == other.outcome
