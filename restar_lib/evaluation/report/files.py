"""Where evaluation reports are kept, and how a review leaves them again.

Beside the version (`<version>.evaluation.json` and `.html`, on its own snapshot alone, gone with it) and in the reports
folder, where Airflow's report pages list them. The page is drawn from the JSON alone, so where a person asks to be
forgotten, their reviews are taken out of the JSON and both pages are drawn anew. It measures nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from restar_lib.artifacts import sealed_folder
from restar_lib.atomic_files import READABLE, write_text
from restar_lib.errors import ArtifactError
from restar_lib.evaluation.report.page import draw
from restar_lib.evaluation.report_contents import EvaluationReport
from restar_lib.settings import Settings
from restar_lib.urls import report_url

log = logging.getLogger(__name__)

FOLDER: Final = "evaluation"
"""Below the reports folder."""
JSON, HTML = "evaluation.json", "evaluation.html"


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Where a report was written."""

    version: str
    json: Path
    html: Path
    """Below the reports folder."""
    url: str
    """The page in Airflow's UI."""


def keep(settings: Settings, report: EvaluationReport) -> ReportFiles:
    """Write the report into the reports folder, and beside its version where the rows are of the version's own set.

    An older one of the same name is replaced: its page goes first, for no page may show what its JSON does not name.
    """
    folder = settings.reports_dir / FOLDER
    name = f"{report.version}-on-{report.snapshot_hash}"
    text, page = _text(report), draw(report)
    places = [(folder / f"{name}.json", folder / f"{name}.html")]
    if report.elsewhere is None:
        json = sealed_folder.sibling(settings.models_dir, report.version, JSON)
        places.append((json, json.with_suffix(".html")))
    for json, html in places:
        html.unlink(missing_ok=True)
        write_text(json, text, mode=READABLE)
        write_text(html, page, mode=READABLE)
    return ReportFiles(
        version=report.version,
        json=folder / f"{name}.json",
        html=folder / f"{name}.html",
        url=report_url(settings.orchestration.airflow_url, f"{FOLDER}/{name}.html"),
    )


def read(path: Path) -> EvaluationReport:
    """A kept report. Raises `ArtifactError` where the file is none."""
    try:
        return EvaluationReport.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not an evaluation report, run `restar evaluate` again: {error}") from None


def of_version(settings: Settings, version: str) -> EvaluationReport | None:
    """The newest report of a version on its own snapshot; None where there is none."""
    path = sealed_folder.sibling(settings.models_dir, version, JSON)
    return read(path) if path.exists() else None


def baseline_folder(settings: Settings) -> Path:
    """Where answers of the baselines are kept; housekeeping deletes them by the age of reports."""
    return settings.reports_dir / FOLDER / "baselines"


def naming(settings: Settings, review_ids: Collection[str]) -> tuple[Path, ...]:
    """The kept reports (JSON) that show the text of one of these reviews, or that nobody can read any more.

    A page whose JSON is gone is one of the latter.
    """
    wanted = set(review_ids)
    return tuple(
        sorted((*(path for path in _reports(settings) if _may_name(path, wanted)), *_orphaned_pages(settings)))
    )


def shown(settings: Settings) -> set[str]:
    """The ids of all reviews whose text stands in a kept report that can be read."""
    found: set[str] = set()
    for path in _reports(settings):
        with suppress(ArtifactError):
            found |= {one.review_id for one in read(path).mistakes}
    return found


def forget(settings: Settings, review_ids: Collection[str]) -> int:
    """Take these reviews out of every kept report and draw its page anew; returns how many files that were.

    A report that cannot be read (altered, or of an older form) may hold anything: it is deleted, page and all.
    """
    wanted = set(review_ids)
    found = naming(settings, wanted)
    for path in found:
        try:
            report = read(path)
        except ArtifactError:
            # The JSON last, so that a kill before it finds the page again.
            path.with_suffix(".html").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            continue
        left = tuple(one for one in report.mistakes if one.review_id not in wanted)
        rewritten = report.model_copy(update={"mistakes": left})
        write_text(path.with_suffix(".html"), draw(rewritten), mode=READABLE)
        # Last, so that a kill before it finds the report again.
        write_text(path, _text(rewritten), mode=READABLE)
    return len(found)


def _reports(settings: Settings) -> Iterator[Path]:
    yield from settings.models_dir.glob(f"*.{JSON}")
    yield from (settings.reports_dir / FOLDER).glob("*.json")


def _orphaned_pages(settings: Settings) -> Iterator[Path]:
    pages = (*settings.models_dir.glob(f"*.{HTML}"), *(settings.reports_dir / FOLDER).glob("*.html"))
    return (page for page in pages if not page.with_suffix(".json").exists())


def _may_name(path: Path, wanted: Collection[str]) -> bool:
    try:
        return any(one.review_id in wanted for one in read(path).mistakes)
    except ArtifactError:
        return True


def _text(report: EvaluationReport) -> str:
    return report.model_dump_json(indent=1) + "\n"
