"""The evaluation report of a tiny model on a snapshot whose truth is known: figures, files, the page, forgetting."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from restar_lib.artifacts import sealed_folder
from restar_lib.atomic_files import READABLE
from restar_lib.dataset.snapshot import Snapshot, load
from restar_lib.dataset.snapshot_folder import write_folder
from restar_lib.domain import Example, Sentiment, Side, TruthSource, weak_label
from restar_lib.evaluation.baselines import baselines
from restar_lib.evaluation.report import report_store
from restar_lib.evaluation.report.evaluate import evaluate_version
from restar_lib.evaluation.report.page import draw
from restar_lib.evaluation.report.report_text import summary
from restar_lib.evaluation.report_contents import MAJORITY, MODEL, TFIDF, EvaluationReport
from restar_lib.reports.page_store import files_of
from restar_lib.settings import Settings
from restar_lib.settings import load as load_settings
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WORDS = {1: "terrible", 3: "okay", 5: "excellent"}
HOSTILE = "<script>alert(1)</script> <img src=http://example.org/x.png> $\\frac{"


def example(number: int, side: Side) -> Example:
    """A review whose word says its stars; on the test side people contradict each tenth star, and one text attacks."""
    rating = (5, 5, 5, 1, 3)[number % 5]
    by_people = side is Side.TEST and number % 10 == 3
    attack = f" {HOSTILE}" if number == 3 else ""
    return Example(
        review_id=f"{side.value}-{number:03}",
        text=f"This {WORDS[rating]} {side.value} thing number {number} came with a box and a cord of some length{attack}",
        truth=Sentiment.POSITIVE if by_people else weak_label(rating),
        truth_source=TruthSource.PEOPLE if by_people else TruthSource.STARS,
        weight=1.0,
        rating=rating,
        product_category=("Kitchen & <Bath>", "Garden $5")[number % 2],
        reviewed_at=NOW - timedelta(days=number),
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The `smoke` profile with fewer resamples; one house for all of these tests, so each cleans up what it adds."""
    environment = {
        "RESTAR_PROFILE": "smoke",
        "RESTAR_HOME": str(tmp_path_factory.mktemp("evaluation")),
        "RESTAR_EVALUATION__RESAMPLES": "100",
    }
    return load_settings(environment=environment).settings


@pytest.fixture(scope="module")
def snapshot(smoke: Settings) -> Snapshot:
    """60 rows to learn from, 60 to choose a threshold on, 100 to measure on."""
    sizes = {Side.TRAIN: 60, Side.VALIDATION: 60, Side.TEST: 100}
    sides = {side: [example(number, side) for number in range(size)] for side, size in sizes.items()}
    return load(write_folder(smoke.snapshots_dir, sides, now=NOW))


@pytest.fixture(scope="module")
def report(smoke: Settings, snapshot: Snapshot) -> EvaluationReport:
    """Of a model that knows the words."""
    folder = sealed_tiny_model(smoke.models_dir, snapshot_hash=snapshot.snapshot_hash)
    sources = {f"test-{number:03}": ("shop", "app")[number % 2] for number in range(99)}
    return evaluate_version(smoke, folder=folder, snapshot=snapshot, now=NOW, sources=sources)


def test_people_and_stars_stand_side_by_side(report: EvaluationReport) -> None:
    """The model reads what the stars say, so it is right against them and wrong where people contradict them."""
    found = {view.name: view.system(MODEL).accuracy.value for view in report.views}
    assert found == {"truth": 0.9, "stars": 1.0, "people": 0.0, "stars of the people's rows": 1.0}
    assert report.people is not None
    assert (report.people.rows, report.people.stars_agree.value) == (10, 0.0)


def test_every_figure_lies_in_its_interval(report: EvaluationReport) -> None:
    """An interval that does not hold its figure was computed on something else."""
    text = report.model_dump_json()
    measures = [
        one for one in _objects(json.loads(text)) if isinstance(one, dict) and {"value", "low", "high"} <= set(one)
    ]
    assert len(measures) > 100
    assert [one for one in measures if not one["low"] <= one["value"] <= one["high"]] == []


def test_the_same_version_on_the_same_snapshot_gives_the_same_report(
    smoke: Settings, snapshot: Snapshot, report: EvaluationReport
) -> None:
    """Also where the second one finds the baselines of the first."""
    folder = smoke.models_dir / report.version
    sources = {f"test-{number:03}": ("shop", "app")[number % 2] for number in range(99)}
    again = evaluate_version(smoke, folder=folder, snapshot=snapshot, now=NOW, sources=sources)
    assert again.model_dump_json() == report.model_dump_json()


def test_rows_have_every_slice(report: EvaluationReport) -> None:
    """Category, length, year, stars, case and source; a review that the database does not know is `unknown`."""
    rows = {name: sum(one.rows for one in report.slices if one.slice == name) for name in _names(report)}
    assert rows == dict.fromkeys(["category", "length", "rating", "year", "case", "source"], 100)
    assert [one.rows for one in report.slices if (one.slice, one.value) == ("source", "unknown")] == [1]


def test_the_worst_mistakes_are_the_surest_wrong_answers(report: EvaluationReport) -> None:
    """All ten are wrong, most confident first, with what people said."""
    assert report.mistakes_in_all == 10
    assert {one.truth_source for one in report.mistakes} == {"people"}
    assert [one.confidence for one in report.mistakes] == sorted(
        (one.confidence for one in report.mistakes), reverse=True
    )


def test_the_page_escapes_what_customers_wrote_and_loads_nothing(report: EvaluationReport) -> None:
    """No script, no picture and no address from a text; nothing that a browser would fetch."""
    page = draw(report)
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "<img" not in page
    assert "Kitchen &amp; &lt;Bath&gt;" in page
    for fetched in ('src="http', 'href="http', "url(http", "@import"):
        assert fetched not in page
    assert page == draw(report)


def test_the_page_says_the_answer_first(report: EvaluationReport) -> None:
    """The headline is the accuracy; the terminal gets the same sentences."""
    assert f"<h1>{report.version} reads 90.0 % of 100 reviews right</h1>" in draw(report)
    assert summary(report)[0].startswith(f"{report.version} reads 90.0 % of 100 reviews right")


def test_a_report_is_kept_with_its_version_and_among_the_reports(smoke: Settings, report: EvaluationReport) -> None:
    """JSON and page in both places; the version's own go with it."""
    written = report_store.save(smoke, report)
    assert written.html.parent == smoke.reports_dir / "evaluation"
    assert written.url.endswith(f"/restar/reports/view/evaluation/{written.html.name}")
    beside = sealed_folder.sibling(smoke.models_dir, report.version, "evaluation.html")
    assert beside.read_text() == written.html.read_text()
    assert report_store.of_version(smoke, report.version) == report
    other = sealed_tiny_model(smoke.models_dir, bias=(5.0, 0.0, 0.0)).name
    second = report_store.save(smoke, report.model_copy(update={"version": other}))
    sealed_folder.delete(smoke.models_dir, other)
    assert list(smoke.models_dir.glob(f"{other}*")) == []
    for path in (second.json, second.html):
        path.unlink()


def test_forgotten_reviews_leave_the_reports_and_the_figures_stay(smoke: Settings, report: EvaluationReport) -> None:
    """Their text is in no kept file any more, neither beside the version nor among the reports."""
    written, person = report_store.save(smoke, report), report.mistakes[0]
    number = int(person.review_id[-3:])
    assert {path.name for path in report_store.naming(smoke, [person.review_id])} == {
        written.json.name,
        f"{report.version}.evaluation.json",
    }
    assert report_store.forget(smoke, [person.review_id]) == 2
    places = [path for path in _files(smoke.home) if report.version in path.name]
    left = [path.read_text() for path in places]
    assert len(left) == 4
    assert not any(person.review_id in text or f"number {number} came" in text for text in left)
    again = report_store.of_version(smoke, report.version)
    assert again is not None
    assert (again.views, len(again.mistakes)) == (report.views, len(report.mistakes) - 1)


def test_the_page_of_a_report_that_nobody_can_read_goes_before_its_json(
    smoke: Settings, report: EvaluationReport
) -> None:
    """Killed in between, the next call finds the page by its JSON. A folder in the place of the page goes as well."""
    unread = smoke.reports_dir / "evaluation" / "unread.json"
    unread.write_text("{")
    page = unread.with_suffix(".html")
    page.mkdir()
    assert files_of(unread) == (page, unread)
    report_store.forget(smoke, [report.mistakes[0].review_id])
    assert (page.exists(), unread.exists()) == (False, False)


@pytest.mark.parametrize(("learned_from", "seen"), [("other", 20), ("gone", None)])
def test_rows_of_another_training_set_are_said_to_be_so(
    smoke: Settings, snapshot: Snapshot, report: EvaluationReport, learned_from: str, seen: int | None
) -> None:
    """What the model learned of them is counted, the bag of words is no rival, and the report beside it stays."""
    sides = {Side.TRAIN: snapshot.examples(Side.TEST)[:20]}
    sides |= {side: [example(number, side) for number in range(500, 510)] for side in (Side.VALIDATION, Side.TEST)}
    other = write_folder(smoke.snapshots_dir, sides, now=NOW).name if learned_from == "other" else "0" * 16
    folder = sealed_tiny_model(smoke.models_dir, snapshot_hash=other)
    found = evaluate_version(smoke, folder=folder, snapshot=snapshot, now=NOW)
    assert report.elsewhere is None
    assert "No model has learned from these rows" in draw(report)
    assert found.elsewhere is not None
    assert (found.elsewhere.learned_from, found.elsewhere.seen) == (other, seen)
    page, said = draw(found), "\n".join(summary(found))
    assert "No model has learned from these rows" not in page
    assert (f"learned from {seen} of them" if seen else "nobody knows how many") in said
    assert "bag of words" not in said
    written = report_store.save(smoke, found)
    assert written.json.exists()
    assert report_store.of_version(smoke, found.version) is None
    for path in (written.json, written.html):
        path.unlink()


@pytest.mark.parametrize("damaged", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_a_damaged_cache_of_the_bag_of_words_is_made_anew(snapshot: Snapshot, tmp_path: Path, damaged: bytes) -> None:
    """Whole and readable afterwards, with nothing beside it."""
    first = baselines(snapshot, folder=tmp_path, max_rows=50)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == READABLE
    whole = path.read_bytes()
    for content in (damaged, whole[: len(whole) // 2], whole.replace(whole[60:70], b"0123456789")):
        path.write_bytes(content)
        again = baselines(snapshot, folder=tmp_path, max_rows=50)
        assert (again[TFIDF] == first[TFIDF]).all()
        assert list(tmp_path.iterdir()) == [path]
        assert path.read_bytes() == whole


@pytest.mark.parametrize("nothing", ["one class", "no word twice"])
def test_where_a_bag_of_words_has_nothing_to_learn_from_it_is_left_out(smoke: Settings, nothing: str) -> None:
    """With a note; the commonest class stays, now and where its answers are kept already."""
    rows = [example(number, Side.TRAIN) for number in range(0, 15, 5 if nothing == "one class" else 1)]
    if nothing == "no word twice":
        rows = [replace(row, text=f"one{row.review_id[-3:]} two{row.review_id[-3:]}") for row in rows]
    sides = {side: [example(number, side) for number in range(20)] for side in (Side.VALIDATION, Side.TEST)}
    chosen = load(write_folder(smoke.snapshots_dir, {Side.TRAIN: rows, **sides}, now=NOW))
    folder = sealed_tiny_model(smoke.models_dir, snapshot_hash=chosen.snapshot_hash)
    first, again = (evaluate_version(smoke, folder=folder, snapshot=chosen, now=NOW) for _ in range(2))
    assert [one.system for one in first.truth.systems] == [MODEL, MAJORITY]
    assert any("no bag of words stands beside it" in note for note in first.notes)
    assert "no bag of words stands beside it" in draw(first)
    assert again == first


def test_the_commonest_class_is_counted_without_rows_that_were_selected(smoke: Settings, tmp_path: Path) -> None:
    """People's rows weigh much and were chosen: they do not make their class common."""
    rows = [example(number, Side.TRAIN) for number in range(50)]
    rows += [
        replace(row, review_id=f"p-{row.review_id}", text=f"{row.text} again", truth=Sentiment.NEGATIVE, weight=9.0)
        for row in (replace(row, truth_source=TruthSource.PEOPLE) for row in rows)
    ]
    held_out = {side: [example(number, side) for number in range(5)] for side in (Side.VALIDATION, Side.TEST)}
    chosen = load(write_folder(smoke.snapshots_dir, {Side.TRAIN: rows, **held_out}, now=NOW))
    answers = baselines(chosen, folder=tmp_path, max_rows=1000)[MAJORITY]
    assert answers[0].tolist() == pytest.approx([0.2, 0.2, 0.6])


def test_the_threshold_is_the_one_that_the_version_serves_with(smoke: Settings, snapshot: Snapshot) -> None:
    """A configuration that was changed after the training changes nothing of what the version does."""
    later = smoke.model_copy(update={"scoring": smoke.scoring.model_copy(update={"abstain_below": 0.99})})
    folder = sealed_tiny_model(smoke.models_dir, snapshot_hash=snapshot.snapshot_hash)
    found = evaluate_version(later, folder=folder, snapshot=snapshot, now=NOW)
    assert (found.abstention.below, found.abstention.coverage.value) == (0.65, 1.0)
    assert {one.coverage for one in found.slices} == {1.0}


def test_a_model_that_reads_titles_is_said_to_be_measured_without_them(
    smoke: Settings, snapshot: Snapshot, report: EvaluationReport
) -> None:
    """First of all, and of no other model."""
    folder = sealed_tiny_model(smoke.models_dir, snapshot_hash=snapshot.snapshot_hash, reads_titles=True)
    found = evaluate_version(smoke, folder=folder, snapshot=snapshot, now=NOW)
    assert "with their titles in front, and these rows have none" in summary(found)[1]
    assert report.warnings == ()


def test_where_only_one_set_has_titles_rows_are_known_by_their_ids(smoke: Settings, snapshot: Snapshot) -> None:
    """That none of them was learned is said no louder than that."""
    sides = {side: [example(number, side) for number in range(600, 610)] for side in Side}
    titled = write_folder(smoke.snapshots_dir, sides, now=NOW, titles=True).name
    folder = sealed_tiny_model(smoke.models_dir, snapshot_hash=titled, reads_titles=True)
    found = evaluate_version(smoke, folder=folder, snapshot=snapshot, now=NOW)
    assert found.elsewhere is not None
    assert (found.elsewhere.seen, found.elsewhere.by_review) == (0, True)
    assert "learned from none of them, by their ids" in "\n".join(summary(found))


def test_the_page_says_how_many_slices_were_judged(report: EvaluationReport) -> None:
    """Those of 30 rows or more that are not all rows: for so many the test is corrected."""
    judged = sum(30 <= one.rows < report.rows for one in report.slices)
    assert 0 < judged < len(report.slices)
    assert f"corrected for {judged} slices" in draw(report)


def test_the_bag_of_words_is_learned_once_per_snapshot(
    smoke: Settings, snapshot: Snapshot, report: EvaluationReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next version is compared with the kept answers."""
    monkeypatch.setattr("restar_lib.evaluation.baselines._fit", lambda *_, **__: pytest.fail("it was fitted again"))
    other = sealed_tiny_model(smoke.models_dir, bias=(0.0, 0.0, 9.0))
    again = evaluate_version(smoke, folder=other, snapshot=snapshot, now=NOW)
    assert again.truth.system(TFIDF) == report.truth.system(TFIDF)
    assert again.model.accuracy.value == pytest.approx(0.7)


def _objects(content: object) -> list[object]:
    inside = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return [content, *(found for one in inside for found in _objects(one))]


def _names(report: EvaluationReport) -> list[str]:
    return list(dict.fromkeys(one.slice for one in report.slices))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("rs-*") if path.suffix in {".html", ".json"}]
