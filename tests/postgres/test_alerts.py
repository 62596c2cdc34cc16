"""Alerts are raised once, and leave once over each channel, whoever else is at it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

from sqlalchemy import Engine, func, select

from restar_lib.errors import DeliveryFailed, MailFailed, WebhookFailed
from restar_lib.monitoring.alerts import incidents
from restar_lib.monitoring.alerts.alert_log import Alert, AlertDetails, AlertKind, NewAlert, forget_reports
from restar_lib.monitoring.alerts.deliveries import Channel, DeliveryCounts, deliver_waiting, waiting
from restar_lib.monitoring.alerts.incidents import IncidentStage
from restar_lib.store.tables import AlertDelivery, AlertRow
from tests.alerts import raise_alert

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
BOTH = (Channel.MAIL, Channel.WEBHOOK)


def new_alert(
    key: str = "drift:1",
    *,
    subject: str = "rating drifted",
    stage: IncidentStage = IncidentStage.OPENED,
    incident_id: int | None = None,
) -> NewAlert:
    """An alert to raise."""
    details = AlertDetails(findings=("It drifted.",), since=NOW, dag_id="watch_drift", run_key="scheduled__1")
    return NewAlert(
        key=key,
        kind=AlertKind.DRIFT,
        subject=subject,
        details=details,
        report_file=f"{key}.html",
        stage=stage,
        incident_id=incident_id,
    )


def mail(engine: Engine, deliver: Callable[[Alert], None]) -> DeliveryCounts:
    """Send what waits for the mail."""
    return deliver_waiting(engine, Channel.MAIL, deliver=deliver, now=NOW)


def refusing(*keys: str, sent: list[str], error: type[DeliveryFailed] = MailFailed) -> Callable[[Alert], None]:
    """A server that takes every alert but these."""

    def deliver(alert: Alert) -> None:
        if alert.alert_key in keys:
            raise error("the server is away")
        sent.append(alert.alert_key)

    return deliver


def test_an_alert_that_cannot_even_be_written_holds_up_no_other(engine: Engine) -> None:
    """Whatever goes wrong with one message is a failed delivery of that one."""
    for key in ("drift:1", "drift:2"):
        raise_alert(engine, new_alert(key), now=NOW)
    sent: list[str] = []

    def deliver(alert: Alert) -> None:
        if alert.alert_key == "drift:1":
            raise ValueError("this text cannot be drawn")
        sent.append(alert.alert_key)

    assert mail(engine, deliver) == DeliveryCounts(sent=1, failed=1, held_back=0)
    assert sent == ["drift:2"]
    assert [alert.alert_key for alert in waiting(engine, Channel.MAIL)] == ["drift:1"]


def test_raising_an_alert_twice_keeps_the_first(engine: Engine) -> None:
    """The key decides: same row, nothing overwritten, not even by another subject."""
    first = raise_alert(engine, new_alert(), now=NOW)
    again = raise_alert(engine, new_alert(subject="something else"), now=NOW + timedelta(days=1))
    assert again == first
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(AlertRow)).scalar_one() == 1


def test_an_alert_is_mailed_once(engine: Engine) -> None:
    """The second run finds nothing that waits."""
    alert = raise_alert(engine, new_alert(), now=NOW)
    mailed: list[Alert] = []
    assert mail(engine, mailed.append) == DeliveryCounts(sent=1, failed=0, held_back=0)
    assert mail(engine, mailed.append) == DeliveryCounts(sent=0, failed=0, held_back=0)
    assert mailed == [alert]
    assert waiting(engine, Channel.MAIL) == ()


def test_a_mail_that_does_not_leave_waits_and_stops_no_other(engine: Engine) -> None:
    """The next run mails exactly the one that failed."""
    for key in ("a", "b", "c"):
        raise_alert(engine, new_alert(key), now=NOW)
    mailed: list[str] = []
    assert mail(engine, refusing("b", sent=mailed)) == DeliveryCounts(sent=2, failed=1, held_back=0)
    assert [alert.alert_key for alert in waiting(engine, Channel.MAIL)] == ["b"]
    assert mail(engine, refusing(sent=mailed)).sent == 1
    assert mailed == ["a", "c", "b"]


def test_a_channel_that_is_away_does_not_hold_up_the_other(engine: Engine) -> None:
    """Each goes once over each: the mail is not repeated because the webhook was away."""
    raise_alert(engine, new_alert("a"), channels=BOTH, now=NOW)
    mailed: list[str] = []
    posted: list[str] = []
    mail(engine, refusing(sent=mailed))
    away = refusing("a", sent=posted, error=WebhookFailed)
    assert deliver_waiting(engine, Channel.WEBHOOK, deliver=away, now=NOW).failed == 1
    mail(engine, refusing(sent=mailed))
    deliver_waiting(engine, Channel.WEBHOOK, deliver=refusing(sent=posted), now=NOW)
    assert (mailed, posted) == (["a"], ["a"])
    with engine.connect() as connection:
        rows = connection.execute(select(AlertDelivery.channel, AlertDelivery.attempts, AlertDelivery.last_problem))
        assert sorted(map(tuple, rows)) == [("mail", 1, None), ("webhook", 2, None)]


def test_why_an_alert_did_not_leave_stands_in_the_table(engine: Engine) -> None:
    """Whoever looks at table `alert_delivery` sees how often it was tried and what the server said."""
    raise_alert(engine, new_alert("a"), now=NOW)
    mail(engine, refusing("a", sent=[]))
    mail(engine, refusing("a", sent=[]))
    with engine.connect() as connection:
        row = connection.execute(select(AlertDelivery.attempts, AlertDelivery.last_problem)).one()
    assert tuple(row) == (2, "the server is away")


def test_an_all_clear_never_comes_before_what_it_clears(engine: Engine) -> None:
    """It waits behind the first alert of its incident; another incident's alert does not."""
    with engine.begin() as connection:
        incident, _ = incidents.open_or_continue(connection, "drift", model_version="rs-1", now=NOW)
    number = incident.incident_id
    raise_alert(engine, new_alert("opened", incident_id=number), now=NOW)
    raise_alert(engine, new_alert("other"), now=NOW)
    raise_alert(engine, new_alert("ended", stage=IncidentStage.ENDED, incident_id=number), now=NOW)
    mailed: list[str] = []
    assert mail(engine, refusing("opened", sent=mailed)) == DeliveryCounts(sent=1, failed=1, held_back=1)
    mail(engine, refusing(sent=mailed))
    assert mailed == ["other", "opened", "ended"]


def test_two_runs_at_once_mail_an_alert_once(engine: Engine) -> None:
    """While one holds the alert's row, the other passes it by."""
    raise_alert(engine, new_alert(), now=NOW)
    inside, mailed = Barrier(2, timeout=20), []

    def slowly(alert: Alert) -> None:
        inside.wait()  # the other run starts now
        inside.wait()  # and has ended now
        mailed.append(alert.alert_key)

    first = Thread(target=mail, args=(engine, slowly))
    first.start()
    inside.wait()
    second = mail(engine, lambda alert: mailed.append(alert.alert_key))
    inside.wait()
    first.join(20)
    assert second == DeliveryCounts(sent=0, failed=0, held_back=1)
    assert mailed == ["drift:1"]
    assert waiting(engine, Channel.MAIL) == ()


def test_an_alert_forgets_only_the_report_that_was_deleted(engine: Engine) -> None:
    """A link that leads nowhere helps nobody; the others stay."""
    for key in ("a", "b"):
        raise_alert(engine, new_alert(key), now=NOW)
    with engine.begin() as connection:
        forget_reports(connection, ["a.html"])
    assert [alert.report_file for alert in waiting(engine, Channel.MAIL)] == [None, "b.html"]
