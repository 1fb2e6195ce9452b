"""Tables, pictures and report of a SYNTHETIC run: columns as designed, a page that stands alone."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nas import listing, wording
from nas.config import RunConfig
from nas.objectives import Limits
from nas.report import page, plots, tables
from nas.report.meaning import meaning
from nas.report.theme import DARK, LIGHT
from nas.report.trust import trust
from nas.result import Front, RunResult, load_result
from search_spaces.errors import RunFolderError
from targets.cost import bill
from targets.device import load_device
from tests.nas.synthetic_run import KB, cost, point, synthetic_result
from tests.toys import chain

FRONT_HEADER = (
    "id,size_bytes,weights_bytes,flash_bytes,ram_bytes,runtime,macs,latency_ms,energy_uj,params,"
    "val_accuracy,val_drop,val_drop_upper95,verdict,test_accuracy,test_drop,onnx,tflite,input_shape,knee,"
    "layers_of_4_bits,seeds,val_drop_mean,val_drop_sd"
)


@pytest.fixture(scope="module")
def result() -> RunResult:
    return synthetic_result()


@pytest.fixture(scope="module")
def folder(result: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    (path / "config.toml").write_text(RunConfig(max_size="256KB").to_toml())
    page.write_run(result, path)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """Collects what a page loads, links to and says, and checks that its tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.said: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.loads += [value for key in ("src", "srcset") if (value := found.get(key))]
        self.links += [value for key in ("href",) if (value := found.get(key))]
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.said))


def test_a_result_survives_json(result: RunResult) -> None:
    assert RunResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_a_figure_that_was_not_measured_becomes_null(result: RunResult) -> None:
    odd = dataclasses.replace(result.points[-1], test_accuracy=float("nan"), test_drop=float("nan"))
    found = synthetic_result(points=(*result.points[:-1], odd)).to_json()
    assert found["points"][-1]["test_drop"] is None
    assert RunResult.from_json(found).points[-1].test_accuracy is None


def test_a_result_refuses_a_chosen_point_it_does_not_hold(result: RunResult) -> None:
    with pytest.raises(ValueError, match="chosen must be one of the points"):
        synthetic_result(chosen="nobody")
    with pytest.raises(ValueError, match="ids must be unique"):
        synthetic_result(points=(result.points[0], result.points[0]), chosen=None)


def test_front_csv_has_the_columns_of_the_design_smallest_first(result: RunResult, folder: Path) -> None:
    rows = read_csv(folder / "front.csv")
    assert ",".join(rows[0]) == FRONT_HEADER
    assert [row["id"] for row in rows] == ["c77d01fe25", "0a9be3f7d1", "5d31c8e9b0", "e2a17f604c"]
    assert rows[0]["input_shape"] == "1x28x28"
    assert int(rows[0]["size_bytes"]) == int(88.1 * KB)
    assert rows[0]["energy_uj"] == ""
    assert float(rows[0]["val_drop"]) == 1.74
    assert list(Front(folder, result).table["id"]) == [row["id"] for row in rows]


def test_archive_csv_holds_what_is_not_on_the_front(result: RunResult, folder: Path) -> None:
    rows = read_csv(folder / "archive.csv")
    assert len(rows) == len(result.archive) + 5
    assert {row["stage"] for row in rows} == {"search", "finish"}
    finished = {row["id"]: row["status"] for row in rows if row["stage"] == "finish"}
    assert finished["4f0c1d2e3a"] == "over the limits"
    assert finished["77aa88bb99"] == "dominated"
    assert "0a9be3f7d1" not in finished
    failed = next(row for row in rows if row["status"] == "failed")
    assert failed["size_bytes"] == failed["drop"] == ""


def test_summary_json_has_the_keys_of_the_design(result: RunResult, folder: Path) -> None:
    found = json.loads((folder / "summary.json").read_text())
    wanted = {"original", "limits", "chosen", "front_size", "evaluations", "hypervolume", "seconds", "plan", "seed"}
    assert wanted | {"version", "overhead_share"} <= set(found)
    assert set(found["seconds"]) == {"total", "search", "train", "quantize", "overhead"}
    assert found["chosen"]["id"] == "0a9be3f7d1"
    assert found["front_size"] == 4
    assert found["limits"]["size_bytes"] == 256 * KB


def test_the_report_is_one_file_that_loads_nothing(folder: Path) -> None:
    page = Page((folder / "report.html").read_text())
    assert page.open == []
    assert len(page.loads) == 2
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.loads)
    assert all(not link.startswith(("http", "/", "file")) for link in page.links)
    assert "script" not in (folder / "report.html").read_text().lower()


def test_the_report_says_what_was_found(folder: Path) -> None:
    text = Page((folder / "report.html").read_text()).text
    for words in (
        "SYNTHETIC: every number",
        "12.3 MB → 112.6 KB",
        "1.21 points of top-1 lost, at most 1.63 with 95 % confidence",
        "with as good a verdict is 131 KB; the chosen model is 14 % smaller",
        "The accuracy drop binds: 1.63 points of 2.00 points (82 %)",
        "4 models that fit",
        "/features/13/conv/Relu_output_0",
        "at its clock: estimated, ±30 %",
        "nobody has published this chip's power while inferring",
        'max_size = "256KB"',
        "Overhead, idle workers counted: 9.8 %",
    ):
        assert words in text, words


def test_the_report_follows_light_and_dark(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    for theme in (LIGHT, DARK):
        assert all(f"--{name}: {color};" in text for name, color in dataclasses.asdict(theme).items())
    assert text.count("prefers-color-scheme: dark") == 2


def test_the_report_is_made_again_from_the_folder_alone(folder: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in ("report.html", "front.csv", "pareto.png", "summary.json")}
    for name in before:
        (folder / name).unlink()
    assert page.rewrite(folder) == folder / "report.html"
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_names_from_outside_are_escaped(result: RunResult) -> None:
    original = dataclasses.replace(result.original, name="<b>&.onnx")
    text = page.page(synthetic_result(original=original, notes=("<i>note",), binding="<u>"), config_text="<s>")
    for raw in ("<b>&.onnx", "<i>note", "<u>", "<s>"):
        assert raw not in text
    assert Page(text).open == []


def test_a_likely_choice_and_a_broken_test_limit_stand_in_a_warning() -> None:
    risky = dataclasses.replace(point("risky", 60, 1.9, front=True), test_drop=2.4)
    text = Page(page.page(synthetic_result(points=(risky,), chosen="risky", bill=()))).text
    assert "likely, not proven" in text
    assert "Not proven: the 95 % bound is 2.32 points, the limit 2.00." in text
    assert "On the test set it loses 2.40 points, more than the limit." in text
    assert "over on test" in text


def test_a_run_without_an_answer_still_has_a_report(tmp_path: Path) -> None:
    misses = (point("wide", 300, 1.0, front=False), point("lossy", 40, 6.0, front=False, ladder=True))
    found = synthetic_result(points=misses, chosen=None, bill=(), binding="The size binds: 300 KB of 256 KB.")
    path = page.write_run(found, tmp_path)
    text = Page(path.read_text()).text
    assert "No network met the limits The size binds: 300 KB of 256 KB." in text
    assert "2 models finished" in text
    assert "The nearest misses" in text
    assert "300 KB" in text
    assert read_csv(tmp_path / "front.csv") == []
    assert load_result(tmp_path) == found


def test_a_run_that_finished_nothing_at_all_still_draws() -> None:
    empty = synthetic_result(points=(), chosen=None, bill=(), archive=(), limits=Limits())
    assert plots.png(plots.pareto_figure(empty), dpi=40).startswith(b"\x89PNG")
    assert Page(page.page(empty)).open == []


def test_pictures_are_the_same_bytes_every_time(result: RunResult) -> None:
    first, second = (plots.png(plots.pareto_figure(result), dpi=40) for _ in range(2))
    assert first == second
    assert plots.svg(plots.bill_figure(result.bill[:3])) == plots.svg(plots.bill_figure(result.bill[:3]))


def test_a_bill_without_prices_has_no_empty_panels(tmp_path: Path) -> None:
    """A target whose kernels nobody priced: weights and counts, and dashes for the rest."""
    lines = bill(chain()[0], load_device("esp32s3"))
    assert len(plots.bill_figure(lines).axes) == 1
    unpriced = synthetic_result(bill=lines, latency_band_percent=None)
    text = Page(page.page(unpriced)).text
    assert "holds most weights" in text
    assert "takes most time" not in text
    assert "nobody has measured this chip" in text
    assert load_result(page.write_run(unpriced, tmp_path).parent).bill == lines


def test_the_report_says_where_an_energy_is_from() -> None:
    from_sheet = synthetic_result(energy_band_factor=2.5)
    assert "power from the data sheet, within a factor of 2.5" in Page(page.page(from_sheet)).text
    measured = synthetic_result(energy_band_percent=40.0)
    assert "power measured while inferring, ±40 %" in Page(page.page(measured)).text
    assert tables.summary(from_sheet)["bands"]["energy_band_factor"] == 2.5


def test_the_picture_holds_every_finished_model_and_the_limits(result: RunResult) -> None:
    axes = plots.pareto_figure(result).axes[0]
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for p in result.points:
        assert low < p.cost.size_bytes < high
        assert bottom < p.val_drop < top
    assert low < 256 * KB < high
    assert bottom < 2.0 < top


@pytest.mark.parametrize(
    ("objectives", "pairs"),
    [
        (("size_bytes", "drop"), [("size_bytes", "drop")]),
        (("drop", "latency_ms", "macs"), [("latency_ms", "drop"), ("macs", "drop")]),
        (
            ("ram_bytes", "size_bytes", "flash_bytes", "drop"),
            [(n, "drop") for n in ("ram_bytes", "size_bytes", "flash_bytes")],
        ),
        (("size_bytes", "ram_bytes"), [("size_bytes", "ram_bytes")]),
    ],
)
def test_every_resource_has_a_panel(objectives: tuple[str, ...], pairs: list[tuple[str, str]]) -> None:
    assert [(panel.x, panel.y) for panel in plots.panels(objectives)] == pairs
    found = synthetic_result(objectives=objectives)
    figure = plots.pareto_figure(found)
    assert len(figure.axes) == len(pairs)
    for axes, panel in zip(figure.axes, plots.panels(objectives), strict=True):
        (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        for p in found.points:
            x, y = panel.at(p.cost, p.val_drop)
            assert low < x < high
            assert bottom < y < top
    assert plots.png(figure, dpi=30).startswith(b"\x89PNG")
    text = Page(page.page(found)).text
    assert wording.listed(objectives) in text
    assert ("each panel shows two of them" in text) == (len(objectives) > 2)


def test_the_smallest_is_by_the_first_resource(result: RunResult) -> None:
    swift = dataclasses.replace(result.points[4], cost=dataclasses.replace(result.points[4].cost, latency_ms=1.0))
    points = tuple(swift if p.id == swift.id else p for p in result.points)
    found = synthetic_result(points=points, objectives=("latency_ms", "drop"))
    assert found.resource == "latency_ms"
    assert found.front[0].id == swift.id
    assert "is less in latency" not in Page(page.page(found)).text


def test_the_knee_is_in_the_table_and_ringed(result: RunResult, tmp_path: Path) -> None:
    bent = dataclasses.replace(result.points[3], knee=True)
    found = synthetic_result(points=tuple(bent if p.id == bent.id else p for p in result.points))
    page.write_run(found, tmp_path)
    assert [row["knee"] for row in read_csv(tmp_path / "front.csv")] == ["False", "True", "False", "False"]
    labels = [text.get_text() for text in plots.pareto_figure(found).axes[0].get_legend().get_texts()]
    assert "knee of the front" in labels
    assert "(knee)" in Page(page.page(found)).text


def test_drops_over_seeds_stand_beside_the_bound(tmp_path: Path) -> None:
    """Of 1.21, 1.51 and 2.11 the mean is 1.61 and the variance (0.16 + 0.01 + 0.25) / 2."""
    points = tuple(
        dataclasses.replace(p, seed_drops=(1.21, 1.51, 2.11)) if p.id == "0a9be3f7d1" else p
        for p in synthetic_result().points
    )
    result = synthetic_result(points=points)
    text = page.write_run(result, tmp_path).read_text()
    assert "<th>over seeds</th>" in text
    assert "1.61 ± 0.46 of 3" in text
    assert "loses 1.61 ± 0.46 points (mean and standard deviation), 2 of them within the limit" in text
    rows = {row["id"]: row for row in read_csv(tmp_path / "front.csv")}
    assert rows["0a9be3f7d1"]["seeds"] == "3"
    assert float(rows["0a9be3f7d1"]["val_drop_mean"]) == pytest.approx(1.61)
    assert float(rows["0a9be3f7d1"]["val_drop_sd"]) == pytest.approx(0.21**0.5, rel=1e-4)
    assert (rows["5d31c8e9b0"]["seeds"], rows["5d31c8e9b0"]["val_drop_mean"]) == ("1", "")
    assert "1.61 ± 0.46 of 3" in listing.closing_text(result, tmp_path)
    assert load_result(tmp_path) == result


def test_the_report_says_how_far_to_trust_the_search(result: RunResult) -> None:
    text = Page(page.page(result)).text
    for words in (
        "the finished int8 file's drop: 0.61 over 7 networks, 0.25 with size taken out.",
        "hypervolume is 2.310, the ladder's 1.900: a gain of 0.410, 95 % interval 0.120 to 0.710. The ladder lost.",
        "Choosing among 9 networks by these very images makes the chosen one's drop look 0.08 points better than it is",
        "its 95 % bound of 1.63 then is 1.71, within the limit of 2.00.",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gain_low": -0.1}, "The interval includes 0: this run does not show that its search beat the ladder."),
        ({"gain_low": -0.8, "gain_high": -0.2}, "The ladder won."),
        ({"ladder_volume": None, "gain_low": None, "gain_high": None}, ": there is no gain to speak of"),
        ({"look_correlation": None, "finished": 3}, "3 networks were both looked at untrained and finished: too few"),
        ({"optimism": 0.5}, "its 95 % bound of 1.63 then is 2.13, beyond the limit of 2.00."),
    ],
)
def test_a_doubt_is_said(result: RunResult, changes: dict, words: str) -> None:
    assert result.audit is not None
    doubtful = synthetic_result(audit=dataclasses.replace(result.audit, **changes))
    assert words in Page(f"<main>{trust(doubtful)}</main>").text


def test_a_folder_without_a_result_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"holds no result\.json: give the folder of a finished run"):
        page.rewrite(tmp_path)
    (tmp_path / "result.json").write_text('{"original": 3}')
    with pytest.raises(RunFolderError, match="cannot be read") as caught:
        page.rewrite(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(result: RunResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="choose another --out") as caught:
        tables.write_tables(result, tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_the_binding_limit_is_the_fullest_one() -> None:
    limits = Limits(size_bytes=128 * KB, drop=2.0, latency_ms=100.0)
    bill = dataclasses.replace(cost(112), latency_ms=95.0)
    assert wording.binding_sentence(bill, limits, 1.0) == (
        "The latency binds: 95.0 ms of 100 ms (95 %); next is the size, 112 KB of 128 KB (88 %)."
    )
    assert wording.binding_sentence(bill, Limits()) == "No limit was set."


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (wording.size(912), "912 B"),
        (wording.size(80.5 * KB), "80.5 KB"),
        (wording.size(256 * KB), "256 KB"),
        (wording.size(12_894_208), "12.3 MB"),
        (wording.size(None), "\N{EN DASH}"),
        (wording.number(-0.004), "0.00"),
        (wording.number(-0.25), "\N{MINUS SIGN}0.25"),
        (wording.count(61_200), "61.2 k"),
        (wording.count(3_217_226), "3.22 M"),
        (wording.milliseconds(0.816), "0.82 ms"),
        (wording.milliseconds(1250), "1250 ms"),
        (wording.energy(4200), "4.2 mJ"),
        (wording.duration(598), "9 min 58 s"),
        (wording.duration(7500), "2 h 05 min"),
        (wording.times_smaller(100, 40), "2.5 times smaller"),
        (wording.times_smaller(40, 60), "1.5 times larger"),
        (wording.columns([("a", "1"), ("long", "22")]), "a      1\nlong  22"),
    ],
)
def test_numbers_are_written_for_people(text: str, wanted: str) -> None:
    assert text == wanted


def test_a_makers_figures_are_told_as_its_own(result: RunResult) -> None:
    told = dataclasses.replace(result, told_by="Vela")
    text = Page(page.page(told)).text
    assert "weights and commands, by Vela" in text
    assert "Vela's own estimate" in text
    assert "instruction counts" not in text
    assert "instruction counts" in meaning(result)


def test_the_legend_says_what_a_closed_runtimes_figures_are(result: RunResult) -> None:
    closed = dataclasses.replace(result, runtime="x-cube-ai")
    small = dataclasses.replace(result, runtime="c", compiler_level="Os")
    assert "upper ends of bands" in meaning(closed)
    assert "instruction counts" not in meaning(closed)
    assert "bands" not in meaning(result)
    assert "Compiled at -Os; estimated, within 3 %." in meaning(small)
