"""The report pages: what lies in the reports folder, newest first, readable inside Airflow's UI.

A report is a whole HTML page with scripts of its own, made from customers' texts. It is therefore served into a sandbox
without an origin: its scripts run, but reach neither Airflow's cookies nor its API. Lists and serves; writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import FileResponse, HTMLResponse

from restar_lib.desk.context import ContextOf, Right, needs
from restar_lib.desk.pages import render

router = APIRouter(prefix="/reports", dependencies=[Depends(needs(Right.REPORTS))])

MEDIA_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json", ".png": "image/png"}
LISTED = 200
SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; frame-ancestors 'self'"
)


@dataclass(frozen=True, kw_only=True)
class ReportEntry:
    """One file in the reports folder."""

    path: str
    """Below the folder, with slashes."""
    kind: str
    """The folder that it lies in: `drift`, ..."""
    name: str
    written_at: datetime
    kilobytes: int

    @property
    def link(self) -> str:
        """The path as part of an address."""
        return quote(self.path)


@router.get("/")
def report_list(context: ContextOf) -> HTMLResponse:
    """All reports, newest first."""
    reports = newest_reports(context.settings.reports_dir)
    return render("reports.html", settings=context.settings, root="..", reports=reports, listed=LISTED)


@router.get("/view/{path:path}")
def report_page(path: str, context: ContextOf) -> HTMLResponse:
    """One report under a line that leads back to the list."""
    report_at(context.settings.reports_dir, path)
    root = "/".join([".."] * (2 + path.count("/")))
    return render("report.html", settings=context.settings, root=root, path=path, link=quote(path))


@router.get("/file/{path:path}")
def report_file(path: str, context: ContextOf) -> FileResponse:
    """The report itself, in its sandbox."""
    found = report_at(context.settings.reports_dir, path)
    headers = {"Content-Security-Policy": SANDBOX}
    return FileResponse(found, media_type=MEDIA_TYPES[found.suffix], headers=headers)


def report_at(folder: Path, path: str) -> Path:
    """The file at `path` below `folder`; 404 for anything else, links and `..` that lead out of it included."""
    try:
        found = (folder / path).resolve(strict=True)
    except (OSError, ValueError):
        found = None
    if found is None or not found.is_relative_to(folder.resolve()) or not found.is_file():
        raise HTTPException(404, f"there is no report {path}")
    if not _is_report(found):
        raise HTTPException(404, f"{path} is no report")
    return found


def newest_reports(folder: Path) -> list[ReportEntry]:
    """The newest reports below `folder`, at most `LISTED`; the data beside a page is served, and not listed."""
    found = {path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and _is_report(path)}
    files = [path for path in found if path.suffix == ".html" or path.with_suffix(".html") not in found]
    reports = [_report(path, folder=folder) for path in files]
    return sorted(reports, key=lambda report: report.written_at, reverse=True)[:LISTED]


def _is_report(path: Path) -> bool:
    # A hidden file is a report that is still being written.
    return path.suffix in MEDIA_TYPES and not path.name.startswith(".")


def _report(path: Path, *, folder: Path) -> ReportEntry:
    state, below = path.stat(), path.relative_to(folder)
    return ReportEntry(
        path=below.as_posix(),
        kind=below.parts[0] if len(below.parts) > 1 else "other",
        name=path.stem,
        written_at=datetime.fromtimestamp(state.st_mtime, UTC),
        kilobytes=max(1, round(state.st_size / 1024)),
    )
