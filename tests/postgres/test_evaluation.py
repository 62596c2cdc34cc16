"""The evaluation as the DAG and the command line do it, on a real database: sources, files, and forgetting."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

from restar_lib.cli import app, evaluations
from restar_lib.dataset.snapshot import Snapshot, freeze
from restar_lib.domain import Side
from restar_lib.evaluation.profile.measure import explore
from restar_lib.evaluation.report import report_store
from restar_lib.evaluation.review_origins import stored_of
from restar_lib.privacy.forget import finish, forget
from restar_lib.retraining import pipeline
from restar_lib.settings import Settings
from restar_lib.store.tables import IngestRun, ReviewRow
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = {1: "terrible", 3: "okay", 5: "excellent"}
TITLES = {1: "A disappointment", 3: "So so", 5: "Five Stars"}
WRONG = "rated-by-mistake-7"
"""Whose five-star review says that it is terrible: the one that a good reader gets wrong."""


@pytest.fixture
def smoke(smoke: Settings) -> Settings:
    """Fewer resamples than any profile has."""
    return smoke.model_copy(update={"evaluation": smoke.evaluation.model_copy(update={"resamples": 100})})


@pytest.fixture
def snapshot(engine: Engine, smoke: Settings) -> Snapshot:
    """60 test rows from two sources, and some to learn from."""
    with engine.begin() as connection:
        run = connection.execute(
            insert(IngestRun).values(source="shop", run_key="test").returning(IngestRun.ingest_run_id)
        ).scalar_one()
        connection.execute(insert(ReviewRow), list(_reviews(run)))
    return freeze(engine, smoke, now=NOW)


def _reviews(run: int) -> Iterator[dict[str, object]]:
    sides = [Side.TEST] * 60 + [Side.VALIDATION] * 20 + [Side.TRAIN] * 60
    for number, side in enumerate(sides):
        rating = (5, 5, 5, 1, 3)[number % 5]
        word = "terrible" if number == 7 else WORDS[rating]
        text = f"This {word} thing number {number} came with a box and a cord of some length"
        yield {
            "review_id": f"review-{number:04}",
            "source": ("shop", "app")[number % 2],
            "text": text,
            "title": TITLES[rating] if number == 0 else None,
            "rating": 5 if number == 7 else rating,
            "user_id": WRONG if number in {7, 100} else f"user-{number:06}",
            "product_category": "Kitchen",
            "reviewed_at": NOW - timedelta(days=number),
            "words": len(text.split()),
            "text_hash": f"hash {number}",
            "side": side,
            "ingest_run_id": run,
        }


def evaluated(engine: Engine, settings: Settings, snapshot: Snapshot) -> pipeline.Evaluated:
    """The DAG's step on a model that knows the words."""
    version = sealed_tiny_model(settings.models_dir, snapshot_hash=snapshot.snapshot_hash).name
    return pipeline.evaluate_challenger(
        engine, settings, version=version, snapshot_hash=snapshot.snapshot_hash, now=NOW
    )


def test_the_dags_step_leaves_a_report_that_its_log_links_to(
    engine: Engine, smoke: Settings, snapshot: Snapshot, caplog: pytest.LogCaptureFixture
) -> None:
    """Three figures and paths go on; the page is where the reports page looks; sources come from the database."""
    with caplog.at_level(logging.INFO):
        found = evaluated(engine, smoke, snapshot)
    assert (found.rows, found.accuracy) == (60, round(59 / 60, 4))
    assert (smoke.reports_dir / found.report).is_file()
    assert found.url in caplog.text
    report = report_store.of_version(smoke, found.version)
    assert report is not None
    assert {one.value: one.rows for one in report.slices if one.slice == "source"} == {"app": 30, "shop": 30}


def test_a_forgotten_persons_words_leave_the_reports(engine: Engine, smoke: Settings, snapshot: Snapshot) -> None:
    """A dry run names the files and leaves them; for good, id and text are in none of them, beside the model too."""
    found = evaluated(engine, smoke, snapshot)
    beside = smoke.models_dir / f"{found.version}.evaluation.json"
    files = [beside, beside.with_suffix(".html"), *(smoke.reports_dir / "evaluation").glob("rs-*")]
    assert len(files) == 4
    assert all("review-0007" in file.read_text() for file in files)
    rehearsed = forget(engine, smoke, user_id=WRONG, now=NOW, dry_run=True)
    assert f"models/{beside.name}" in rehearsed.files
    assert all("review-0007" in file.read_text() for file in files)
    forget(engine, smoke, user_id=WRONG, now=NOW, dry_run=False)
    assert not any("review-0007" in file.read_text() or "terrible thing" in file.read_text() for file in files)
    report = report_store.of_version(smoke, found.version)
    assert report is not None
    assert (report.mistakes, report.mistakes_in_all) == ((), 1)


def test_a_report_that_nobody_can_read_is_deleted_rather_than_trusted(
    engine: Engine, smoke: Settings, snapshot: Snapshot
) -> None:
    """It may hold anything; so may a page whose JSON is gone. That a trace was found in them holds nothing up."""
    found = evaluated(engine, smoke, snapshot)
    beside = smoke.models_dir / f"{found.version}.evaluation.json"
    beside.write_text('{"mistakes": "of an older form"}')
    page = smoke.reports_dir / found.report
    page.with_suffix(".json").write_text('{"mistakes": "review-0007"}')
    orphan = page.with_name("rs-gone.html")
    orphan.write_text("review-0007 says that it is terrible")
    forget(engine, smoke, user_id=WRONG, now=NOW, dry_run=False)
    unread = (beside, beside.with_suffix(".html"), page, page.with_suffix(".json"), orphan)
    assert [path.exists() for path in unread] == [False] * 5


def test_an_evaluation_that_ran_while_a_person_was_forgotten_is_cleared_by_housekeeping(
    engine: Engine, smoke: Settings, snapshot: Snapshot
) -> None:
    """It was in memory then and shows their words now; what has a tombstone is taken out of it."""
    found = evaluated(engine, smoke, snapshot)
    in_memory = report_store.of_version(smoke, found.version)
    assert in_memory is not None
    forget(engine, smoke, user_id=WRONG, now=NOW, dry_run=False)
    written = report_store.save(smoke, in_memory)
    assert "review-0007" in written.html.read_text()
    assert finish(engine, smoke) == 2
    assert not any("review-0007" in path.read_text() for path in (written.html, written.json))
    assert finish(engine, smoke) == 0


def test_titles_that_name_stars_and_people_on_two_sides_are_found_in_the_database(
    engine: Engine, smoke: Settings, snapshot: Snapshot
) -> None:
    """A snapshot holds neither; one title slipped in here, and one person wrote for two sides."""
    found = explore(smoke, snapshot, stored=stored_of(smoke, snapshot, engine=engine), now=NOW)
    leaks = {leak.name: (leak.found, leak.bad) for leak in found.leaks}
    assert leaks["titles that name stars"] == (1, True)
    assert leaks["people on two sides"] == (1, False)


def test_the_command_reports_on_a_version_and_explores_its_snapshot(
    engine: Engine, smoke: Settings, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a champion it says what to do; with a version it prints the answer first, and where the page is."""
    monkeypatch.setattr(evaluations, "settings", lambda: smoke)
    monkeypatch.setattr("restar_lib.store.database.engine", lambda: engine)
    missing = CliRunner().invoke(app, ["evaluate"])
    assert "there is no champion yet" in str(missing.exception)
    version = sealed_tiny_model(smoke.models_dir, snapshot_hash=snapshot.snapshot_hash).name
    told = CliRunner().invoke(app, ["evaluate", "--version", version])
    assert told.output.startswith(f"{version} reads 98.3 % of 60 reviews right"), told.exception
    page = told.output.split("page: ")[1].splitlines()[0]
    assert page.startswith(str(smoke.reports_dir / "evaluation"))
    looked = CliRunner().invoke(app, ["explore", "--snapshot", snapshot.snapshot_hash[:6]])
    assert f"Snapshot {snapshot.snapshot_hash}: 140 reviews" in looked.output, looked.exception
    wrong = CliRunner().invoke(app, ["explore", "--snapshot", "no such"])
    assert snapshot.snapshot_hash in str(wrong.exception)
