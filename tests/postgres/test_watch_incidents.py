"""What people are told, and when: once at the opening, by reminders, and when it has ended."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, func, insert, select, update

from restar_lib.domain import Reason, Sentiment, TaskStatus
from restar_lib.errors import NothingToDo
from restar_lib.monitoring import watch
from restar_lib.monitoring.alerts.alert_log import Alert, AlertKind
from restar_lib.monitoring.alerts.deliveries import Channel, waiting
from restar_lib.monitoring.alerts.incidents import IncidentStage
from restar_lib.retraining.incident_request import request_retraining
from restar_lib.settings import MailSettings, MonitoringSettings, Settings, WebhookSettings
from restar_lib.store.tables import AlertRow, IncidentRow, LabelTask, PredictionRow
from tests.watched import BASE, OTHER, USUAL, Kind, draw, release_champion, store_scored

NIGHT = timedelta(days=1)
FIRST = datetime.fromisoformat("2026-06-01T05:00:00+00:00")
UNSURE = Kind(confidence=0.7)


class Stream:
    """A champion and the reviews that arrive night after night; each night's fill the window."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings, self.nights = engine, settings, 0
        self.version = release_champion(engine, settings, now=BASE)

    def night(self, kind: Kind, *, rows: int = 300, now: datetime | None = None) -> watch.DriftReport:
        """Reviews of this kind, and the watch."""
        self.nights += 1
        at = now or FIRST + self.nights * NIGHT
        since = BASE + self.nights * timedelta(days=30)
        seen = draw(rows, kind=kind, seed=self.nights)
        store_scored(self.engine, seen, version=self.version, prefix=f"n{self.nights}-", since=since)
        return watch.watch(self.engine, self.settings, run_key=f"scheduled__{self.nights}", now=at)

    def told(self) -> list[tuple[AlertKind, IncidentStage]]:
        """What people were told, in order."""
        return [(alert.kind, alert.stage) for alert in self.alerts()]

    def alerts(self) -> tuple[Alert, ...]:
        """Everything that waits to be sent."""
        return waiting(self.engine, Channel.MAIL)


def with_monitoring(settings: Settings, **keys: object) -> Settings:
    """The same settings with other thresholds."""
    monitoring = MonitoringSettings.model_validate(settings.monitoring.model_dump() | keys)
    return settings.model_copy(update={"monitoring": monitoring})


@pytest.fixture
def stream(engine: Engine, smoke: Settings) -> Stream:
    """A fresh one."""
    return Stream(engine, smoke)


OPENED, REMINDER, ENDED = ((AlertKind.DRIFT, stage) for stage in IncidentStage)


def test_an_incident_is_told_once_and_its_end_once(stream: Stream) -> None:
    """Three bad nights are one alert, the good night one all-clear, the next good night nothing."""
    for kind in (USUAL, OTHER, OTHER, USUAL, USUAL):
        stream.night(kind)
    assert stream.told() == [OPENED, ENDED]
    opened, ended = stream.alerts()
    assert opened.incident_id == ended.incident_id
    assert ended.subject == "All clear: drift"
    assert ended.details.since == opened.created_at == FIRST + 2 * NIGHT
    assert "lasted 48 hours and was found by 2 looks" in ended.details.findings[1]


def test_a_new_series_is_a_new_incident(stream: Stream) -> None:
    """A good night in between starts anew."""
    for kind in (OTHER, USUAL, OTHER):
        stream.night(kind)
    assert stream.told() == [OPENED, ENDED, OPENED]
    assert stream.alerts()[2].incident_id != stream.alerts()[0].incident_id


def test_a_window_that_is_too_small_neither_ends_nor_opens_one(engine: Engine, smoke: Settings) -> None:
    """It cannot judge: the incident stays open, and nobody hears an all-clear that nobody can know."""
    strict = Stream(engine, smoke)
    strict.night(OTHER)
    strict.settings = with_monitoring(smoke, min_rows=301)
    assert not strict.night(USUAL).enough_rows
    assert strict.told() == [OPENED]
    strict.settings = smoke
    strict.night(USUAL)
    assert strict.told() == [OPENED, ENDED]


def test_a_long_incident_is_reminded_of(stream: Stream) -> None:
    """After three days by default; the reminder says since when, and comes with the newest numbers."""
    for days in (1, 3, 4):
        stream.night(OTHER, now=FIRST + days * NIGHT)
    assert stream.told() == [OPENED, REMINDER]
    reminder = stream.alerts()[1]
    assert reminder.subject.startswith("Still: Drift: ")
    assert (reminder.details.since, reminder.created_at) == (FIRST + NIGHT, FIRST + 4 * NIGHT)


def test_reminders_can_be_off(engine: Engine, smoke: Settings) -> None:
    """0 hours: never again."""
    quiet = Stream(engine, with_monitoring(smoke, remind_after_hours=0))
    for days in (1, 30):
        quiet.night(OTHER, now=FIRST + days * NIGHT)
    assert quiet.told() == [OPENED]


def test_a_clock_that_is_set_back_repeats_nothing(stream: Stream) -> None:
    """The second look claims to be an hour before the first: still one incident, one alert."""
    stream.night(OTHER, now=FIRST)
    stream.night(OTHER, now=FIRST - timedelta(hours=1))
    stream.night(USUAL, now=FIRST - timedelta(minutes=30))
    assert stream.told() == [OPENED, ENDED]


def test_low_confidence_alone_is_an_incident_of_its_own_and_hides_no_drift(engine: Engine, smoke: Settings) -> None:
    """A model that is under a limit that somebody set must not keep people from hearing of drift."""
    limited = smoke.monitoring.model_copy(update={"min_mean_confidence": 0.85})
    unsure = Stream(engine, smoke.model_copy(update={"monitoring": limited}))
    unsure.version = release_champion(engine, smoke, now=BASE, kind=UNSURE)
    for kind in (UNSURE, OTHER, UNSURE):
        unsure.night(kind)
    assert unsure.told() == [(AlertKind.CONFIDENCE, IncidentStage.OPENED), OPENED, ENDED]


def test_a_model_that_was_as_unsure_at_its_training_raises_nothing(engine: Engine, smoke: Settings) -> None:
    """Confidence of 0.7 is what its reference has: nobody is called on the first night."""
    unsure = Stream(engine, smoke)
    unsure.version = release_champion(engine, smoke, now=BASE, kind=UNSURE)
    unsure.night(UNSURE)
    assert unsure.told() == []


def test_low_confidence_together_with_drift_is_one_incident(stream: Stream) -> None:
    """One thing happened, so people hear of one; both findings stand in it."""
    report = stream.night(OTHER)
    assert "low_confidence" in {finding.kind for finding in report.alerts}
    assert stream.told() == [OPENED]
    assert any("Mean confidence" in finding for finding in stream.alerts()[0].details.findings)


def test_an_incident_of_a_model_that_serves_no_more_ends_and_says_why(
    stream: Stream, engine: Engine, smoke: Settings
) -> None:
    """No all-clear: nobody knows whether the new model stands better before these reviews."""
    stream.night(OTHER)
    first, stream.version = stream.version, release_champion(engine, smoke, now=BASE, kind=OTHER)
    stream.night(OTHER, rows=20)
    assert stream.told() == [OPENED, ENDED]
    ended = stream.alerts()[1]
    assert ended.subject == f"Ended: drift of {first}"
    assert "does not serve any more" in ended.details.findings[0]
    assert "too few to judge" in ended.details.findings[2]


def test_a_new_model_that_drifts_at_once_opens_its_own(stream: Stream, engine: Engine, smoke: Settings) -> None:
    """The earlier incident ends and the new one opens in one look."""
    stream.night(OTHER)
    stream.version = release_champion(engine, smoke, now=BASE, kind=OTHER)
    stream.night(USUAL)
    assert stream.told() == [OPENED, ENDED, OPENED]


def test_asking_twice_for_the_same_run_tells_nothing_twice(stream: Stream, engine: Engine, smoke: Settings) -> None:
    """A cleared task finds its report; incident and alert stay as they were."""
    report = stream.night(OTHER)
    watch.watch(engine, smoke, run_key=report.run_key, now=FIRST + 9 * NIGHT)
    with engine.connect() as connection:
        assert connection.execute(select(IncidentRow.times_seen)).scalars().all() == [1]
        assert connection.execute(select(func.count()).select_from(AlertRow)).scalar_one() == 1


def test_an_alert_waits_for_every_channel_that_is_configured(engine: Engine, smoke: Settings) -> None:
    """With a webhook, for both; without one, for the mail alone."""
    webhook = WebhookSettings.model_validate({"url": "https://example.org/hook"})
    both = Stream(engine, smoke.model_copy(update={"webhook": webhook}))
    both.night(OTHER)
    assert len(waiting(engine, Channel.MAIL)) == len(waiting(engine, Channel.WEBHOOK)) == 1


def test_where_mailing_is_switched_off_no_mail_waits(engine: Engine, smoke: Settings) -> None:
    """The alert is stored for the pages; there is nobody whom it could wait for."""
    unmailed = smoke.model_copy(update={"mail": MailSettings(enabled=False, recipients=())})
    Stream(engine, unmailed).night(OTHER)
    assert waiting(engine, Channel.MAIL) == ()
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(AlertRow)).scalar_one() == 1


def test_an_alert_says_what_else_changed_since_all_was_well(stream: Stream) -> None:
    """The release and what the source brought; not what was before the last good look."""
    stream.night(USUAL)
    stream.night(OTHER)
    (alert,) = stream.alerts()
    assert not any("released by" in change for change in alert.details.changes)
    assert [shape.name for shape in alert.details.shapes][:1] == ["oov_share"]
    assert len(alert.details.shapes) == 3


def audits(engine: Engine, *, version: str, labels: int, truth: Sentiment) -> None:
    """Fresh audit labels that all say the same."""
    with engine.begin() as connection:
        ids = connection.execute(
            select(PredictionRow.review_id).where(PredictionRow.model_version == version).limit(labels)
        ).scalars()
        rows = [
            {
                "review_id": review_id,
                "status": TaskStatus.DONE,
                "reasons": [Reason.AUDIT],
                "priority": 1.0,
                "inclusion_probability": 0.02,
                "audit_rate": 0.02,
                "consensus": truth,
                "done_at": FIRST,
            }
            for review_id in ids
        ]
        connection.execute(insert(LabelTask), rows)


def test_low_macro_f1_on_fresh_labels_is_an_alert(stream: Stream, engine: Engine) -> None:
    """Everybody says neutral, the model never does; corrected labels bring the all-clear."""
    stream.night(USUAL)
    audits(engine, version=stream.version, labels=60, truth=Sentiment.NEUTRAL)
    report = stream.night(USUAL)
    assert report.quality is not None
    assert (report.quality.labels, report.quality.macro_f1.value) == (60, 0.0)
    assert stream.told() == [(AlertKind.QUALITY, IncidentStage.OPENED)]
    with engine.begin() as connection:
        said = select(PredictionRow.sentiment).where(PredictionRow.review_id == LabelTask.review_id)
        connection.execute(update(LabelTask).values(consensus=said.scalar_subquery()))
    stream.night(USUAL)
    assert stream.told() == [(AlertKind.QUALITY, IncidentStage.OPENED), (AlertKind.QUALITY, IncidentStage.ENDED)]


def test_too_few_fresh_labels_raise_nothing(stream: Stream, engine: Engine) -> None:
    """The report says how many there are."""
    stream.night(USUAL)
    audits(engine, version=stream.version, labels=5, truth=Sentiment.NEUTRAL)
    report = stream.night(USUAL)
    assert stream.told() == []
    assert any("5 of 20 fresh audit labels" in sentence for sentence in report.findings)


def test_an_open_incident_asks_for_a_retraining_and_does_not_storm(
    stream: Stream, engine: Engine, smoke: Settings
) -> None:
    """At once, then not before the cool-down has passed; the same run may ask again, for it may have been killed."""
    asking = with_monitoring(smoke, retrain_on_drift=True, retrain_cooldown_hours=48)
    stream.night(OTHER)
    first = request_retraining(engine, asking, run_key="1", now=FIRST)
    assert len(first.incidents) == 1
    assert request_retraining(engine, asking, run_key="1", now=FIRST + timedelta(minutes=5)) == first
    with pytest.raises(NothingToDo, match="retrain_cooldown_hours"):
        request_retraining(engine, asking, run_key="2", now=FIRST + NIGHT)
    assert request_retraining(engine, asking, run_key="3", now=FIRST + 2 * NIGHT + timedelta(hours=1)) == first


def test_nothing_is_asked_without_an_incident_or_the_configuration(
    stream: Stream, engine: Engine, smoke: Settings
) -> None:
    """Off by default; and where it is on, a good night asks nothing."""
    asking = with_monitoring(smoke, retrain_on_drift=True)
    stream.night(USUAL)
    with pytest.raises(NothingToDo, match="no incident"):
        request_retraining(engine, asking, run_key="1", now=FIRST)
    stream.night(OTHER)
    with pytest.raises(NothingToDo, match="retrain_on_drift is off"):
        request_retraining(engine, smoke, run_key="2", now=FIRST)
