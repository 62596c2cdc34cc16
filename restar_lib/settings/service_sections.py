"""The sections of the configuration around the loop: watching, telling people, serving, and the machines it runs on.

Values only, as in `settings.sections`, which has the sections of the loop itself.
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from restar_lib.settings.sections import Section


class MonitoringSettings(Section):
    """Thresholds of DESIGN section 9."""

    window_rows: int = Field(default=2000, ge=50)
    min_rows: int = Field(default=200, ge=10)
    """Smaller windows say so and do not alert."""
    max_psi: float = Field(default=0.25, gt=0)
    """Population stability index of a column."""
    max_ks: float = Field(default=0.20, gt=0, le=1)
    """Kolmogorov-Smirnov distance of a column of numbers."""
    chance: float = Field(default=0.001, gt=0, le=0.1)
    """A difference counts only where samples of this size show it by chance less often than this."""
    max_drifted_share: float = Field(default=0.30, ge=0, le=1)
    max_confidence_drop: float = Field(default=0.05, ge=0, le=1)
    """How far mean confidence may be under what it was on held-out rows at training."""
    min_mean_confidence: float | None = Field(default=None, ge=0, le=1)
    """An absolute limit beside that; None: there is none, because how sure a model is differs from data to data."""
    max_class_shift: float = Field(default=0.15, ge=0, le=1)
    max_refused: float = Field(default=0.20, ge=0, le=1)
    """Share of the rows of a source that may be unreadable (malformed, no text, rating or time) in its newest runs."""
    min_rows_read: int = Field(default=50, ge=1)
    """With fewer rows of a source nothing is said about how many could not be read."""
    max_open_task_hours: float = Field(default=72, gt=0)
    min_macro_f1: float = Field(default=0.60, ge=0, le=1)
    """Floor of macro-F1 on fresh audit labels, which the champion has not learned from."""
    min_labels: int = Field(default=100, ge=10)
    """With fewer fresh audit labels nothing is said about accuracy and macro-F1."""
    label_window: int = Field(default=1000, ge=10)
    """So many of the newest fresh audit labels are looked at."""
    remind_after_hours: float = Field(default=72, ge=0)
    """An incident that goes on is told of again after so long; 0: never."""
    retrain_on_drift: bool = False
    """Whether an open incident of drift or quality asks for a retraining."""
    retrain_cooldown_hours: float = Field(default=24, ge=0)
    """One incident asks again after so long at the earliest."""


class MailSettings(Section):
    """Mails about alerts, failed tasks and approvals; they leave over the Airflow connection `conn_id`."""

    enabled: bool = True
    """False: nothing is mailed. Alerts stay in the database, and go to the webhook where there is one."""
    conn_id: str = "restar_smtp"
    sender: str = "restar@localhost"
    recipients: tuple[str, ...] = ("oncall@localhost",)
    """Who is on call. Nobody is refused, unless mailing is switched off."""

    @field_validator("recipients")
    @classmethod
    def _somebody_gets_them(cls, recipients: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        if others.data.get("enabled", True) and not (recipients and all(one.strip() for one in recipients)):
            raise ValueError("nobody would get the mails: name one, or switch mailing off by mail.enabled = false")
        return recipients


class WebhookSettings(Section):
    """The second channel of alerts: a Slack-compatible incoming webhook, beside the mail."""

    url: SecretStr | None = None
    """`https://...`, or `http://` on loopback; who knows it may post, so it is a secret. None: no second channel."""
    timeout_seconds: float = Field(default=10.0, gt=0, le=120)

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
            if not parts.hostname or parts.scheme not in ({"https", "http"} if loopback else {"https"}):
                raise ValueError("expected https://<host>/..., or http:// on loopback")
        return url


class OrchestrationSettings(Section):
    """When the DAGs run."""

    start_date: datetime = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    """No scheduled run is for a time before this; `make run` sets its first start, so that nothing fires at once."""
    ingest_schedule: str = "0 2 * * *"
    score_schedule: str = "45 * * * *"
    """Beside the runs that follow an ingest: what was stored is scored at the latest then."""
    watch_schedule: str = "0 5 * * *"
    alerts_schedule: str = "20 * * * *"
    """When alerts are sent that could not leave with the watch."""
    retrain_schedule: str = "0 4 * * 0"
    housekeeping_schedule: str = "0 6 * * *"
    retries: int = Field(default=3, ge=0)
    retry_delay_seconds: int = Field(default=60, ge=1)
    training_timeout_minutes: int = Field(default=180, ge=1)
    watch_labels_seconds: float = Field(default=5.0, gt=0)
    watch_reviews_seconds: float = Field(default=60.0, gt=0)
    """How often the triggerer looks for reviews that nobody has scored."""
    """How often the triggerer looks for finished labels."""
    airflow_url: str = "http://127.0.0.1:8080"


class ServingSettings(Section):
    """The HTTP API."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    poll_seconds: float = Field(default=1.0, gt=0)
    max_batch: int = Field(default=32, ge=1)
    max_chars: int = Field(default=10_000, ge=1)
    max_in_flight: int = Field(default=64, ge=1)
    """Reviews that are predicted or wait for it at one time; what is beyond them gets 503 with `Retry-After`. On two
    cores 64 typical reviews take a second, 64 that fill a window of 512 tokens about eight; the gateway waits 15."""
    max_sentences: int = Field(default=128, ge=1)
    """Sentences of one text that are scored in one request; a review of ten thousand characters has about a hundred."""
    allowed_origins: tuple[str, ...] = ()
    """Sites whose pages may ask for predictions from a browser: `https://shop.example`. Empty: none."""
    url: str = ""
    """Where a release asks whether the new version answers: replicas, separated by blanks; empty: nobody is asked."""

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            # What a browser sends: lower case, no path, and never a pattern.
            if not re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?", origin):
                raise ValueError(f"{origin!r} is no origin: expected https://<host>[:<port>], without a path, no *")
        return origins


class EmbeddedSettings(Section):
    """`make run`: ports on loopback, and how the demo is sized."""

    airflow_port: int = Field(default=8080, ge=1024, le=65535)
    mail_port: int = Field(default=8025, ge=1024, le=65535)
    history_rows: int = Field(default=8000, ge=100)
    """`simulated`: reviews that train the first model."""
    turn_rows: int = Field(default=1500, ge=10)
    """`simulated`: new reviews in one turn."""
    history_share: float = Field(default=0.7, gt=0, lt=1)
    """`files`: the oldest share of the rows is history."""
    slices: int = Field(default=6, ge=1, le=1000)
    """`files`: the rest arrives in so many slices by time, one a turn."""
    turn_timeout_minutes: int = Field(default=90, ge=1)


class HousekeepingSettings(Section):
    """What is kept for how long."""

    prediction_days: int = Field(default=180, ge=1)
    report_days: int = Field(default=90, ge=1)
    log_days: int = Field(default=30, ge=1)
    quarantine_days: int = Field(default=365, ge=1)
    """Rejected rows hold people's words too; their counts stay."""
    snapshot_days: int = Field(default=365, ge=1)
    """Training sets that no model on disk names any more; their rows in the tables stay."""
    airflow_logs: str = ""
    """Airflow's folder of task logs, where it is not below the state folder."""
