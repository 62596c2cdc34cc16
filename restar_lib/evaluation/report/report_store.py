"""Where evaluation reports are stored, and how a review leaves them again.

Beside the version (`<version>.evaluation.json` and `.html`, on its own snapshot alone, deleted with it) and in the
reports folder, where Airflow's report pages list them (`reports.page_store`). The page is drawn from the JSON alone, so
where a person asks to be forgotten, their reviews are taken out of the JSON and both pages are drawn anew. It measures
nothing. Called by `restar evaluate`, the pipeline's step, MLflow's log, and `privacy.forget`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from restar_lib.artifacts import sealed_folder
from restar_lib.evaluation.report.page import draw
from restar_lib.evaluation.report_contents import EvaluationReport
from restar_lib.reports.page_store import ReportFiles, ReviewReports, report_files, write_report
from restar_lib.settings import Settings

KIND: Final = "evaluation"
JSON: Final = "evaluation.json"
"""Ending of a report beside its version."""
REPORTS: Final = ReviewReports(
    kind=KIND,
    title="an evaluation report",
    command="restar evaluate",
    report_type=EvaluationReport,
    review_ids=lambda report: [one.review_id for one in report.mistakes],
    beside_models=JSON,
)


def save(settings: Settings, report: EvaluationReport) -> ReportFiles:
    """Write the report into the reports folder, and beside its version where the rows are of the version's own set."""
    files = report_files(settings, KIND, f"{report.version}-on-{report.snapshot_hash}")
    pages = [files.html]
    if report.elsewhere is None:
        pages.append(_beside(settings, report.version).with_suffix(".html"))
    page = draw(report)
    for html in pages:
        write_report(html, page=page, data=report)
    return files


def of_version(settings: Settings, version: str) -> EvaluationReport | None:
    """The newest report of a version on its own snapshot; None where there is none."""
    path = _beside(settings, version)
    return REPORTS.read(path) if path.exists() else None


def baseline_folder(settings: Settings) -> Path:
    """Where answers of the baselines are stored; housekeeping deletes them by the age of reports."""
    return settings.reports_dir / KIND / "baselines"


def naming(settings: Settings, review_ids: Collection[str]) -> tuple[Path, ...]:
    """The stored reports (JSON) that show the text of one of these reviews, or that cannot be read any more."""
    return REPORTS.naming(settings, review_ids)


def unreadable(settings: Settings) -> tuple[Path, ...]:
    """The stored reports that cannot be read any more, and what a kill has left of one."""
    return REPORTS.unreadable(settings)


def shown(settings: Settings) -> set[str]:
    """The ids of all reviews whose text stands in a stored report that can be read."""
    return REPORTS.shown(settings)


def forget(settings: Settings, review_ids: Collection[str]) -> int:
    """Take these reviews out of every stored report and draw its page anew; returns how many reports that were."""
    return REPORTS.rewrite(settings, review_ids, without=_without, draw=draw)


def _without(report: EvaluationReport, review_ids: Collection[str]) -> EvaluationReport:
    left = tuple(one for one in report.mistakes if one.review_id not in review_ids)
    return report.model_copy(update={"mistakes": left})


def _beside(settings: Settings, version: str) -> Path:
    return sealed_folder.sibling(settings.models_dir, version, JSON)
