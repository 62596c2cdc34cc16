"""Where report pages are stored: files below the reports folder, listed by the desk at one URL each.

A report is a page, mostly with its data as JSON and sometimes as CSV beside it. Each file is written so that a reader
sees all of it or none. Where a page is drawn from its JSON, the older page is removed first and the JSON written before
the new one: a process that is killed anywhere leaves no page that shows what its JSON does not name. That is what lets
`ReviewReports` find, by the ids in the JSON, every page that shows the text of a review, and take it out again.

It draws nothing, and it does not know what is in a report. Called by the rooms that draw pages, and through them by
`privacy.forget`; housekeeping deletes by age.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from restar_lib.atomic_files import READABLE, delete, name_of_temporary, write_text
from restar_lib.errors import ArtifactError
from restar_lib.settings import Settings
from restar_lib.urls import report_url

log = logging.getLogger(__name__)

Report = TypeVar("Report", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """The files of one report. Which of them exist is for the report to say."""

    html: Path
    url: str
    """The page in Airflow's UI."""

    @property
    def json(self) -> Path:
        """Its data, beside the page."""
        return self.html.with_suffix(".json")

    @property
    def csv(self) -> Path:
        """Its rows for a spreadsheet, beside the page."""
        return self.html.with_suffix(".csv")


def report_files(settings: Settings, kind: str, name: str) -> ReportFiles:
    """The files of the report `name`; `kind` is the folder below the reports folder: `drift`, `evaluation`, ..."""
    file = f"{kind}/{name}.html"
    return ReportFiles(html=settings.reports_dir / file, url=report_url(settings.orchestration.airflow_url, file))


def write_file(path: Path, content: str) -> None:
    """Write one file of a report that is not drawn from a JSON file: a reader sees the old one or the new one."""
    write_text(path, content, mode=READABLE)


def write_report(html: Path, *, page: str, data: BaseModel, table: str | None = None) -> None:
    """Write page, JSON and, where there is a `table`, CSV; an older report of the same name is replaced."""
    csv = html.with_suffix(".csv")
    for older in (csv, html):  # first: no file may show what the JSON does not name
        older.unlink(missing_ok=True)
    write_file(html.with_suffix(".json"), json_text(data))
    if table is not None:
        write_file(csv, table)
    write_file(html, page)


def rewrite_report(html: Path, *, page: str | None, data: BaseModel) -> None:
    """Replace a report by one that shows less; `page` is None where it has none."""
    if page is not None:
        write_file(html, page)
    # Last: a kill before it leaves the JSON that finds the report again.
    write_file(html.with_suffix(".json"), json_text(data))


def files_of(one: Path) -> tuple[Path, ...]:
    """The files of a report that exist, by the path of any of them; the JSON last."""
    return tuple(path for path in map(one.with_suffix, (".csv", ".html", ".json")) if path.exists())


def delete_report(one: Path) -> int:
    """Delete a report; returns how many files that were."""
    files = files_of(one)
    for path in files:  # the JSON last: a kill before it leaves what finds the other files again
        delete(path)
    return len(files)


def json_text(data: BaseModel) -> str:
    """The JSON file of a report."""
    return data.model_dump_json(indent=1) + "\n"


@dataclass(frozen=True, kw_only=True)
class ReviewReports(Generic[Report]):
    """The stored reports of one kind that name reviews, most of them with their texts."""

    kind: str | None = None
    """The folder below the reports folder; None where they lie beside models alone."""
    title: str
    """Of one report, for messages: `an evaluation report`."""
    command: str
    """What makes one again: `restar evaluate`."""
    report_type: type[Report]
    review_ids: Callable[[Report], Collection[str]]
    """The reviews whose texts a report shows."""
    beside_models: str | None = None
    """Ending of those that lie beside a sealed model, for example `evaluation.json`."""

    def read(self, json: Path) -> Report:
        """A stored report. Raises `ArtifactError` where the file is none."""
        try:
            return self.report_type.model_validate_json(json.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{json}: not {self.title}, run `{self.command}` again: {error}") from None

    def naming(self, settings: Settings, review_ids: Collection[str]) -> tuple[Path, ...]:
        """The JSON files of reports that show one of these reviews, and what `unreadable` names."""
        return self._found(settings, set(review_ids))

    def unreadable(self, settings: Settings) -> tuple[Path, ...]:
        """What may show any review: a JSON that cannot be read, a page or table without one, what a kill has left."""
        return self._found(settings, frozenset())

    def shown(self, settings: Settings) -> set[str]:
        """The ids of all reviews whose text stands in a stored report that can be read."""
        found: set[str] = set()
        for path in self._files(settings, ".json"):
            with suppress(ArtifactError):
                found |= set(self.review_ids(self.read(path)))
        return found

    def delete(self, settings: Settings, review_ids: Collection[str]) -> int:
        """Delete every report that `naming` finds; returns how many files that were."""
        return sum(_deleted(path) for path in self.naming(settings, review_ids))

    def rewrite(
        self,
        settings: Settings,
        review_ids: Collection[str],
        *,
        without: Callable[[Report, Collection[str]], Report],
        draw: Callable[[Report], str] | None,
    ) -> int:
        """Take these reviews out of every report that `naming` finds; returns how many reports and pages changed.

        `without` gives a report that does not show them, `draw` its page where there is one. A report that cannot be
        read (altered, or of an older form) may show anything: it is deleted. What cannot be deleted either is still
        named by `naming` afterwards.
        """
        found = self.naming(settings, review_ids)
        for path in found:
            try:
                left = without(self._read_finished(path), review_ids)
                rewrite_report(path.with_suffix(".html"), page=draw(left) if draw else None, data=left)
            except (ArtifactError, OSError):
                _deleted(path)
        return len(found)

    def _read_finished(self, path: Path) -> Report:
        if name_of_temporary(path) is not None:
            raise ArtifactError(f"{path}: was being written when its process was killed")
        return self.read(path)

    def _found(self, settings: Settings, wanted: Collection[str]) -> tuple[Path, ...]:
        listed = [path for path in self._files(settings, ".json") if self._may_show(path, wanted)]
        shown = (*self._files(settings, ".html"), *self._files(settings, ".csv"))
        alone = [path for path in shown if not path.with_suffix(".json").exists()]
        return tuple(sorted({*listed, *alone, *self._temporary(settings)}))

    def _files(self, settings: Settings, ending: str) -> Iterator[Path]:
        if self.kind is not None:
            yield from (settings.reports_dir / self.kind).glob(f"[!.]*{ending}")
        if self.beside_models is not None:
            name = Path(self.beside_models).with_suffix(ending)
            yield from settings.models_dir.glob(f"[!.]*.{name}")

    def _temporary(self, settings: Settings) -> Iterator[Path]:
        """What a process that was killed while it wrote has left."""
        if self.kind is not None:
            yield from (path for path in (settings.reports_dir / self.kind).glob(".*") if name_of_temporary(path))
        if self.beside_models is not None:
            stem = Path(self.beside_models).stem
            found = ((path, name_of_temporary(path)) for path in settings.models_dir.glob(f".*.{stem}.*"))
            yield from (path for path, name in found if name and Path(name).stem.endswith(f".{stem}"))

    def _may_show(self, path: Path, wanted: Collection[str]) -> bool:
        try:
            return any(one in wanted for one in self.review_ids(self.read(path)))
        except ArtifactError:
            return True


def _deleted(one: Path) -> int:
    """How many files of a report were deleted; one that cannot be deleted is named in the log, and the rest goes on."""
    try:
        return delete_report(one) if name_of_temporary(one) is None else _delete_one(one)
    except OSError as error:
        log.warning("%s: cannot be deleted (%s)", one, error.strerror or error)
        return 0


def _delete_one(path: Path) -> int:
    delete(path)
    return 1
