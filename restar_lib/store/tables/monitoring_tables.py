"""Tables of monitoring: drift reports, incidents, alerts and their deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from restar_lib.store.tables.column_types import Base


class DriftReportRow(Base):
    """One comparison of the newest window with the reference. Owned by `monitoring.watch`."""

    __tablename__ = "drift_report"

    drift_report_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_key: Mapped[str] = mapped_column(unique=True)
    """The Airflow run that it was made for: the same run finds the same report again."""
    model_version: Mapped[str]
    window_rows: Mapped[int]
    window_start: Mapped[datetime | None]
    window_end: Mapped[datetime | None]
    enough_rows: Mapped[bool]
    findings: Mapped[dict[str, Any]]
    report_file: Mapped[str | None]
    """Path below the reports folder."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class IncidentRow(Base):
    """An uninterrupted series of checks that found the same kind of problem. Owned by `monitoring.alerts.incidents`.

    open: `closed_at` is null, at most one of a kind. closed: a check with enough rows found the problem no more, or
    the model that it was about does not serve any more.
    """

    __tablename__ = "incident"
    __table_args__ = (Index("uq_incident_open_kind", "kind", unique=True, postgresql_where=text("closed_at is null")),)

    incident_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    model_version: Mapped[str | None]
    """The champion that it is about; null where it is about no model."""
    opened_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    times_seen: Mapped[int] = mapped_column(server_default="1")
    """Checks that found it."""
    told_at: Mapped[datetime]
    """When the last alert about it was raised: at the opening, then as reminders."""
    closed_at: Mapped[datetime | None]
    retrain_asked_at: Mapped[datetime | None]
    retrain_asked_by: Mapped[str | None]
    """The run that requested last, so that the same run may request again after it was killed."""


class AlertRow(Base):
    """A message about an incident that opened, goes on, or ended. Owned by `monitoring.alerts.alert_log`."""

    __tablename__ = "alert"

    alert_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    alert_key: Mapped[str] = mapped_column(unique=True)
    """What makes raising it twice harmless, for example `drift:12:opened`."""
    kind: Mapped[str]
    stage: Mapped[str] = mapped_column(server_default="opened")
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incident.incident_id"))
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]
    report_file: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AlertDelivery(Base):
    """The delivery of one alert over one channel, once. Owned by `monitoring.alerts.deliveries`."""

    __tablename__ = "alert_delivery"
    __table_args__ = (Index("ix_alert_delivery_waiting", "alert_id", postgresql_where=text("delivered_at is null")),)

    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.alert_id", ondelete="CASCADE"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    delivered_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    last_problem: Mapped[str | None]
    """Why the newest attempt failed."""
