"""The drill: the simulator drifts, and the whole chain is shown, down to the mail that the person on call would get.

    a drifting span of the stream -> ingest -> score -> watch -> incident -> alert -> mail -> its links answer
    then usual reviews again -> ingest -> score -> watch -> all-clear

Everything but the reviews is the real thing: the DAGs of the running installation, its thresholds, its mail server. The
span is written to `<home>/drill.yaml`, a layer of the configuration, and is bounded: the stream becomes usual again by
itself, and what drifted stays reproducible. Incidents, labels and models are not reset: a drill is part of the history.

Only for simulated reviews and an installation of `make run`, whose logins it knows. It judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import httpx
import yaml
from rich.console import Console
from sqlalchemy import Engine

from restar_lib.atomic_files import write_text
from restar_lib.embedded.airflow_api import AirflowApi, DagRun
from restar_lib.embedded.dag_runs import DagRuns, ingest_line, wait_for
from restar_lib.embedded.progress import ProgressView
from restar_lib.embedded.services import ADMIN, EmbeddedInstallation
from restar_lib.errors import ConfigurationError, TurnFailed
from restar_lib.ingest.stored_reviews import sources_read
from restar_lib.monitoring import watch
from restar_lib.monitoring.alerts.alert_log import Alert, AlertKind, newest_alert
from restar_lib.monitoring.alerts.incidents import IncidentStage
from restar_lib.monitoring.alerts.links import links_for
from restar_lib.monitoring.drift import findings
from restar_lib.releases.release import current
from restar_lib.settings import Settings
from restar_lib.simulator.reviews import written_at
from restar_lib.store.database import database_url, engine_for

LAYER = "drill.yaml"
MORE = 1.25
"""Rows that are read for each row that the watch's window should hold: some are refused, repeated or too short."""
MAIL_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class DrillResult:
    """The end of the chain."""

    alert: Alert
    mail: Path
    subject: str


@dataclass(frozen=True, kw_only=True)
class Drill:
    """One drill on a running installation."""

    settings: Settings
    engine: Engine
    runs: DagRuns
    view: ProgressView

    def drift(self) -> DrillResult:
        """Let a window of reviews drift, and follow the alert to its mail. Raises `TurnFailed` where none comes."""
        self._check()
        rows = round(MORE * self.settings.monitoring.window_rows)
        with self.view.step("the simulator drifts") as step:
            start, end = self._switch_on(rows)
            step.detail = f"reviews written from {start:%Y-%m-%d} to {end:%Y-%m-%d}: new category, new words, new mix"
        watched = self._read_and_watch(rows)
        with self.view.step("the incident") as step:
            report = watch.find(self.engine, watched.run_id)
            if report is None or not report.alerts:
                raise TurnFailed(f"the watch found nothing in run {watched.run_id}: see its report and `monitoring`")
            alert = self._alert(IncidentStage.OPENED)
            news = "opened" if alert.details.run_key == watched.run_id else "is open since an earlier run, told then"
            step.detail = f"incident {alert.incident_id} {news}: {findings.subject(report.alerts)}"
        return self._mail_received(alert)

    def calm(self) -> DrillResult:
        """Let usual reviews follow until the window holds nothing else, and follow the all-clear to its mail."""
        self._check()
        watched = self._read_and_watch(round(MORE * self.settings.monitoring.window_rows))
        with self.view.step("the incident") as step:
            alert = self._alert(IncidentStage.ENDED)
            if alert.details.run_key != watched.run_id:
                raise TurnFailed(f"run {watched.run_id} ended no incident of drift: none was open, or it drifts still")
            step.detail = f"incident {alert.incident_id} ended: {alert.subject}"
        return self._mail_received(alert)

    def _check(self) -> None:
        if self.settings.source.kind != "simulated":
            raise ConfigurationError(
                f"this installation reads {self.settings.source.kind!r} and not simulated reviews, which alone can be "
                "told to drift: drill on one of its own, RESTAR_HOME=<another folder> restar drill drift"
            )
        if current(self.engine) is None:
            raise TurnFailed("there is no champion to watch yet: let `make run` turn the loop once")

    def _switch_on(self, rows: int) -> tuple[datetime, datetime]:
        """Make the next `rows` reviews of the stream drift, for every process of this installation."""
        config = self.settings.simulated
        following = sources_read(self.engine).get(self.settings.source.name, 0)
        span = written_at(following, config), written_at(following + rows, config)
        spans = [[start.isoformat(), end.isoformat()] for start, end in (*config.drills, span)]
        write_text(self.settings.home / LAYER, yaml.safe_dump({"simulated": {"drills": spans}}))
        return span

    def _read_and_watch(self, rows: int) -> DagRun:
        began = datetime.now(UTC)
        with self.view.step("reviews are read") as step:
            step.detail = ingest_line(self.engine, self.runs.trigger("ingest_reviews", {"max_rows": rows}, step))
        with self.view.step("the champion scores them") as step:
            run = self.runs.started_by_asset("score_reviews", since=began, step=step)
            run = self.runs.follow(run, step) if run else self.runs.trigger("score_reviews", {}, step)
            step.detail = f"run {run.run_id}"
        with self.view.step("the watch looks") as step:
            run = self.runs.trigger("watch_drift", {}, step)
            report = watch.find(self.engine, run.run_id)
            step.detail = " ".join(report.findings) if report else "nothing to compare"
        return run

    def _alert(self, stage: IncidentStage) -> Alert:
        """The newest alert of drift at this stage."""
        alert = newest_alert(self.engine, AlertKind.DRIFT, stage)
        if alert is None:
            raise TurnFailed(f"table alert has no alert of drift at the stage {stage}: read the run's log")
        return alert

    def _mail_received(self, alert: Alert) -> DrillResult:
        with self.view.step("the mail") as step:
            found = wait_for(lambda: self._mail_of(alert), seconds=MAIL_SECONDS)
            if found is None:
                raise TurnFailed(
                    f"the mail of alert {alert.alert_id} is not in {self._mails}: see table alert_delivery, and "
                    "whether mail.conn_id names another server"
                )
            path, message = found
            step.detail = f"{message['Subject']}"
        with self.view.step("its links answer") as step:
            step.detail = ", ".join(f"{text} {status}" for text, status in self._followed(alert).items())
        return DrillResult(alert=alert, mail=path, subject=str(message["Subject"]))

    @property
    def _mails(self) -> Path:
        return self.settings.home / "mail"

    def _mail_of(self, alert: Alert) -> tuple[Path, EmailMessage] | None:
        """The caught mail of an alert; it stands in the thread of its incident, under its own subject."""
        for path in sorted(self._mails.glob("*.eml"), reverse=True):
            message = message_from_bytes(path.read_bytes(), policy=policy.default)
            ours = f"incident-{alert.kind}-{alert.incident_id}@" in str(message["References"])
            if ours and alert.subject in str(message["Subject"]) and isinstance(message, EmailMessage):
                return path, message
        return None

    def _followed(self, alert: Alert) -> dict[str, int]:
        """Each link of the mail and what it answers to whoever is signed in. Raises `TurnFailed` for a dead one."""
        answers = {}
        for place in links_for(alert, self.settings).all:
            answers[place.text] = self.runs.api.status_of(place.url)
            if answers[place.text] != httpx.codes.OK:
                raise TurnFailed(f"the mail's link {place.text!r} ({place.url}) answers {answers[place.text]}")
        return answers


@contextmanager
def open_drill(installation: EmbeddedInstallation, console: Console) -> Iterator[Drill]:
    """A drill on `installation`, whose steps are shown while the block runs."""
    settings = installation.settings_now
    engine = engine_for(database_url(settings))
    # The address is that of the running one: its ports may have been set in another terminal.
    url = settings.orchestration.airflow_url
    api = AirflowApi(base_url=url, user=ADMIN, password=installation.secrets.airflow_password)
    view = ProgressView(console=console)
    try:
        with view.showing():
            runs = DagRuns(installation=installation, api=api, timeout_minutes=settings.embedded.turn_timeout_minutes)
            yield Drill(settings=settings, engine=engine, runs=runs, view=view)
    finally:
        api.close()
        engine.dispose()
