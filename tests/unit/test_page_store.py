"""Stored report pages: no page shows what its JSON does not name, wherever a process is killed."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from restar_lib.errors import ArtifactError
from restar_lib.reports.page_store import (
    ReportFiles,
    ReviewReports,
    files_of,
    report_files,
    rewrite_report,
    write_report,
)
from restar_lib.settings import Settings


class Listed(BaseModel):
    """A report of some reviews."""

    ids: tuple[str, ...]


PAGES = ReviewReports(
    kind="listed", title="a list", command="restar list", report_type=Listed, review_ids=lambda found: found.ids
)


@pytest.fixture
def stored(smoke: Settings) -> ReportFiles:
    """A report of two reviews with page, JSON and CSV."""
    files = report_files(smoke, "listed", "one")
    write_report(files.html, page="a and b", data=Listed(ids=("a", "b")), table="a,b")
    return files


def blocked(path: Path) -> None:
    """From now on `path` cannot be replaced."""
    path.unlink()
    path.mkdir()


def test_a_report_that_cannot_be_replaced_loses_its_older_page_first(stored: ReportFiles) -> None:
    """The JSON fails to be written; page and CSV of before are gone by then."""
    blocked(stored.json)
    with pytest.raises(OSError, match=r"one\.json"):
        write_report(stored.html, page="c", data=Listed(ids=("c",)))
    assert not stored.html.exists()
    assert not stored.csv.exists()


def test_a_page_that_shows_less_is_written_before_its_json(stored: ReportFiles) -> None:
    """The page fails to be written; the JSON still names the review, so the next call finds the report."""
    blocked(stored.html)
    with pytest.raises(OSError, match=r"one\.html"):
        rewrite_report(stored.html, page="b", data=Listed(ids=("b",)))
    assert PAGES.read(stored.json).ids == ("a", "b")


def test_a_deleted_report_loses_its_json_last(smoke: Settings, stored: ReportFiles) -> None:
    """A kill before that leaves what finds the others. A folder in the place of a file is deleted as well."""
    blocked(stored.html)
    assert files_of(stored.html) == (stored.csv, stored.html, stored.json)
    assert PAGES.delete(smoke, ["a"]) == 3
    assert files_of(stored.html) == ()
    assert PAGES.naming(smoke, ["a"]) == ()


def test_reports_are_found_by_their_reviews(smoke: Settings, stored: ReportFiles) -> None:
    """By JSON; one that cannot be read, and a page without a JSON, may show any review."""
    assert PAGES.shown(smoke) == {"a", "b"}
    assert PAGES.naming(smoke, ["c"]) == ()
    other, orphan = (report_files(smoke, "listed", name) for name in ("two", "orphan"))
    other.json.write_text("{")
    orphan.html.write_text("c")
    assert PAGES.naming(smoke, ["c"]) == (orphan.html, other.json)
    assert PAGES.naming(smoke, ["a"]) == (stored.json, orphan.html, other.json)
    with pytest.raises(ArtifactError, match="not a list, run `restar list` again"):
        PAGES.read(other.json)


def test_a_rewritten_report_no_longer_shows_the_review(smoke: Settings, stored: ReportFiles) -> None:
    """Page and JSON are made anew; a report that cannot be read is deleted."""
    unread = report_files(smoke, "listed", "two").json
    unread.write_text("{")
    changed = PAGES.rewrite(
        smoke,
        ["a"],
        without=lambda found, gone: Listed(ids=tuple(one for one in found.ids if one not in gone)),
        draw=lambda found: " ".join(found.ids),
    )
    assert changed == 2
    assert (stored.html.read_text(), PAGES.read(stored.json).ids) == ("b", ("b",))
    assert not unread.exists()
