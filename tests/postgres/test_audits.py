"""Audits: what the figures are made of, who is asked about the skipped ones, and a new champion's first day."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, func, insert, select, update

from restar_lib.artifacts.release_log import ANY, ChampionChange, append
from restar_lib.domain import ReleaseKind, Sentiment, TaskStatus
from restar_lib.inference.engine import ModelInfo
from restar_lib.labeling import leases, queue
from restar_lib.labeling.audits import fresh_audits
from restar_lib.monitoring import watch
from restar_lib.monitoring.alerts.deliveries import Channel, waiting
from restar_lib.settings import Settings
from restar_lib.store.tables import Label, LabelSkip, LabelTask, PredictionRow, ReviewRow
from tests.labelers import LEASE, skip, submit, take
from tests.tasks import NOON, add_reviews, count_rows, selected
from tests.tiny_model import sealed_tiny_model
from tests.watched import BASE, OTHER, USUAL, draw, release_champion, store_scored

NIGHT = BASE + timedelta(days=30)


def draw_audits(engine: Engine, review_ids: list[str], *, rate: float = 0.02) -> None:
    """Tasks for these reviews, drawn at random."""
    with engine.begin() as connection:
        queue.enqueue(
            connection, [selected(one, priority=1.5, audit_rate=rate) for one in review_ids], model_version=None
        )


def answer(engine: Engine, review_ids: list[str], truth: Sentiment) -> None:
    """People have answered these."""
    wanted = LabelTask.review_id.in_(review_ids)
    done = {"status": TaskStatus.DONE, "consensus": truth, "done_at": NIGHT}
    with engine.begin() as connection:
        connection.execute(update(LabelTask).where(wanted).values(done))


def skipped_by(engine: Engine, review_ids: list[str], labeler: str = "ada") -> None:
    """This labeler has skipped these."""
    tasks = select(LabelTask.task_id).where(LabelTask.review_id.in_(review_ids))
    with engine.begin() as connection:
        rows = [{"task_id": task, "labeler": labeler} for task in connection.scalars(tasks)]
        connection.execute(insert(LabelSkip), rows)


def test_the_sample_says_what_was_drawn_and_not_answered(engine: Engine, smoke: Settings) -> None:
    """Ten drawn, four answered, three skipped by two people, three not read; others than audits do not count."""
    version = release_champion(engine, smoke, now=BASE)
    ids = store_scored(engine, draw(12, kind=USUAL, seed=2), version=version)
    draw_audits(engine, ids[:6], rate=0.02)
    draw_audits(engine, ids[6:10], rate=0.1)
    with engine.begin() as connection:
        queue.enqueue(connection, [selected(one) for one in ids[10:]], model_version=version)
    answer(engine, ids[:4], Sentiment.POSITIVE)
    for labeler in ("ada", "ben"):
        skipped_by(engine, ids[4:7], labeler)
    with engine.connect() as connection:
        sample = fresh_audits(connection, model_version=version, arrived_after=BASE - timedelta(days=1), limit=100)
    assert (sample.drawn, sample.labels, sample.skipped, sample.unread) == (10, 4, 3, 3)
    assert sample.unanswered_weights.sum() == pytest.approx(2 / 0.02 + 4 / 0.1)


def test_only_what_was_drawn_since_the_window_began_is_missing(engine: Engine, smoke: Settings) -> None:
    """With a window of two answers, audits that were drawn before them are no part of it."""
    version = release_champion(engine, smoke, now=BASE)
    ids = store_scored(engine, draw(6, kind=USUAL, seed=2), version=version)
    draw_audits(engine, ids)
    answer(engine, ids[2:4], Sentiment.POSITIVE)
    with engine.begin() as connection:
        for place, review_id in enumerate(ids):
            when = NIGHT + timedelta(hours=place)
            connection.execute(update(LabelTask).where(LabelTask.review_id == review_id).values(created_at=when))
        sample = fresh_audits(connection, model_version=version, arrived_after=BASE - timedelta(days=1), limit=2)
    assert (sample.labels, sample.unread) == (2, 2)


def test_report_mail_and_page_say_how_many_are_answered(engine: Engine, smoke: Settings) -> None:
    """Wherever the estimate stands, so do the answered of the drawn ones and the bounds."""
    version = release_champion(engine, smoke, now=BASE)
    ids = store_scored(engine, draw(300, kind=OTHER, seed=2), version=version)
    draw_audits(engine, ids[:100])
    answer(engine, ids[:60], Sentiment.NEUTRAL)
    skipped_by(engine, ids[60:90])
    report = watch.watch(engine, smoke, run_key="night", now=NIGHT)
    assert report.quality is not None
    answered = "60 of 100 (30 skipped, 10 not read)"
    assert report.quality.answered == answered
    assert any(answered in sentence and "all wrong or all right" in sentence for sentence in report.findings)
    assert report.report_file is not None
    assert answered in (smoke.reports_dir / report.report_file).read_text()
    (mail,) = (alert for alert in waiting(engine, Channel.MAIL) if alert.kind.value == "quality")
    numbers = {number.name: number.value for number in mail.details.numbers}
    assert numbers["Answered fresh audits"] == answered
    assert numbers["Accuracy, bounds"] == "0.000 to 0.400"
    assert {"Macro-F1", "Macro-F1, bounds", "Accuracy"} <= set(numbers)


def test_a_new_champion_has_figures_from_its_first_day(engine: Engine, smoke: Settings) -> None:
    """The audits since its training set was frozen were read by the champion before it; it reads them now, once.

    Audits of reviews that were there when its training set was frozen do not count, and nothing new is queued.
    """
    ids = add_reviews(engine, *(f"This kettle is excellent and works well, number {n}." for n in range(30)))
    old = add_reviews(engine, *(f"It broke, number {n}." for n in range(5)), source="old", prefix="old")
    champion = sealed_tiny_model(smoke.models_dir)
    frozen_at = ModelInfo.read(champion).created_at
    with engine.begin() as connection:
        for arrived, some in ((timedelta(hours=1), ids), (-timedelta(hours=1), old)):
            when = datetime.fromisoformat(frozen_at) + arrived
            connection.execute(update(ReviewRow).where(ReviewRow.review_id.in_(some)).values(ingested_at=when))
    draw_audits(engine, [*ids, *old])
    answer(engine, [*ids[:25], *old], Sentiment.POSITIVE)
    change = ChampionChange(
        model_version=champion.name, kind=ReleaseKind.RELEASE, provisional=False, released_by="test", reason="a test",
        released_at=NIGHT,
    )  # fmt: skip
    append(engine, change, expected_previous=ANY)
    report = watch.watch(engine, smoke, run_key="first", now=NIGHT)
    assert report.quality is not None
    assert (report.quality.labels, report.quality.drawn) == (25, 30)
    assert report.quality.accuracy is not None
    assert report.quality.accuracy.value == 1
    watch.watch(engine, smoke, run_key="second", now=NIGHT + timedelta(days=1))
    with engine.connect() as connection:
        scored = connection.execute(
            select(PredictionRow.model_version, func.count()).group_by(PredictionRow.model_version)
        )
        assert scored.all() == [(champion.name, 30)]
    assert count_rows(engine, LabelTask) == 35


def test_a_skipped_audit_is_asked_of_somebody_else_before_anything_new(engine: Engine, smoke: Settings) -> None:
    """Not of who skipped it; a second skip changes nothing more, and a skipped review that is no audit waits its turn."""
    add_reviews(engine, *(f"text {number}" for number in range(4)))
    with engine.begin() as connection:
        tasks = [
            selected("r0", priority=0.9),
            selected("r1", priority=1.1, audit_rate=0.02),
            selected("r2", priority=1.9, audit_rate=0.02),
            selected("r3", priority=1.2, audit_rate=0.02),
        ]
        queue.enqueue(connection, tasks, model_version=None)
    submit(engine, take(engine, "ada"), smoke)
    for _ in range(2):
        skip(engine, take(engine, "ada"))
    assert take(engine, "ada").review_id == "r0"
    skip(engine, take(engine, "ben"), "ben")
    assert take(engine, "cy").review_id == "r3"
    assert take(engine, "ben").review_id == "r1"
    with engine.connect() as connection:
        priorities = dict(connection.execute(select(LabelTask.review_id, LabelTask.priority)).tuples().all())
    assert priorities == {"r0": 0.9, "r1": 2.1, "r2": 1.9, "r3": 2.2}
    assert leases.claim(engine, labeler="dan", now=NOON, lease_seconds=LEASE) is None
    assert count_rows(engine, Label) == 1
