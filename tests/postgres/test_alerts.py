"""Alerts are raised once, and mailed once, whoever else is at it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

from sqlalchemy import Engine, func, select

from restar_lib.errors import MailFailed
from restar_lib.monitoring.alerts import (
    Alert,
    AlertDetails,
    AlertKind,
    MailCounts,
    NewAlert,
    forget_reports,
    mail_waiting,
    raise_alert,
    unmailed,
)
from restar_lib.store.tables import AlertRow

NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)


def new_alert(key: str = "drift:1", *, subject: str = "rating drifted") -> NewAlert:
    """An alert to raise."""
    details = AlertDetails(findings=("It drifted.",), since=NOW, dag_id="watch_drift", run_key="scheduled__1")
    return NewAlert(key=key, kind=AlertKind.DRIFT, subject=subject, details=details, report_file=f"{key}.html")


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
    assert mail_waiting(engine, deliver=mailed.append, now=NOW) == MailCounts(sent=1, failed=0, elsewhere=0)
    assert mail_waiting(engine, deliver=mailed.append, now=NOW) == MailCounts(sent=0, failed=0, elsewhere=0)
    assert mailed == [alert]
    assert unmailed(engine) == ()


def test_a_mail_that_does_not_leave_waits_and_stops_no_other(engine: Engine) -> None:
    """The next run mails exactly the one that failed."""
    for key in ("a", "b", "c"):
        raise_alert(engine, new_alert(key), now=NOW)
    mailed: list[str] = []

    def failing_for(key: str) -> Callable[[Alert], None]:
        def deliver(alert: Alert) -> None:
            if alert.alert_key == key:
                raise MailFailed("the server is away")
            mailed.append(alert.alert_key)

        return deliver

    assert mail_waiting(engine, deliver=failing_for("b"), now=NOW) == MailCounts(sent=2, failed=1, elsewhere=0)
    assert [alert.alert_key for alert in unmailed(engine)] == ["b"]
    assert mail_waiting(engine, deliver=failing_for(""), now=NOW).sent == 1
    assert mailed == ["a", "c", "b"]


def test_two_runs_at_once_mail_an_alert_once(engine: Engine) -> None:
    """While one holds the alert's row, the other passes it by."""
    raise_alert(engine, new_alert(), now=NOW)
    inside, mailed = Barrier(2, timeout=20), []

    def slowly(alert: Alert) -> None:
        inside.wait()  # the other run starts now
        inside.wait()  # and has ended now
        mailed.append(alert.alert_key)

    first = Thread(target=mail_waiting, args=(engine,), kwargs={"deliver": slowly, "now": NOW})
    first.start()
    inside.wait()
    second = mail_waiting(engine, deliver=lambda alert: mailed.append(alert.alert_key), now=NOW)
    inside.wait()
    first.join(20)
    assert second == MailCounts(sent=0, failed=0, elsewhere=1)
    assert mailed == ["drift:1"]
    assert unmailed(engine) == ()


def test_an_alert_forgets_only_the_report_that_was_deleted(engine: Engine) -> None:
    """A link that leads nowhere helps nobody; the others stay."""
    for key in ("a", "b"):
        raise_alert(engine, new_alert(key), now=NOW)
    with engine.begin() as connection:
        forget_reports(connection, ["a.html"])
    assert [alert.report_file for alert in unmailed(engine)] == [None, "b.html"]
