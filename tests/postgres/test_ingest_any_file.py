"""What was decided about a file holds for what is appended to it, and a file that is refused is not read by halves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
from sqlalchemy import Engine, func, select

from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.windows import ingest_configured
from restar_lib.settings import Settings
from restar_lib.store.tables import Quarantine, ReviewRow, SourceFile

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def text(number: int) -> str:
    return f"This is what customer {number} wrote about the chair and about its legs"


def reading(settings: Settings, path: Path, **source: Any) -> Settings:
    """These settings with the files at `path` as the source."""
    changes = {"kind": "files", "name": "shop", "path": str(path), **source}
    return settings.model_copy(update={"source": settings.source.model_copy(update=changes)})


def run(engine: Engine, settings: Settings, **changes: Any) -> IngestCounts:
    return ingest_configured(engine, settings, run_key="test", now=NOW, **changes)


def stored(engine: Engine) -> dict[str, tuple[int | None, str]]:
    """Stars and day by text."""
    wanted = select(ReviewRow.text, ReviewRow.rating, ReviewRow.reviewed_at)
    with engine.connect() as connection:
        rows = connection.execute(wanted).all()
    return {row.text: (row.rating, f"{row.reviewed_at.astimezone(UTC):%Y-%m-%d}") for row in rows}


def number_of(engine: Engine, table: type) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_refused_file_is_named_and_read_when_the_mapping_is_mended(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """Nothing of it is stored, quarantined or marked as read; the file beside it is stored at once."""
    rows = [{"remark": text(number), "points": 5, "when": "2024-05-01"} for number in range(7)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "b.csv").write_text(f"text,rating,date\n{text(10)},4,2024-05-01\n")
    counts = run(engine, reading(smoke, tmp_path))
    assert (counts.new, counts.quarantined) == (1, 0)
    assert "a.jsonl: no column for the text and none for the rating in its rows" in counts.problem
    assert (number_of(engine, Quarantine), number_of(engine, SourceFile)) == (0, 1)
    fields = smoke.source.fields | {"text": ("remark", "text"), "rating": ("points", "rating")}
    mended = run(engine, reading(smoke, tmp_path, fields=fields))
    assert (mended.new, mended.already_known, mended.problem) == (7, 0, "")


def test_what_was_decided_holds_for_what_is_appended(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Windows-1252, a scale of ten and the day first: none of it can be told from the two rows that come later."""
    file = tmp_path / "a.csv"
    rows = [f"{text(number)} \u2013 très bon,{number % 10 + 1},{number % 28 + 1}/3/2024" for number in range(60)]
    file.write_bytes("\n".join(["review,rating,date", *rows, ""]).encode("cp1252"))
    assert run(engine, reading(smoke, tmp_path)).new == 60
    with file.open("ab") as grown:
        grown.write(f"{text(100)} \u2013 très mauvais,5,4/3/2024\n".encode("cp1252"))
        grown.write(f"{text(101)},2,5/3/2024\n".encode("cp1252"))
    counts = run(engine, reading(smoke, tmp_path))
    assert (counts.rows_read, counts.new, counts.problem) == (2, 2, "")
    found = stored(engine)
    assert found[f"{text(100)} \u2013 très mauvais"] == (3, "2024-03-04")
    assert found[text(101)] == (1, "2024-03-05")


def test_a_file_is_read_in_portions_whatever_holds_its_rows(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """A sheet and an object around the rows: each run goes on where the last one ended, nothing comes twice."""
    book = openpyxl.Workbook()
    book.active.append(["Comment", "Stars", "Date"])
    for number in range(5):
        book.active.append([text(number), 4, datetime(2024, 5, 1 + number)])  # noqa: DTZ001 - as Excel has them
    book.save(tmp_path / "a.xlsx")
    rows = [{"text": text(number), "rating": 2, "date": "2024-05-01"} for number in range(10, 15)]
    (tmp_path / "b.json").write_text(json.dumps({"status": "ok", "reviews": rows}, indent=1))
    portions = [run(engine, reading(smoke, tmp_path), max_rows=3).new for _ in range(5)]
    assert portions == [3, 3, 3, 1, 0]
    assert {stars for stars, _ in stored(engine).values()} == {4, 2}


def rows_of(*ratings: object, start: int = 0, date: str = "2024-05-01") -> str:
    """Lines of a CSV with these ratings."""
    return "".join(f"{text(start + number)},{rating},{date}\n" for number, rating in enumerate(ratings))


def test_a_file_that_is_read_in_portions_is_judged_once(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Its bad rows may all lie at its end: they are a small share of the file, and a large one of the last portion."""
    file = tmp_path / "a.csv"
    file.write_text("text,rating,date\n" + rows_of(*[5, 4] * 45) + rows_of(*["none"] * 10, start=100))
    portions = [run(engine, reading(smoke, file), max_rows=50) for _ in range(3)]
    assert [(one.new, one.quarantined, one.problem) for one in portions] == [(50, 0, ""), (40, 10, ""), (0, 0, "")]


def test_appended_ratings_of_another_scale_are_named(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """They show that the rows before were on it, too; nothing of what was appended is read, until somebody decides."""
    file = tmp_path / "a.csv"
    file.write_text("text,rating,date\n" + rows_of(5, 3, 4, 5))
    assert run(engine, reading(smoke, file)).new == 4
    with file.open("a") as grown:
        grown.write(rows_of(10, 9, 5, 8, start=50))
    problem = run(engine, reading(smoke, file)).problem
    assert "not on the scale 1-5 that it was read by so far" in problem
    assert run(engine, reading(smoke, file, rating_scale="1-10")).new == 4


def test_one_appended_row_stops_no_known_file(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Without a date it goes to quarantine like any other."""
    file = tmp_path / "a.csv"
    file.write_text("text,rating,date\n" + rows_of(5, 3, 4, 5))
    run(engine, reading(smoke, file))
    with file.open("a") as grown:
        grown.write(rows_of(5, start=50, date=""))
    counts = run(engine, reading(smoke, file))
    assert (counts.quarantined, counts.problem) == (1, "")


def test_appended_dates_that_need_an_order_are_asked_about(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """The rows before had dates of another form."""
    file = tmp_path / "a.csv"
    file.write_text("text,rating,date\n" + rows_of(5, 3, 4, 5))
    run(engine, reading(smoke, file))
    with file.open("a") as grown:
        grown.write(rows_of(5, 1, start=50, date="1/6/2024"))
    assert "RESTAR_SOURCE__DATE_ORDER=day" in run(engine, reading(smoke, file)).problem
    assert run(engine, reading(smoke, file, date_order="day")).new == 2


def test_an_ascii_file_may_go_on_in_windows_1252(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Its first accent shows what it is written in."""
    file = tmp_path / "a.csv"
    file.write_text("text,rating,date\n" + rows_of(5, 3, 4, 5))
    run(engine, reading(smoke, file))
    line = "C\u2019est tr\u00e8s bien \u00e9clair\u00e9 et la lampe ne chauffe pas et nous en sommes tr\u00e8s contents,5,2024-05-02\n"
    with file.open("ab") as grown:
        grown.write((line * 2).encode("cp1252"))
    counts = run(engine, reading(smoke, file))
    assert (counts.quarantined, counts.problem) == (0, "")
    assert line.partition(",5,")[0].replace("\u2019", "'") in {one.replace("\u2019", "'") for one in stored(engine)}


def test_a_setting_that_changes_between_two_portions_counts(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """The file is not looked through again, and what is configured goes before what was found in it."""
    file = tmp_path / "a.csv"
    file.write_text("text,rating,date\n" + rows_of(5, 3, 4, 2, 5, 2))
    assert run(engine, reading(smoke, file), max_rows=3).new == 3
    assert run(engine, reading(smoke, file, rating_scale="1-10")).new == 3
    found = stored(engine)
    assert [found[text(number)][0] for number in (0, 3, 4)] == [5, 1, 3]
