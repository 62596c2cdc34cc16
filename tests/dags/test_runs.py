"""The DAGs run for real: Airflow's own task runner, our database, sealed models, a mail server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, insert, select

from restar_lib.artifacts.release_log import ANY, ChampionChange, append, current, history
from restar_lib.domain import ReleaseKind
from restar_lib.embedded.mail_catcher import catching
from restar_lib.monitoring.alerts.alert_log import AlertDetails, AlertKind, NewAlert
from restar_lib.monitoring.alerts.deliveries import Channel, waiting
from restar_lib.settings import Settings, load
from restar_lib.store.tables import LabelTask, PredictionRow, ReviewRow, SnapshotRow
from tests.alerts import raise_alert
from tests.dags.conftest import AirflowHouse
from tests.review_files import review, write_rows
from tests.tasks import add_reviews
from tests.tiny_model import sealed_tiny_model
from tests.watched import OTHER, draw, release_champion, store_scored

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The settings that Airflow's process has."""
    return load(environment={"RESTAR_PROFILE": "smoke", **environment}).settings


@pytest.fixture
def mails(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """A folder into which a real mail server writes, known to Airflow as the connection `restar_smtp`."""
    with catching(tmp_path / "mails", port=0) as port:
        extra = {"disable_tls": True, "disable_ssl": True}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
        environment["AIRFLOW_CONN_RESTAR_SMTP"] = json.dumps(connection)
        yield tmp_path / "mails"


def make_champion(engine: Engine, settings: Settings, *, bias: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> str:
    """Seal a tiny model and put it into the release log."""
    version = sealed_tiny_model(settings.models_dir, bias=bias).name
    change = ChampionChange(
        model_version=version,
        kind=ReleaseKind.RELEASE,
        provisional=False,
        released_by="test",
        reason="a test",
        released_at=NOON,
    )
    append(engine, change, expected_previous=ANY)
    return version


def count(engine: Engine, table: type) -> int:
    """Rows of a table."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_ingest_goes_on_where_the_last_run_ended(
    house: AirflowHouse, environment: dict[str, str], engine: Engine
) -> None:
    """Each run reads at most the rows that the form says, its counts add up, and nothing is read twice."""
    runs = [house.ask("run", dag_id="ingest_reviews", conf={"max_rows": 40}, environment=environment) for _ in "ab"]
    counts = [run["answers"]["read_and_store"] for run in runs]
    assert [run["state"] for run in runs] == ["success", "success"]
    assert [one["rows_read"] for one in counts] == [40, 40]
    assert [one["already_known"] for one in counts] == [0, 0]
    assert count(engine, ReviewRow) == sum(one["new"] + one["duplicate_text"] for one in counts)


def test_an_empty_source_is_a_skip_with_its_reason(
    house: AirflowHouse, environment: dict[str, str], tmp_path: Path
) -> None:
    """A run that finds nothing new is not a silent success, and announces no reviews."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "empty.jsonl").touch()
    source = {"RESTAR_SOURCE__KIND": "files", "RESTAR_SOURCE__PATH": str(tmp_path / "inbox")}
    run = house.ask("run", dag_id="ingest_reviews", conf={}, environment=environment | source)
    assert (run["state"], run["tasks"]["read_and_store"]["state"]) == ("success", "skipped")
    assert "nothing new" in house.log.read_text()


def test_a_damaged_file_keeps_no_other_back(
    house: AirflowHouse,
    environment: dict[str, str],
    engine: Engine,
    settings: Settings,
    mails: Path,
    tmp_path: Path,
) -> None:
    """The good files beside it are stored, announced, scored and queued the same night; a mail names the damaged one."""
    make_champion(engine, settings)
    inbox = tmp_path / "inbox"
    write_rows(inbox / "a.jsonl", [review(number) for number in range(4)])
    (inbox / "b.jsonl.gz").write_bytes(gzip.compress(b"cut off in the middle" * 900)[:40])
    write_rows(inbox / "c.csv", [review(number) for number in range(4, 7)])
    source = {"RESTAR_SOURCE__KIND": "files", "RESTAR_SOURCE__PATH": str(inbox)}
    early = {"snapshot_hash": "0" * 64, "train_rows": 1, "validation_rows": 1, "test_rows": 1, "people_rows": 0}
    with engine.begin() as connection:
        connection.execute(insert(SnapshotRow).values(early | {"created_at": NOON - timedelta(days=1000)}))
    run = house.ask("run", dag_id="ingest_reviews", conf={}, environment=environment | source)
    assert {name: task["state"] for name, task in run["tasks"].items()} == {
        "read_and_store": "success",
        "report_damaged_files": "failed",
    }
    assert run["tasks"]["report_damaged_files"]["try"] == 1, "no retry mends a file"
    scored = house.ask("run", dag_id="score_reviews", conf={}, environment=environment | source)
    assert scored["answers"]["score_and_queue"]["scored"] == 7
    (kept,) = mails.glob("*.eml")
    mail = message_from_bytes(kept.read_bytes(), policy=policy.default).get_body(("plain",)).get_content()
    assert "report_damaged_files" in mail
    assert "b.jsonl.gz" in mail
    again = house.ask("run", dag_id="ingest_reviews", conf={}, environment=environment | source)
    assert again["tasks"]["report_damaged_files"]["state"] == "failed", "until somebody mends or removes it"


def test_what_stays_unread_is_announced_to_scoring(
    house: AirflowHouse, environment: dict[str, str], engine: Engine, settings: Settings
) -> None:
    """An ingest was killed after it had stored rows: the triggerer sees them, and sees nothing once they are scored."""
    with engine.begin() as connection:
        early = {"snapshot_hash": "0" * 64, "train_rows": 1, "validation_rows": 1, "test_rows": 1, "people_rows": 0}
        connection.execute(insert(SnapshotRow).values(early | {"created_at": NOON - timedelta(days=1000)}))
    add_reviews(engine, "the parcel came on a blue tuesday")
    assert house.ask("unread", environment=environment) is False, "nobody could read them yet"
    make_champion(engine, settings)
    assert house.ask("unread", environment=environment) is True
    house.ask("run", dag_id="score_reviews", conf={}, environment=environment)
    assert house.ask("unread", environment=environment) is False


def test_without_a_champion_nothing_is_scored_or_compared(house: AirflowHouse, environment: dict[str, str]) -> None:
    """Before the first model, scoring and the watch skip and say what to do."""
    scored = house.ask("run", dag_id="score_reviews", conf={}, environment=environment)
    watched = house.ask("run", dag_id="watch_drift", conf={}, environment=environment)
    assert scored["tasks"]["score_and_queue"]["state"] == "skipped"
    assert {name: task["state"] for name, task in watched["tasks"].items()} == {
        "compare": "skipped",
        "mail_alerts": "success",
        "ask_for_retraining": "skipped",
    }


def test_the_champion_scores_what_is_new_once(
    house: AirflowHouse, environment: dict[str, str], engine: Engine, settings: Settings
) -> None:
    """New reviews get predictions and the doubtful ones tasks; the next run has nothing to do and skips."""
    version = make_champion(engine, settings)
    with engine.begin() as connection:
        early = {"snapshot_hash": "0" * 64, "train_rows": 1, "validation_rows": 1, "test_rows": 1, "people_rows": 0}
        connection.execute(insert(SnapshotRow).values(early | {"created_at": NOON - timedelta(days=1000)}))
    add_reviews(engine, "an excellent lamp, I love it", "the parcel came on a blue tuesday")
    first = house.ask("run", dag_id="score_reviews", conf={}, environment=environment)
    second = house.ask("run", dag_id="score_reviews", conf={}, environment=environment)
    assert first["answers"]["score_and_queue"]["model_version"] == version
    assert first["answers"]["score_and_queue"]["scored"] == 2
    assert second["tasks"]["score_and_queue"]["state"] == "skipped"
    assert (count(engine, PredictionRow), count(engine, LabelTask)) == (2, 1)


def test_a_damaged_champion_fails_at_once_and_the_person_on_call_is_mailed(
    house: AirflowHouse, environment: dict[str, str], engine: Engine, settings: Settings, mails: Path
) -> None:
    """What no retry can mend is not retried: one try, one mail in text and HTML that names the file."""
    version = make_champion(engine, settings)
    (settings.models_dir / version / "model.onnx").write_bytes(b"altered")
    environment["RESTAR_ORCHESTRATION__RETRIES"] = "3"
    run = house.ask("run", dag_id="score_reviews", conf={}, environment=environment)
    assert (run["state"], run["tasks"]["score_and_queue"]) == ("failed", {"state": "failed", "try": 1})
    (kept,) = mails.glob("*.eml")
    mail = message_from_bytes(kept.read_bytes(), policy=policy.default)
    assert "score_and_queue failed" in mail["Subject"]
    assert "simulated" in mail["Subject"]
    assert {part.get_content_type() for part in mail.walk()} >= {"text/plain", "text/html"}
    assert "model.onnx" in mail.get_body(("plain",)).get_content()


def test_alerts_are_mailed_once_whatever_the_comparison_said(
    house: AirflowHouse, environment: dict[str, str], engine: Engine, mails: Path
) -> None:
    """An alert that waits leaves with the next watch, even one that skips; the watch after that has nothing to send."""
    details = AlertDetails(
        findings=("the share of negative reviews moved",), since=NOON, dag_id="watch_drift", run_key="manual__1"
    )
    raise_alert(engine, NewAlert(key="drift:1", kind=AlertKind.DRIFT, subject="drift", details=details), now=NOON)
    runs = [house.ask("run", dag_id="watch_drift", conf={}, environment=environment) for _ in "ab"]
    assert [run["answers"]["mail_alerts"]["sent"] for run in runs] == [1, 0]
    assert len(list(mails.glob("*.eml"))) == 1
    assert waiting(engine, Channel.MAIL) == ()


def test_drift_is_mailed_and_asks_for_a_retraining_where_configured(
    house: AirflowHouse, environment: dict[str, str], engine: Engine, settings: Settings, mails: Path
) -> None:
    """Other reviews than the champion learned from: a report, a mail, and the event that starts the retraining."""
    version = release_champion(engine, settings, now=NOON)
    store_scored(engine, draw(400, kind=OTHER, seed=2), version=version, since=NOON, scored_at=NOON)
    run = house.ask(
        "run", dag_id="watch_drift", conf={}, environment=environment | {"RESTAR_MONITORING__RETRAIN_ON_DRIFT": "true"}
    )
    assert {name: task["state"] for name, task in run["tasks"].items()} == {
        "compare": "success",
        "mail_alerts": "success",
        "ask_for_retraining": "success",
    }
    assert (settings.reports_dir / run["answers"]["compare"]["report_file"]).is_file()
    assert run["answers"]["mail_alerts"]["sent"] == len(list(mails.glob("*.eml"))) >= 1


def test_a_release_by_hand_is_logged_with_its_reason(
    house: AirflowHouse, environment: dict[str, str], engine: Engine, settings: Settings
) -> None:
    """The form's version serves; because no verdict passed it, it is marked as provisional."""
    version = sealed_tiny_model(settings.models_dir).name
    conf = {"version": version, "reason": "the first of all"}
    run = house.ask("run", dag_id="release", conf=conf, environment=environment)
    champion = current(engine)
    assert run["state"] == "success"
    assert champion is not None
    assert (champion.model_version, champion.reason) == (version, "the first of all")
    assert (champion.released_by, champion.provisional) == ("dag_test", True)


def test_a_roll_back_puts_the_earlier_champion_back(
    house: AirflowHouse, environment: dict[str, str], engine: Engine, settings: Settings
) -> None:
    """With one version there is nowhere to go, which is a skip; with two, the first serves again, and the log says why."""
    first = make_champion(engine, settings)
    nowhere = house.ask("run", dag_id="roll_back", conf={"reason": "too early"}, environment=environment)
    make_champion(engine, settings, bias=(0.0, 0.0, 5.0))
    back = house.ask("run", dag_id="roll_back", conf={"reason": "always positive"}, environment=environment)
    newest = history(engine)[-1]
    assert nowhere["tasks"]["release_target"]["state"] == "skipped"
    assert back["state"] == "success"
    assert (newest.model_version, newest.kind, newest.reason) == (first, ReleaseKind.ROLL_BACK, "always positive")


def test_housekeeping_by_hand_deletes_nothing_unless_told(
    house: AirflowHouse, environment: dict[str, str], settings: Settings
) -> None:
    """The form's default is a dry run."""
    environment["RESTAR_RELEASE__KEEP_VERSIONS"] = "2"
    for bias in range(4):
        sealed_tiny_model(settings.models_dir, bias=(float(bias), 0.0, 0.0))
    dry = house.ask("run", dag_id="housekeeping", conf={}, environment=environment)
    kept_after_dry_run = len(list(settings.models_dir.glob("rs-*/")))
    real = house.ask("run", dag_id="housekeeping", conf={"dry_run": False}, environment=environment)
    assert (dry["state"], real["state"]) == ("success", "success")
    assert kept_after_dry_run == 4
    assert len(list(settings.models_dir.glob("rs-*/"))) == 2
