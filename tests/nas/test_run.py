"""Whole runs on real, small input: scikit-learn's digits and a network trained on them in seconds."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest

from nas import cli, finale, load_result
from nas.data.splits import four
from nas.evaluate import RealProblem
from nas.evaluation import Evaluation, Job
from nas.ledger import LEDGER_FILE, evaluations, read
from nas.result import Front
from nas.runtime import Session
from nas.training import accelerator, passes
from nas.verify import record
from search_spaces.errors import Interrupted, LimitError, NothingFits
from tests import litert
from tests.digits import arrays
from tests.nas.digits_run import config, optimize, outcomes, timeless

ROOT = Path(__file__).parents[2]
Files = tuple[Path, Path]
MODEL_FILES = ("model.onnx", "model.tflite", "genome.json")


@pytest.fixture(scope="module")
def files(digits: Files) -> Files:
    """The session's trained net and its data."""
    return digits


@pytest.fixture(scope="module")
def front(undisturbed: Front) -> Front:
    """The undisturbed run that others are compared with."""
    return undisturbed


def assert_same_run(folder: Path, front: Front) -> None:
    """The same evaluations in the same order, and the same points, files included."""
    assert outcomes(folder) == outcomes(front.folder)
    found = load_result(folder)
    assert timeless(found.points) == timeless(front.result.points)
    assert (found.chosen, found.hypervolume) == (front.result.chosen, front.result.hypervolume)
    for point in found.points:
        for path in (point.onnx, point.tflite):
            assert (folder / path).read_bytes() == (front.folder / path).read_bytes()


# -- what a run leaves behind -----------------------------------------------------------------------------------------


def test_a_front_is_found_and_its_chosen_model_is_the_smallest_proven_one(front: Front) -> None:
    limits, points = front.result.limits, front.points
    assert points
    for smaller, larger in pairwise(points):
        assert smaller.cost.size_bytes < larger.cost.size_bytes
        assert smaller.val_drop > larger.val_drop
    assert all(p.cost.size_bytes <= 24 * 1024 and p.val_drop <= 20 for p in points)
    assert front.chosen is not None
    assert front.chosen.verdict == "proven"
    assert front.chosen.cost.size_bytes == min(
        p.cost.size_bytes for p in front.result.points if p.within_limits and p.verdict == "proven"
    )
    assert limits.ram_bytes == 256 * 1024  # the device's own
    original = front.result.original.cost
    assert original is not None
    pairs = [(p.cost, p.val_drop) for p in points]
    assert front.result.hypervolume == finale.hypervolume(pairs, limits, original) > 0


def test_size_in_the_table_is_that_of_the_file_to_the_byte(front: Front) -> None:
    with (front.folder / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [point.id for point in front.points]
    for row in rows:
        assert int(row["size_bytes"]) == (front.folder / row["tflite"]).stat().st_size
    for point in front.result.points:  # also what was finished and is not on the front
        assert point.cost.size_bytes == (front.folder / point.tflite).stat().st_size


def test_the_exported_files_score_what_was_reported(front: Front) -> None:
    """The ONNX file in onnxruntime on final_val, the `.tflite` in TFLite's reference kernels on test."""
    given = arrays()
    pairs = {part: (given[f"x_{part}"], given[f"y_{part}"]) for part in ("train", "val", "test")}
    splits, _ = four(pairs, seed=front.result.seed)
    for point in front.points:
        x, y = splits["final_val"]
        chosen = Session(front.folder / point.onnx).logits(x).argmax(1)
        assert 100 * np.mean(chosen == y) == pytest.approx(point.val_accuracy)
        x, y = splits["test"]
        steps, _, _ = litert.int8_outputs((front.folder / point.tflite).read_bytes(), x)
        assert 100 * np.mean(steps.argmax(1) == y) == pytest.approx(point.test_accuracy)


def test_the_original_is_also_scored_as_int8(front: Front) -> None:
    original = front.result.original
    assert original.int8_accuracy.keys() == {"final_val", "test"}
    for split, accuracy in original.int8_accuracy.items():
        assert original.accuracy[split] - 5 < accuracy < original.accuracy[split] + 1


def test_the_manifest_names_every_file_that_stays(front: Front) -> None:
    artefacts = json.loads((front.folder / "manifest.json").read_text())["artefacts"]
    files = {f"models/{p.id}/{name}" for p in front.result.points for name in MODEL_FILES}
    assert artefacts.keys() == files | {"config.toml", "result.json"}


def test_the_chosen_model_is_verified_at_the_end(front: Front) -> None:
    found = record.load(front.folder)
    assert found is not None
    assert found.holds
    assert [proof.id for proof in found.proofs] == [front.result.chosen]
    assert "What the runtimes answer" in (front.folder / "report.html").read_text()


def test_the_folder_tells_the_whole_story(front: Front) -> None:
    present = {path.name for path in front.folder.iterdir()}
    assert present >= {
        "config.toml", "environment.json", LEDGER_FILE, "front.csv", "archive.csv", "summary.json", "manifest.json",
        "pareto.png", "report.html", "models",
    }  # fmt: skip
    assert load_result(front.folder) == front.result
    summary = json.loads((front.folder / "summary.json").read_text())
    assert summary["chosen"]["id"] == front.result.chosen
    assert summary["evaluations"] == len(outcomes(front.folder))
    assert 0 <= summary["overhead_share"] < 1
    entries = [entry["entry"] for entry in read(front.folder / LEDGER_FILE)]
    assert entries[:4] == ["run", "views", "plan", "loop"]
    assert entries[-1] == "final"


def test_steps_are_those_of_all_rungs_together(front: Front) -> None:
    """Rungs at 5 and 10 steps; a finish that continues the second has 10 more than its own."""
    finishes = [e for e in outcomes(front.folder) if e.job.rung == 3]
    steps = {point.id: point.steps for point in front.result.points}
    for evaluation in finishes:
        continued = 10 if evaluation.job.origin else 0
        assert steps[evaluation.job.genome.key] == evaluation.job.steps + continued
    assert finishes


# -- repeated, interrupted, killed ------------------------------------------------------------------------------------


def program(files: Files, out: Path, *flags: str, hash_seed: str = "random") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.nas.digits_run", *map(str, files), str(out), *flags]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def test_another_process_with_another_hash_seed_finds_the_same_front(
    files: Files, front: Front, tmp_path: Path
) -> None:
    process = program(files, tmp_path / "run", hash_seed="4242")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert_same_run(tmp_path / "run", front)


def interrupted_after(count: int) -> Callable[[RealProblem, Job], Evaluation]:
    """`RealProblem.evaluate` with a Ctrl-C in the middle of the job after `count`."""
    evaluate, left = RealProblem.evaluate, [count]

    def wrapped(self: RealProblem, job: Job) -> Evaluation:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return evaluate(self, job)

    return wrapped


def test_interrupted_twice_and_resumed_it_ends_as_if_undisturbed(
    files: Files, front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    for k, count in enumerate((3, 6)):
        with monkeypatch.context() as patch:
            patch.setattr(RealProblem, "evaluate", interrupted_after(count))
            with pytest.raises(Interrupted):
                optimize(files, out, resume=k > 0)
    assert len(outcomes(out)) == 9
    optimize(files, out, resume=True)
    assert_same_run(out, front)


@pytest.mark.slow
def test_killed_at_three_points_and_resumed_it_ends_as_if_undisturbed(
    files: Files, front: Front, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    total = len(outcomes(front.folder))
    points = sorted(np.random.default_rng(7).choice(np.arange(1, total - 1), 3, replace=False))
    for k, count in enumerate(points):
        process = program(files, out, *(["--resume"] if k else []))
        lines = count + 4 + k  # run, views, plan, and a loop entry each time
        while not ((out / LEDGER_FILE).exists() and (out / LEDGER_FILE).read_bytes().count(b"\n") >= lines):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert count <= len(outcomes(out)) < total
    optimize(files, out, resume=True)
    assert_same_run(out, front)


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(files: Files, front: Front) -> None:
    before = outcomes(front.folder)
    again = optimize(files, front.folder, resume=True)
    assert outcomes(front.folder) == before
    assert timeless(again.result.points) == timeless(front.result.points)


# -- limits that cannot be met ----------------------------------------------------------------------------------------


def test_a_size_that_nothing_fits_is_said_before_anything_is_trained(files: Files, tmp_path: Path) -> None:
    with pytest.raises(NothingFits, match="The size binds"):
        optimize(files, tmp_path / "run", max_size="1KB")
    assert not (tmp_path / "run" / LEDGER_FILE).exists()


def test_three_objectives_and_the_plain_recipe_make_a_whole_run(files: Files, tmp_path: Path) -> None:
    options = tmp_path / "plain.toml"
    options.write_text('proposer = "nsga2-generational"\nfitness = "rung"\npromoted = false\nrefitted = false\n')
    front = optimize(files, tmp_path / "run", objectives="latency,size,drop", strategy=str(options), budget="120steps")
    points = [(p.cost.latency_ms, p.cost.size_bytes, p.val_drop) for p in front.points]
    assert points == sorted(points)
    for one, other in permutations(points, 2):
        assert not all(a <= b for a, b in zip(one, other, strict=True))
    proven = [p for p in front.result.points if p.within_limits and p.verdict == "proven"]
    assert front.chosen is not None
    assert front.chosen.cost.latency_ms == min(p.cost.latency_ms for p in proven or front.points)
    assert {e.job.rung for e in outcomes(front.folder)} == {0, 1, 2, 3}


def test_a_whole_run_by_the_way_of_a_gpu(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the processor, as no machine of these tests has another device."""
    monkeypatch.setattr(accelerator, "find", lambda wanted: {"cuda": "cpu"}[wanted])
    made: list[passes.OnDevice] = []
    build = passes.OnDevice.__init__
    monkeypatch.setattr(passes.OnDevice, "__init__", lambda self, *args: made.append(self) or build(self, *args))
    front = optimize(files, tmp_path / "run", device="cuda", budget="120steps", max_drop="none")
    assert made
    assert front.points
    found = evaluations(read(front.folder / LEDGER_FILE))
    assert found
    assert not any(evaluation.status == "failed" for evaluation in found)


def test_an_objective_that_the_device_cannot_price_is_refused(files: Files, tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="energy_uj cannot be an objective: it is not known for target 'esp32s3'"):
        optimize(files, tmp_path / "run", objectives="energy,drop", target="esp32s3")
    assert not (tmp_path / "run" / LEDGER_FILE).exists()


def test_a_drop_that_nothing_meets_leaves_a_front_without_a_choice_and_exit_1(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2.5 KB at no drop at all, after a handful of steps."""
    settled = config(files, tmp_path / "run", max_size="2.5KB", max_drop="0%", budget="40steps")
    (tmp_path / "given.toml").write_text(settled.to_toml())
    monkeypatch.setattr(sys, "argv", ["optimize", "--config", str(tmp_path / "given.toml"), "--quiet"])
    with pytest.raises(SystemExit) as ended:
        cli.optimize_main()
    assert ended.value.code == 1
    errors = capsys.readouterr().err
    assert "Nothing meets the limits; nearest: The accuracy drop binds" in errors
    result = load_result(tmp_path / "run")
    assert result.chosen is None
    assert result.points
    assert result.front == ()


# -- with a clock, and side by side -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_run_of_sixty_seconds(files: Files, tmp_path: Path) -> None:
    started = time.monotonic()
    front = optimize(files, tmp_path / "run", max_size="24KB", max_drop="5%", budget="60s")
    assert time.monotonic() - started < 75
    assert front.chosen is not None
    assert front.chosen.val_drop <= 5
    assert front.chosen.cost.size_bytes == (front.folder / front.chosen.tflite).stat().st_size
    finishes = [e for e in outcomes(front.folder) if e.job.rung == 3]
    assert len(finishes) >= 2
    assert front.result.seconds["search"] > 40
    rungs = next(entry["rungs"] for entry in read(front.folder / LEDGER_FILE) if entry["entry"] == "plan")
    assert min(e.job.steps for e in finishes) >= rungs[-1] // 10 * 10  # however slow the machine became


@pytest.mark.slow
def test_two_workers_on_ray(files: Files, tmp_path: Path) -> None:
    front = optimize(files, tmp_path / "run", workers=2, budget="200steps")
    assert front.chosen is not None
    entries = [entry for entry in read(front.folder / LEDGER_FILE) if entry["entry"] == "evaluation"]
    assert {entry["worker"] for entry in entries} == {0, 1}
    assert all(entry["status"] == "ok" for entry in entries)
    assert len({entry["job"]["id"] for entry in entries}) == len(entries)
