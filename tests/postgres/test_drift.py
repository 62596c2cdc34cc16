"""The watch on a real database with the real Evidently: what it finds, what it stores, what it leaves alone."""

import re
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, func, insert, select, update

from restar_lib.domain import Reason
from restar_lib.errors import NothingToDo
from restar_lib.inference.engine import ModelInfo
from restar_lib.monitoring import watch
from restar_lib.monitoring.alerts.alert_log import AlertKind
from restar_lib.monitoring.alerts.deliveries import Channel, waiting
from restar_lib.monitoring.drift.findings import FindingKind
from restar_lib.settings import Settings
from restar_lib.store.tables import AlertRow, DriftReportRow, LabelTask, ReviewRow
from tests.watched import BASE, OTHER, USUAL, draw, release_champion, store_scored

NOW = datetime.fromisoformat("2026-03-02T05:00:00+00:00")


def count(engine: Engine, table: type[AlertRow] | type[DriftReportRow]) -> int:
    """Rows of `table`."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_usual_reviews_are_no_drift_and_raise_no_alert(engine: Engine, smoke: Settings) -> None:
    """A window like the reference: numbers and a page, nothing to act on."""
    version = release_champion(engine, smoke, now=BASE)
    store_scored(engine, draw(300, kind=USUAL, seed=2), version=version)
    report = watch.watch(engine, smoke, run_key="scheduled__1", now=NOW)
    assert (report.model_version, report.window_rows, report.enough_rows) == (version, 300, True)
    assert report.alerts == ()
    assert report.drifted_share == 0
    assert {column.name for column in report.columns} == {
        "text_length", "oov_share", "product_category", "rating", "predicted", "confidence",
    }  # fmt: skip
    assert waiting(engine, Channel.MAIL) == ()
    assert "No drift: 300 reviews" in " ".join(report.findings)


def test_other_reviews_raise_one_alert_that_says_what_and_how_bad(engine: Engine, smoke: Settings) -> None:
    """A new category, strange words, more complaints, less confidence: four thresholds, one alert."""
    version = release_champion(engine, smoke, now=BASE)
    store_scored(engine, draw(300, kind=OTHER, seed=2), version=version)
    report = watch.watch(engine, smoke, run_key="scheduled__1", now=NOW)
    assert {finding.kind for finding in report.alerts} == {
        FindingKind.COLUMN_DRIFT, FindingKind.DRIFTED_SHARE, FindingKind.LOW_CONFIDENCE, FindingKind.CLASS_SHIFT,
    }  # fmt: skip
    assert {"oov_share", "product_category"} <= {column.name for column in report.drifted_columns}
    (alert,) = waiting(engine, Channel.MAIL)
    assert (alert.alert_key, alert.kind, alert.report_file) == (
        f"drift:{alert.incident_id}:opened",
        AlertKind.DRIFT,
        report.report_file,
    )
    assert alert.details.findings == report.findings
    assert alert.details.since == NOW


def test_the_report_page_stands_alone_and_says_that_reviews_are_simulated(engine: Engine, smoke: Settings) -> None:
    """One file that holds verdict, notice and charts, and asks nobody for anything."""
    version = release_champion(engine, smoke, now=BASE)
    store_scored(engine, draw(200, kind=OTHER, seed=2), version=version)
    report = watch.watch(engine, smoke, run_key="manual__2026-03-02T05:00:00+00:00", now=NOW)
    assert report.report_file == "drift/manual__2026-03-02T05-00-00-00-00.html"
    page = (smoke.reports_dir / report.report_file).read_text()
    assert "simulated reviews" in page
    assert report.findings[0] in page
    assert "drawDashboard" in page
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)\s*=\s*[\"']?https?:", page)


def test_asking_twice_for_the_same_run_changes_nothing(engine: Engine, smoke: Settings) -> None:
    """The same report, though the window has changed meanwhile; one row, one alert."""
    version = release_champion(engine, smoke, now=BASE)
    store_scored(engine, draw(200, kind=OTHER, seed=2), version=version)
    first = watch.watch(engine, smoke, run_key="run", now=NOW)
    store_scored(engine, draw(200, kind=USUAL, seed=3), version=version, prefix="later", since=NOW)
    assert watch.watch(engine, smoke, run_key="run", now=NOW + timedelta(hours=1)) == first
    assert (count(engine, DriftReportRow), count(engine, AlertRow)) == (1, 1)


def test_a_small_window_says_so_and_raises_no_alert(engine: Engine, smoke: Settings) -> None:
    """However strange the few reviews are."""
    version = release_champion(engine, smoke, now=BASE)
    store_scored(engine, draw(smoke.monitoring.min_rows - 1, kind=OTHER, seed=2), version=version)
    report = watch.watch(engine, smoke, run_key="run", now=NOW)
    assert (report.enough_rows, report.alerts, report.columns, report.report_file) == (False, (), (), None)
    assert "too few to judge" in report.findings[0]
    assert count(engine, AlertRow) == 0


def test_only_the_newest_reviews_of_the_champion_are_looked_at(engine: Engine, smoke: Settings) -> None:
    """Older reviews, and what another version said, do not count."""
    version = release_champion(engine, smoke, now=BASE)
    config = smoke.model_copy(update={"monitoring": smoke.monitoring.model_copy(update={"window_rows": 150})})
    store_scored(engine, draw(100, kind=OTHER, seed=2), version=version, prefix="old")
    store_scored(engine, draw(150, kind=USUAL, seed=3), version=version, prefix="new", since=BASE + timedelta(days=20))
    store_scored(engine, draw(150, kind=OTHER, seed=4), version="rs-other", prefix="x", since=BASE + timedelta(days=21))
    report = watch.watch(engine, config, run_key="run", now=NOW)
    assert (report.window_rows, report.alerts) == (150, ())
    assert report.window_start == BASE + timedelta(days=20)


def test_a_task_that_waited_too_long_is_an_alert_of_its_own(engine: Engine, smoke: Settings) -> None:
    """Also where the window is too small; a younger one is none."""
    version = release_champion(engine, smoke, now=BASE)
    (review_id,) = store_scored(engine, draw(1, kind=USUAL, seed=2), version=version)
    limit = timedelta(hours=smoke.monitoring.max_open_task_hours)
    task = {"reasons": [Reason.UNCERTAIN], "priority": 0.5, "inclusion_probability": 1.0}
    with engine.begin() as connection:
        connection.execute(insert(LabelTask).values(review_id=review_id, created_at=NOW - limit, **task))
    assert watch.watch(engine, smoke, run_key="young", now=NOW).alerts == ()
    report = watch.watch(engine, smoke, run_key="old", now=NOW + timedelta(hours=1))
    assert [finding.kind for finding in report.alerts] == [FindingKind.OLD_TASK]
    (alert,) = waiting(engine, Channel.MAIL)
    assert (alert.kind, alert.details.since) == (AlertKind.QUEUE, NOW)


def test_reviews_without_a_rating_are_compared_without_that_column(engine: Engine, smoke: Settings) -> None:
    """Feedback has no stars; the other columns still tell."""
    version = release_champion(engine, smoke, now=BASE)
    store_scored(engine, draw(200, kind=USUAL, seed=2), version=version)
    with engine.begin() as connection:
        connection.execute(update(ReviewRow).values(rating=None))
    report = watch.watch(engine, smoke, run_key="run", now=NOW)
    assert "rating" not in {column.name for column in report.columns}
    assert len(report.columns) == 5


def test_without_a_champion_there_is_nothing_to_watch(engine: Engine, smoke: Settings) -> None:
    """A skip with its reason, and nothing stored."""
    with pytest.raises(NothingToDo, match="no champion"):
        watch.watch(engine, smoke, run_key="run", now=NOW)
    assert count(engine, DriftReportRow) == 0


def test_comparing_opens_no_network_connection() -> None:
    """Evidently is imported and used under a guard that ends the process at the first connection or look-up."""
    program = """
import sys
def guard(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg"):
        raise SystemExit(f"network: {event} {arguments}")
sys.addaudithook(guard)
from restar_lib.monitoring.drift.evidently_comparison import compare
from restar_lib.artifacts.reference import columns_of
from restar_lib.settings import MonitoringSettings
from tests.watched import OTHER, USUAL, draw
reference, window = (columns_of(draw(100, kind=kind, seed=1), frozenset()) for kind in (USUAL, OTHER))
print(len(compare(reference, window, MonitoringSettings()).distances))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "6"), result.stderr[-2000:]


def test_only_reviews_that_came_after_the_training_are_looked_at(engine: Engine, smoke: Settings) -> None:
    """What a training left over is no fair picture of the stream: it takes every review of a rare class."""
    version = release_champion(engine, smoke, now=BASE)
    trained_at = datetime.fromisoformat(ModelInfo.read(smoke.models_dir / version).created_at)
    early, late = trained_at - timedelta(minutes=1), trained_at + timedelta(minutes=1)
    store_scored(engine, draw(100, kind=OTHER, seed=2), version=version, prefix="early", ingested_at=early)
    store_scored(engine, draw(150, kind=USUAL, seed=3), version=version, prefix="late", ingested_at=late)
    report = watch.watch(engine, smoke, run_key="run", now=NOW + timedelta(days=1))
    assert (report.window_rows, report.alerts) == (150, ())
