"""Rows of a source that could not be read, as the watch finds them and the person on call reads of them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select

from restar_lib.embedded.mail_catcher import catching
from restar_lib.monitoring import watch
from restar_lib.monitoring.alerts.deliveries import Channel, waiting
from restar_lib.monitoring.alerts.incidents import IncidentStage
from restar_lib.monitoring.alerts.send import send_alerts
from restar_lib.monitoring.drift.findings import FindingKind
from restar_lib.settings import Settings
from restar_lib.store.tables import AlertRow, IngestRun, Quarantine
from tests.alerts import sender_to
from tests.watched import BASE, release_champion

NIGHT = timedelta(days=1)
FIRST = datetime.fromisoformat("2026-03-02T05:00:00+00:00")
HOSTILE = '{"text": "<img src=http://example.org/x.png>\x1b[2J\nBcc: all@example.org", "user_id": "anna"}'


@pytest.fixture
def nights(engine: Engine, smoke: Settings) -> Nights:
    """A champion, and no night yet."""
    release_champion(engine, smoke, now=BASE)
    return Nights(engine, smoke)


class Nights:
    """What ingest reads at 2 o'clock, and the watch at 5."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings, self.passed = engine, settings, 0

    def night(self, rows: int, *, source: str = "shop", raw: str = HOSTILE, **reasons: int) -> watch.DriftReport:
        """One run with so many rows, of which those are refused."""
        self.passed += 1
        at = FIRST + self.passed * NIGHT
        refused = sum(reasons.values())
        counts = {"rows_read": rows, "new": rows - refused, "quarantined": refused, "reasons": reasons}
        run = {"source": source, "run_key": "test", "started_at": at - timedelta(hours=3), **counts}
        with self.engine.begin() as connection:
            made = insert(IngestRun).values(run).returning(IngestRun.ingest_run_id)
            run_id = connection.execute(made).scalar_one()
            for number, reason in enumerate(reasons):
                row = {"source": source, "reason": reason, "detail": "rating is 'x', 1 to 5 wanted", "raw": raw}
                key = {"row_hash": f"{run_id} {number}", "ingest_run_id": run_id}
                connection.execute(insert(Quarantine).values(row | key))
        return watch.watch(self.engine, self.settings, run_key=f"scheduled__{self.passed}", now=at)

    def told(self) -> Counter[IncidentStage]:
        """How often of each stage."""
        return Counter(one.stage for one in waiting(self.engine, Channel.MAIL) if one.kind.value == "refused")


def found(report: watch.DriftReport) -> list[str]:
    return [one.sentence for one in report.alerts if one.kind is FindingKind.REFUSED_ROWS]


def test_many_rows_that_could_not_be_read_are_a_finding_with_their_reasons(nights: Nights) -> None:
    """The source, how many of how many, the limit, and each reason; length is named apart."""
    (sentence,) = found(nights.night(1000, bad_rating=300, malformed=12, too_short=400))
    assert "Source shop: 312 of 1,000 rows" in sentence
    assert "(31 %, limit 20 %, monitoring.max_refused): 300 bad_rating, 12 malformed." in sentence
    assert sentence.endswith("Left out by rules of yours, and not counted: 400 too_short.")


def test_rows_that_our_own_rules_leave_out_are_no_finding(nights: Nights) -> None:
    """However many: nothing is wrong with the source."""
    assert found(nights.night(1000, too_short=500, too_long=100, blocklisted=200, forgotten=100, malformed=100)) == []


def test_too_few_rows_say_nothing_until_there_are_enough(nights: Nights) -> None:
    """Small nights are looked at together."""
    assert found(nights.night(20, malformed=20)) == []
    assert found(nights.night(20, malformed=20)) == []
    assert len(found(nights.night(20, malformed=20))) == 1


def test_each_source_is_judged_on_its_own(nights: Nights) -> None:
    """A large good one does not hide a small broken one."""
    nights.night(100_000, source="large")
    (sentence,) = found(nights.night(200, source="small", bad_timestamp=190))
    assert sentence.startswith("Source small: 190 of 200 rows")


def test_an_incident_is_told_once_and_ends_with_a_good_night(nights: Nights) -> None:
    """A night without rows looks at the newest ones again and ends nothing."""
    nights.night(1000, malformed=900)
    nights.night(1000, malformed=900)
    assert len(found(nights.night(0))) == 1
    assert nights.told() == {IncidentStage.OPENED: 1}
    nights.night(1000, malformed=10)
    assert nights.told() == {IncidentStage.OPENED: 1, IncidentStage.ENDED: 1}


def test_the_mail_shows_three_rows_escaped_and_the_tables_keep_none(
    nights: Nights, engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """What strangers wrote becomes no markup, no line of its own and no header, and is stored in the quarantine alone."""
    nights.night(1000, bad_rating=900, malformed=1, missing_text=1, bad_timestamp=1, too_short=1)
    with catching(tmp_path / "mail", port=0) as port:
        send_alerts(engine, smoke, sender=sender_to(port), now=FIRST)
    (file,) = (tmp_path / "mail").glob("*.eml")
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "Refused rows: 90 % of the rows of shop could not be read" in str(message["Subject"])
    for body in (text, html):
        assert "restar quarantine list" in body
        assert body.count("1 to 5 wanted") == 3
        assert "\x1b" not in body
    assert "too_short in shop" not in text
    assert "<img" not in html
    assert "&lt;img src=http://example.org/x.png&gt;" in html
    assert message["Bcc"] is None
    assert "\nBcc" not in text
    with engine.connect() as connection:
        assert "anna" not in str(connection.execute(select(AlertRow.details)).scalars().all())
