"""The loop in numbers for Prometheus: the queue, the sources, the releases, open incidents, alerts that wait.

Read from the database at each scrape, by the statements of the modules that own the tables, and none of them reads a
table that grows with the reviews. A database that is away is a number too (`restar_database_up` 0), not an error.
It judges nothing (include/prometheus/alerts.yml does) and serves nothing (`monitoring.exporter.http` does).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from restar_lib.artifacts.release_log import current
from restar_lib.domain import SetAside, TaskStatus
from restar_lib.ingest.stored_reviews import latest_runs, sources_read
from restar_lib.labeling.queue import counts
from restar_lib.monitoring.alerts.alert_log import AlertKind
from restar_lib.monitoring.alerts.deliveries import Channel, waiting
from restar_lib.monitoring.alerts.incidents import open_incident

log = logging.getLogger(__name__)

Families = Iterator[GaugeMetricFamily | InfoMetricFamily]


class LoopGauges(Collector):
    """The state of one installation's loop."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Nothing is asked before the first scrape."""
        self._engine = engine
        self._now = now

    def collect(self) -> Families:
        """All families, or the one that says that the database is away."""
        try:
            families = [*self._queue(), *self._sources(), *self._releases(), *self._trouble()]
        except SQLAlchemyError as error:
            log.warning("the database does not answer: %s", str(error).splitlines()[0])
            families = []
        yield _gauge("restar_database_up", "1 where the database answered.", float(bool(families)))
        yield from families

    def _queue(self) -> Families:
        found = counts(self._engine)
        tasks = GaugeMetricFamily("restar_queue_tasks", "Labeling tasks by status.", labels=["status"])
        for status in TaskStatus:
            tasks.add_metric([status.value], getattr(found, status.value))
        yield tasks
        aside = GaugeMetricFamily("restar_queue_set_aside_tasks", "Open tasks with nobody new to ask.", labels=["why"])
        for why, number in (
            (SetAside.SKIPPED, found.skipped_by_all),
            (SetAside.TOO_FEW, found.too_few),
            (SetAside.DISAGREE, found.disagreeing),
        ):
            aside.add_metric([why.value], number)
        yield aside
        oldest = found.oldest_open_at
        waited = 0.0 if oldest is None else (self._now() - oldest).total_seconds()
        yield _gauge("restar_queue_oldest_open_seconds", "How long the oldest open task has waited.", waited)

    def _sources(self) -> Families:
        rows = GaugeMetricFamily("restar_source_rows_read", "Rows read so far, by source.", labels=["source"])
        for source, number in sources_read(self._engine).items():
            rows.add_metric([source], number)
        yield rows
        newest = next(iter(latest_runs(self._engine, limit=1)), None)
        if newest is not None:
            started = newest.started_at.timestamp()
            yield _gauge("restar_ingest_started_timestamp_seconds", "When the newest ingest began.", started)
            outcomes = GaugeMetricFamily("restar_ingest_rows", "Rows of the newest ingest.", labels=["outcome"])
            for outcome in ("new", "edited", "already_known", "duplicate_text", "quarantined"):
                outcomes.add_metric([outcome], getattr(newest, outcome))
            yield outcomes

    def _releases(self) -> Families:
        champion = current(self._engine)
        yield _gauge(
            "restar_champion_release_id", "The newest release; 0: none.", champion.release_id if champion else 0
        )
        if champion is not None:
            said = {"model_version": champion.model_version, "kind": champion.kind.value}
            yield InfoMetricFamily("restar_champion", "What should serve.", value=said)
            released = champion.released_at.timestamp()
            yield _gauge("restar_champion_released_timestamp_seconds", "When it was released.", released)
            yield _gauge("restar_champion_provisional", "1 where it is under the floors.", float(champion.provisional))

    def _trouble(self) -> Families:
        opened = GaugeMetricFamily("restar_incident_open", "1 where an incident is open.", labels=["kind"])
        with self._engine.connect() as connection:
            for kind in AlertKind:
                opened.add_metric([kind.value], float(open_incident(connection, kind.value) is not None))
        yield opened
        unsent = GaugeMetricFamily("restar_alerts_waiting", "Alerts that have not left yet.", labels=["channel"])
        for channel in Channel:
            unsent.add_metric([channel.value], len(waiting(self._engine, channel)))
        yield unsent


def _gauge(name: str, said: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, said, value=value)
