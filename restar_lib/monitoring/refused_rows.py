"""Whether the newest runs of ingest had to refuse too many rows of a source, because they could not be read.

A source that is renamed, cut off or exported in another form brings few errors and many refused rows; nobody sees them
but in the counts. Looked at are, for each source, the runs since the last look, and earlier ones until there are
enough rows to judge. Rows that our own rules leave out (length, blocklist, erased people) are named apart and no
finding. Reads the runs through their owner and stores nothing. Called by `monitoring.watch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from restar_lib.domain import QuarantineReason
from restar_lib.ingest.stored_reviews import RunSummary, latest_runs
from restar_lib.monitoring.alerts.alert_log import AlertDetails, AlertKind, AlertNumber
from restar_lib.monitoring.alerts.alert_text import WATCH_DAG
from restar_lib.monitoring.alerts.notify import Observed
from restar_lib.monitoring.alerts.row_examples import BY_RULE, in_one_line
from restar_lib.monitoring.drift.findings import Finding, FindingKind
from restar_lib.settings import MonitoringSettings

OLDEST: Final = timedelta(days=7)
"""Runs before that are not looked at, however few rows there are."""
RUNS: Final = 500


@dataclass(frozen=True, kw_only=True)
class RefusedRows:
    """What the newest runs of one source refused."""

    source: str
    since: datetime
    """When the first of these runs began."""
    rows: int
    """All that they read."""
    reasons: Counter[QuarantineReason]

    @property
    def misread(self) -> Counter[QuarantineReason]:
        """Those that could not be read, by reason."""
        return Counter({reason: number for reason, number in self.reasons.items() if reason not in BY_RULE})

    @property
    def by_rule(self) -> Counter[QuarantineReason]:
        """Those that our own rules leave out, by reason."""
        return self.reasons - self.misread

    @property
    def share(self) -> float:
        """Of all rows, in [0, 1], how many could not be read."""
        return self.misread.total() / self.rows if self.rows else 0.0


def look(
    engine: Engine, limits: MonitoringSettings, *, last_look: datetime | None, now: datetime
) -> tuple[RefusedRows, ...]:
    """What each source's newest runs refused, the largest share first; a source with too few rows is left out."""
    runs = [run for run in latest_runs(engine, limit=RUNS) if run.started_at > now - OLDEST and run.rows_read]
    sources = sorted({run.source for run in runs})
    found = (_of_source(source, runs, limits, last_look=last_look) for source in sources)
    return tuple(sorted((one for one in found if one.rows >= limits.min_rows_read), key=lambda one: -one.share))


def _of_source(
    source: str, runs: Sequence[RunSummary], limits: MonitoringSettings, *, last_look: datetime | None
) -> RefusedRows:
    """`runs`: newest first."""
    rows, reasons, since = 0, Counter[QuarantineReason](), runs[0].started_at
    for run in runs:
        if run.source != source:
            continue
        if rows >= limits.min_rows_read and (last_look is None or run.started_at <= last_look):
            break
        rows, since = rows + run.rows_read, run.started_at
        reasons.update({QuarantineReason(name): number for name, number in run.reasons.items()})
    return RefusedRows(source=source, since=since, rows=rows, reasons=reasons)


def judge(seen: Sequence[RefusedRows], limits: MonitoringSettings) -> tuple[Finding, ...]:
    """A finding for each source that is over the limit, the worst first."""
    return tuple(_finding(one, limits) for one in seen if one.share > limits.max_refused)


def _finding(one: RefusedRows, limits: MonitoringSettings) -> Finding:
    share = f"{100 * one.share:.0f} %"
    left_out = f" Left out by rules of yours, and not counted: {_listed(one.by_rule)}." if one.by_rule else ""
    return Finding(
        kind=FindingKind.REFUSED_ROWS,
        headline=f"{share} of the rows of {in_one_line(one.source)} could not be read",
        sentence=f"Source {in_one_line(one.source)}: {one.misread.total():,} of {one.rows:,} rows that were read since "
        f"{one.since:%Y-%m-%d %H:%M} UTC were refused ({share}, limit {100 * limits.max_refused:.0f} %, "
        f"monitoring.max_refused): {_listed(one.misread)}.{left_out}",
    )


def observed(
    seen: Sequence[RefusedRows],
    found: Sequence[Finding],
    limits: MonitoringSettings,
    *,
    changes: tuple[str, ...],
    at: datetime,
    run_key: str,
) -> Observed:
    """The look as one observation, for an incident about all sources together."""
    worst = max((one.share for one in seen), default=0.0)
    return Observed(
        kind=AlertKind.REFUSED,
        model_version=None,
        headline=found[0].headline if found else None,
        can_judge=bool(seen),
        calm=f"At most {100 * worst:.1f} % of the rows of a source could not be read "
        f"(limit {100 * limits.max_refused:.0f} %).",
        details=AlertDetails(
            findings=tuple(finding.sentence for finding in found),
            since=at,
            numbers=tuple(_number(one, limits) for one in seen),
            changes=changes,
            actions=(
                "Look at the rows: `restar quarantine list`. Has the source changed its columns or dates?",
                "Tell its owner, or mend the configuration: a spelling in source.fields, for example.",
                "Then read the refused rows again: `restar quarantine retry --dry-run`, and without --dry-run.",
            ),
            dag_id=WATCH_DAG,
            run_key=run_key,
        ),
    )


def _number(one: RefusedRows, limits: MonitoringSettings) -> AlertNumber:
    return AlertNumber(
        name=f"Refused of {in_one_line(one.source)}",
        value=f"{one.misread.total():,} of {one.rows:,} ({100 * one.share:.1f} %)",
        normal=f"at most {100 * limits.max_refused:.0f} %",
        bad=one.share > limits.max_refused,
    )


def _listed(reasons: Counter[QuarantineReason]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common())
