"""A run's folder verified: as it was left, damaged in every way, and from what is not there any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from nas import cli
from nas.config import CONFIG_FILE
from nas.listing import verify as listing
from nas.report import page
from nas.result import Front
from nas.verify import prove, record, words
from nas.verify.compiled import CompiledC
from nas.verify.integrity import check_files, check_inputs
from nas.verify.record import Answers, Proof, Verification
from nas.verify.runner import C, Exported
from nas.verify.tflm import Tflm
from search_spaces.errors import InputError, LimitError, RunFolderError
from tests.digits import arrays
from tests.nas.synthetic_run import synthetic_result


@pytest.fixture
def folder(undisturbed: Front, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    shutil.copytree(undisturbed.folder, tmp_path / "run", ignore=shutil.ignore_patterns("work"))
    return tmp_path / "run"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler: a second less for each model."""
    monkeypatch.setattr(CompiledC, "missing", lambda self: True)


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(cli.nas_app(), ["verify", *arguments])


# -- as it was left ---------------------------------------------------------------------------------------------------


def test_every_model_of_the_front_is_verified(folder: Path, undisturbed: Front, quick: None) -> None:
    found = verify(str(folder), "--images", "100", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["holds"]
    assert [proof["id"] for proof in told["proofs"]] == [
        p.id for p in undisturbed.result.points if p.on_front or p.id == undisturbed.result.chosen
    ]
    for proof in told["proofs"]:
        assert proof["images"] == 100
        assert proof["values"] == 100 * 10
        first, *others = proof["answers"]
        assert (first["differing"], first["worst_lsb"], first["agreement"]) == (0, 0, 100.0)
        assert all(row["agreement"] >= 97 and row["worst_lsb"] <= 6 for row in others)
    assert told["missing"] == {C: CompiledC.needs}
    assert json.loads((folder / "verify.json").read_text()) == told
    assert f"Not there: {C}" in (folder / "report.html").read_text()


def test_all_test_images_give_the_fronts_test_accuracy(folder: Path, undisturbed: Front, quick: None) -> None:
    """There are 400."""
    found = prove.verify(folder, images=10_000, every=True)
    reported = {point.id: point.test_accuracy for point in undisturbed.result.points}
    assert len(found.proofs) == len(reported)
    for proof in found.proofs:
        assert proof.images == 400
        assert proof.answers[0].accuracy == pytest.approx(reported[proof.id])


def test_the_same_images_are_taken_again(folder: Path, quick: None) -> None:
    assert prove.verify(folder, images=60) == prove.verify(folder, images=60)


def test_a_report_made_again_leaves_the_folder_as_the_manifest_has_it(folder: Path) -> None:
    page.rewrite(folder)
    assert check_files(folder).keys() >= {"model", "x_test"}


def test_a_broken_proof_is_exit_1(folder: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def lies(self: Tflm, model: Exported, images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 10), 7, np.int8)

    monkeypatch.setattr(Tflm, "answers", lies)
    monkeypatch.setattr(Tflm, "missing", lambda self: False)
    found = verify(str(folder), "--images", "20")
    assert found.exit_code == 1
    assert "TFLM interpreter must answer as LiteRT reference to within 1 step" in found.stdout
    assert found.stderr.splitlines()[-1].startswith(f"error: {folder}: ")
    assert "broken" in found.stderr.splitlines()[-1]


# -- damaged ----------------------------------------------------------------------------------------------------------


def changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [changed, truncated, Path.unlink])
@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "genome.json", "result.json", CONFIG_FILE])
def test_a_file_that_is_not_the_runs_is_named(folder: Path, name: str, damage: Callable[[Path], None]) -> None:
    path = next(folder.rglob(name))
    damage(path)
    said = "is missing" if damage is Path.unlink else "must have SHA-256"
    with pytest.raises(RunFolderError, match=f"{path.relative_to(folder)} {said}"):
        check_files(folder)


def test_damage_is_one_line_and_exit_2_and_writes_nothing(folder: Path) -> None:
    for path in folder.rglob("model.tflite"):
        truncated(path)
    before = (folder / "verify.json").read_bytes()
    found = verify(str(folder))
    assert found.exit_code == 2
    assert found.stdout == ""
    last = found.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "model.tflite must have SHA-256" in last
    assert "more files are damaged" in last
    assert (folder / "verify.json").read_bytes() == before


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"inputs": {}, "artefacts": {}}', '{"inputs": {}, "artefacts": {"a": 1}}', '{"inputs": 3}'],
)
def test_a_manifest_that_says_nothing_is_refused(folder: Path, content: str) -> None:
    (folder / "manifest.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"manifest\.json"):
        check_files(folder)


def test_a_folder_of_no_run_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunFolderError, match=r"holds no manifest\.json: give the folder of a finished run"):
            prove.verify(folder)


def test_what_the_run_was_given_must_be_the_same() -> None:
    wanted = {"model": "a", "x_test": "b", "y_test": "c"}
    check_inputs(wanted, {**wanted, "another": "d"})
    with pytest.raises(RunFolderError, match="x_test, y_test changed since the run"):
        check_inputs(wanted, {"model": "a", "x_test": "c"})


def rewritten(folder: Path, **changes: str) -> None:
    """Changes the config, and the manifest with it."""
    text = (folder / CONFIG_FILE).read_text()
    lines = [line for line in text.splitlines() if line.partition(" = ")[0] not in changes]
    (folder / CONFIG_FILE).write_text("\n".join([*lines, *(f'{key} = "{value}"' for key, value in changes.items())]))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["artefacts"].pop(CONFIG_FILE)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_other_data_than_the_runs_is_refused(folder: Path, tmp_path: Path) -> None:
    given = arrays()
    given["y_test"] = given["y_test"][::-1].copy()
    np.savez(tmp_path / "other.npz", **given)  # type: ignore[arg-type]
    rewritten(folder, data=str(tmp_path / "other.npz"))
    with pytest.raises(RunFolderError, match="y_test changed since the run"):
        prove.verify(folder)


def test_data_that_is_gone_is_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    rewritten(folder, data=str(tmp_path / "gone.npz"))
    with pytest.raises(InputError, match=r"gone\.npz.* a run is verified with what it was given") as caught:
        prove.verify(folder)
    assert "\n" not in str(caught.value)


def test_data_given_in_python_is_given_again(folder: Path, quick: None) -> None:
    rewritten(folder, data="arrays")
    with pytest.raises(RunFolderError, match="the run was given its data in Python"):
        prove.verify(folder)
    assert prove.verify(folder, images=20, data=arrays()).holds


def test_a_config_of_another_version_is_refused(folder: Path) -> None:
    rewritten(folder, flux="capacitor")
    with pytest.raises(InputError, match="unknown key 'flux'"):
        prove.verify(folder)


def test_no_images_verify_nothing(folder: Path) -> None:
    with pytest.raises(LimitError, match="images must be at least 1, got 0"):
        prove.verify(folder, images=0)


# -- in words ---------------------------------------------------------------------------------------------------------


def verification() -> Verification:
    """SYNTHETIC: one honest model and one whose C differs."""
    rows = (Answers("LiteRT reference", 91.0, 100.0, 0, 0), Answers("compiled C", None, 99.5, 12, 3))
    proofs = (Proof("good", 200, 2000, rows), Proof("bad", 200, 2000, rows, ("compiled C <must> answer",)))
    return Verification("top-1", proofs, {"TFLM interpreter": "pip install '.[tflm]'"}, "0.1.0")


def test_a_verification_survives_json(tmp_path: Path) -> None:
    record.write(verification(), tmp_path)
    assert record.load(tmp_path) == verification()
    (tmp_path / "verify.json").write_text("[]")
    assert record.load(tmp_path) is None


def test_the_text_names_what_breaks_and_what_is_missing() -> None:
    text = listing.text(verification())
    assert "bad: compiled C <must> answer\nnot there: TFLM interpreter; pip install '.[tflm]'\n" in text
    assert text.endswith("2 models, 200 test images, 2 runtimes: 1 broken")
    assert words.beside(Answers("compiled C", None, 99.5, 12, 3)) == ("99.50 %", "12", "3 LSB")


def test_the_report_has_a_section_where_something_was_verified() -> None:
    assert "What the runtimes answer" not in page.page(synthetic_result())
    shown = page.page(synthetic_result(), verification=verification())
    assert "What the runtimes answer" in shown
    assert "bad: compiled C &lt;must&gt; answer" in shown
    assert "Not there: TFLM interpreter (pip install &#x27;.[tflm]&#x27;)." in shown
