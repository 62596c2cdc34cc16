"""The drift report as a page: the findings in words, above Evidently's charts.

One HTML file that loads nothing from anywhere, written atomically. It measures and judges nothing. Called by
`monitoring.watch`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from restar_lib.domain import SENTIMENTS
from restar_lib.monitoring.drift.findings import DriftMeasurements, Finding, confidence_limit, is_unsure, subject
from restar_lib.reports.page_store import write_file
from restar_lib.reports.templates import page_template
from restar_lib.settings import MonitoringSettings

KIND = "drift"
"""The folder below the reports folder."""


@dataclass(frozen=True, kw_only=True)
class DriftPageHeader:
    """What the page says above the charts."""

    model_version: str
    rows: int
    reference_rows: int
    period: str
    looked_at: datetime
    notice: str | None
    quality: str | None
    """What the audits say, in a sentence; None where there are none."""


def file_name(run_key: str) -> str:
    """Path of a run's report below the reports folder; run ids hold characters that file names should not."""
    return f"{KIND}/{re.sub(r'[^A-Za-z0-9_.-]+', '-', run_key)[:150].strip('.-') or 'report'}.html"


def write(
    path: Path,
    charts: str,
    head: DriftPageHeader,
    *,
    measured: DriftMeasurements,
    found: tuple[Finding, ...],
    limits: MonitoringSettings,
) -> None:
    """Write the page. Raises `ValueError` where Evidently's HTML is not the page that it used to be."""
    title = f"Drift: {subject(found)}" if found else "No drift"
    header = page_template("drift_header.html").render(
        title=title,
        sentences=[finding.sentence for finding in found],
        table=_table(measured, limits),
        model_version=head.model_version,
        rows=head.rows,
        reference_rows=head.reference_rows,
        period=head.period,
        looked_at=f"{head.looked_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        notice=head.notice,
        quality=head.quality,
    )
    before, body, after = charts.partition("<body>")
    if not body:
        raise ValueError("Evidently's report has no <body> any more: see restar_lib/monitoring/drift/page.py")
    write_file(path, f"{before}{body}{header}{after}")


def _table(measured: DriftMeasurements, limits: MonitoringSettings) -> list[dict[str, object]]:
    confidence = {
        "name": "mean confidence",
        "now": f"{measured.mean_confidence:.3f}",
        "before": measured.as_trained,
        "limit": confidence_limit(limits),
        "bad": is_unsure(measured, limits),
    }
    classes = [
        {
            "name": f"predicted {name}",
            "now": f"{100 * measured.class_shares[name]:.1f} %",
            "before": f"{100 * measured.reference_shares[name]:.1f} %",
            "limit": f"give or take {100 * limits.max_class_shift:.0f} points",
            "bad": abs(measured.class_shares[name] - measured.reference_shares[name]) > limits.max_class_shift,
        }
        for name in SENTIMENTS
    ]
    columns = [
        {
            "name": f"{column.name}, distance (PSI{'' if column.ks is None else ', KS'})",
            "now": column.distance,
            "before": f"by chance up to {column.psi_by_chance:.2f}",
            "limit": f"{limits.max_psi:g}" if column.ks is None else f"{limits.max_psi:g}, KS {limits.max_ks:g}",
            "bad": column.drifted,
        }
        for column in measured.columns
    ]
    return [confidence, *classes, *columns]
