"""Where audits of stars are kept: the reports folder, as a page, as JSON and as CSV for a spreadsheet.

One audit of a snapshot replaces the earlier one. Customers' words stand in it, so where somebody asks to be forgotten
the audits that list a review of theirs are deleted (`restar audit-stars` makes them again). It audits nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from restar_lib.atomic_files import READABLE, write_text
from restar_lib.label_audit.audit import Audit, DoubtedReview
from restar_lib.label_audit.page import draw
from restar_lib.settings import Settings
from restar_lib.urls import report_url

FOLDER: Final = "stars"
"""Below the reports folder."""
COLUMNS: Final = (
    "review_id", "stars", "expresses", "sure", "doubt", "people", "side", "product_category", "reviewed_at", "text",
)  # fmt: skip
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is run by a spreadsheet (OWASP, CSV injection)."""


@dataclass(frozen=True, kw_only=True)
class AuditFiles:
    """Where an audit was written."""

    html: Path
    json: Path
    csv: Path
    url: str
    """The page in Airflow's UI."""


def keep(settings: Settings, found: Audit) -> AuditFiles:
    """Write the three files."""
    folder = settings.reports_dir / FOLDER
    html, json, table = (folder / f"{found.snapshot_hash}.{ending}" for ending in ("html", "json", "csv"))
    for older in (table, html):  # first: no file may list what the JSON does not name
        older.unlink(missing_ok=True)
    write_text(json, found.model_dump_json(indent=1) + "\n", mode=READABLE)
    write_text(table, to_csv(found), mode=READABLE)
    write_text(html, draw(found), mode=READABLE)
    return AuditFiles(
        html=html, json=json, csv=table, url=report_url(settings.orchestration.airflow_url, f"{FOLDER}/{html.name}")
    )


def to_csv(found: Audit) -> str:
    """The listed reviews, one a line, safe to open in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(one) for one in found.listed)
    return out.getvalue()


def naming(settings: Settings, review_ids: Collection[str]) -> tuple[Path, ...]:
    """The files of every kept audit that lists one of these reviews, or that cannot be read."""
    audits = (settings.reports_dir / FOLDER).glob("*.json")
    return tuple(
        file
        for path in sorted(audits)
        if _lists(path, set(review_ids))
        for file in sorted(path.parent.glob(f"{path.stem}.*"), key=lambda one: (one == path, one))
    )


def shown(settings: Settings) -> set[str]:
    """The ids of all reviews that a kept audit lists."""
    audits = (_read(path) for path in (settings.reports_dir / FOLDER).glob("*.json"))
    return {one.review_id for found in audits if found is not None for one in found.listed}


def forget(settings: Settings, review_ids: Collection[str]) -> int:
    """Delete every audit that lists one of these reviews, its JSON last; returns how many files that were."""
    found = naming(settings, review_ids)
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _lists(path: Path, review_ids: Collection[str]) -> bool:
    found = _read(path)
    return found is None or any(one.review_id in review_ids for one in found.listed)


def _read(path: Path) -> Audit | None:
    try:
        return Audit.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _cells(one: DoubtedReview) -> list[str]:
    values = one.model_dump(mode="json")
    return [_safe("" if values[name] is None else str(values[name])) for name in COLUMNS]


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell
