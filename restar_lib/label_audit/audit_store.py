"""Where audits of stars are stored: the reports folder, as a page, as JSON and as CSV for a spreadsheet.

One audit of a snapshot replaces the earlier one (`reports.page_store`). Customers' words stand in it, so where somebody
asks to be forgotten the audits that list a review of theirs are deleted (`restar audit-stars` makes them again). It
audits nothing. Called by the command and by `privacy.forget`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from pathlib import Path
from typing import Final

from restar_lib.label_audit.audit import Audit, DoubtedReview
from restar_lib.label_audit.page import draw
from restar_lib.reports.page_store import ReportFiles, ReviewReports, report_files, write_report
from restar_lib.settings import Settings

KIND: Final = "stars"
AUDITS: Final = ReviewReports(
    kind=KIND,
    title="an audit of stars",
    command="restar audit-stars",
    report_type=Audit,
    review_ids=lambda found: [one.review_id for one in found.listed],
)
COLUMNS: Final = (
    "review_id", "stars", "expresses", "sure", "doubt", "people", "side", "product_category", "reviewed_at", "text",
)  # fmt: skip
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is run by a spreadsheet (OWASP, CSV injection)."""


def save(settings: Settings, found: Audit) -> ReportFiles:
    """Write the three files."""
    files = report_files(settings, KIND, found.snapshot_hash)
    write_report(files.html, page=draw(found), data=found, table=to_csv(found))
    return files


def to_csv(found: Audit) -> str:
    """The listed reviews, one a line, safe to open in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(one) for one in found.listed)
    return out.getvalue()


def naming(settings: Settings, review_ids: Collection[str]) -> tuple[Path, ...]:
    """The stored audits that list one of these reviews, or that cannot be read."""
    return AUDITS.naming(settings, review_ids)


def unreadable(settings: Settings) -> tuple[Path, ...]:
    """The stored audits that cannot be read, and what a kill has left of one."""
    return AUDITS.unreadable(settings)


def shown(settings: Settings) -> set[str]:
    """The ids of all reviews that a stored audit lists."""
    return AUDITS.shown(settings)


def forget(settings: Settings, review_ids: Collection[str]) -> int:
    """Delete every audit that lists one of these reviews; returns how many files that were."""
    return AUDITS.delete(settings, review_ids)


def _cells(one: DoubtedReview) -> list[str]:
    values = one.model_dump(mode="json")
    return [_safe("" if values[name] is None else str(values[name])) for name in COLUMNS]


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell
