"""Files as other people's programs write them: read as they are, or refused with what to set; none is guessed at."""

from __future__ import annotations

import bz2
import csv
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from restar_lib.domain import Outcome
from restar_lib.ingest.dry_run import DryRun, dry_run
from restar_lib.ingest.sources.configured import open_source
from restar_lib.settings import load

TEXTS = [
    "The lamp is bright enough to read by and it has never flickered once.",
    "Two of the screws were missing and the shop sent me the wrong ones.",
    "Neither good nor bad, it stands there and does what lamps always do.",
    "My mother likes the shade, though she says the switch is hard to find.",
    "It smelled of glue for a week, so we put it into the garage at once.",
    "We bought a second one for the bedroom and would buy a third as well.",
]
STARS = [5, 1, 3, 4, 1, 5]
DAYS = [datetime(2023, 11, 9 + number, tzinfo=UTC) for number in range(len(TEXTS))]
ROWS = list(zip(TEXTS, STARS, DAYS, strict=True))


def read(path: Path, **source: Any) -> DryRun:
    """What an ingest would make of the files at `path`, with these keys of section `source`."""
    environment = {"RESTAR_SOURCE__KIND": "files", "RESTAR_SOURCE__NAME": "shop", "RESTAR_SOURCE__PATH": str(path)}
    settings = load(environment=environment | {"RESTAR_HOME": str(path.parent / "none")}).settings
    settings = settings.model_copy(update={"source": settings.source.model_copy(update=source)})
    return dry_run(open_source(settings), settings, engine=None)


def stars(result: DryRun) -> list[int]:
    """The stars of the first reviews that would be taken."""
    return [int(example.split("(")[1].split(" ")[0]) for example in result.taken]


def days(result: DryRun) -> list[str]:
    """Their dates."""
    return [example.split(" stars, ")[1][:10] for example in result.taken]


def new(result: DryRun) -> int:
    """How many would be new, where nothing is wrong."""
    assert result.failure is None, result.failure
    return result.outcomes.get(Outcome.NEW, 0)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], **options: Any) -> str:
    """A CSV."""
    written = io.StringIO()
    writer = csv.writer(written, **({"lineterminator": "\n"} | options))
    writer.writerow(header)
    writer.writerows(rows)
    return written.getvalue()


def put(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    """A file with this content."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return file


def lines(*rows: Any) -> str:
    """JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


HEADERS = [
    ["TEXT", "Rating", "DATE"],
    ["review", "rating", "date"],
    ["Review Text", "star-rating", "review_date"],
    ["reviewText", "overall", "unixReviewTime"],
    ["content", "score", "at"],
    ["review_comment_message", "review_score", "review_creation_date"],
    ["Review Content", "Review Stars", "Review Created (UTC)"],
    ["reviews.text", "reviews.rating", "reviews.date"],
    ["reviewDescription", "ratingScore", "date"],
    ["review_text", "rating", "date_added"],
    ["Comments", "Rating", "Date"],
    ["Rezension", "Bewertung", "Datum"],
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[0])
def test_columns_are_known_by_many_names(tmp_path: Path, header: list[str]) -> None:
    """Whatever their case, blanks, `_` and `-`."""
    rows = [(text, rating, day.date()) for text, rating, day in ROWS]
    result = read(put(tmp_path, "a.csv", table([*header, "Other"], [(*row, "x") for row in rows])))
    assert (new(result), stars(result), days(result)) == (6, [5, 1, 3], ["2023-11-09", "2023-11-10", "2023-11-11"])


def test_a_play_console_report_is_read(tmp_path: Path) -> None:
    """UTF-16 with its mark, and a row without a rating is refused alone."""
    header = ["Package Name", "Reviewer Language", "Review Submit Millis Since Epoch", "Star Rating", "Review Text"]
    rows = [("com.x", "en", int(day.timestamp() * 1000), rating, text) for text, rating, day in ROWS]
    assert new(read(put(tmp_path, "a.csv", table(header, rows), encoding="utf-16"))) == 6


@pytest.mark.parametrize(
    "written",
    [
        "{} stars",
        "{}.0 out of 5 stars",
        "{}/5",
        "{},0",
        " {}.0 ",
        "{} von 5 Sternen",
        "{} star rating",
        "Rated {} out of 5",
    ],
)
def test_ratings_say_their_stars_in_many_ways(tmp_path: Path, written: str) -> None:
    """Each says itself that it counts to five."""
    rows = [(text, written.format(rating), "2023-11-09") for text, rating, _ in ROWS]
    assert stars(read(put(tmp_path, "a.csv", table(["text", "rating", "date"], rows)))) == [5, 1, 3]


def test_words_and_signs_are_ratings(tmp_path: Path) -> None:
    """In any case."""
    for written in (["FIVE", "ONE", "three"], ["★★★★★", "★☆☆☆☆", "⭐⭐⭐"], ["positive", "Negative", "NEUTRAL"]):
        rows = [(text, rating, "2023-11-09") for text, rating in zip(TEXTS, written, strict=False)]
        assert stars(read(put(tmp_path, "a.csv", table(["text", "rating", "date"], rows)))) == [5, 1, 3]


def test_another_scale_is_asked_about_and_read_when_it_is_told(tmp_path: Path) -> None:
    """5 of 10 must not pass as five stars: nothing is read until the scale is said."""
    rows = [(text, rating, "2023-11-09") for text, rating in zip(TEXTS, (9, 3, 5), strict=False)]
    file = put(tmp_path, "a.csv", table(["text", "rating", "date"], rows))
    refused = read(file)
    assert refused.rows_read == 0
    assert "its ratings are 3, 5, 9" in str(refused.failure)
    assert "RESTAR_SOURCE__RATING_SCALE=1-10" in str(refused.failure)
    assert stars(read(file, rating_scale="1-10")) == [5, 2, 3]
    percent = put(
        tmp_path,
        "b.csv",
        table(["text", "rating", "date"], [(t, r, "2023-11-09") for t, r in zip(TEXTS, (90, 20, 50), strict=False)]),
    )
    assert "RESTAR_SOURCE__RATING_SCALE=0-100" in str(read(percent).failure)
    assert stars(read(percent, rating_scale="0-100")) == [5, 2, 3]


def test_a_whole_scale_of_ten_is_certain(tmp_path: Path) -> None:
    """All ten numbers, in enough rows, are no stars."""
    rows = [(f"{TEXTS[0]} {number}", number % 10 + 1, "2023-11-09") for number in range(60)]
    assert stars(read(put(tmp_path, "a.csv", table(["text", "rating", "date"], rows)))) == [1, 1, 2]


def test_zeros_and_ones_are_no_stars(tmp_path: Path) -> None:
    """Which of them is good only a person knows; told so, they are one and five stars."""
    rows = [(text, int(rating > 3), "2023-11-09") for text, rating, _ in ROWS]
    file = put(tmp_path, "a.csv", table(["text", "label", "date"], rows))
    assert (read(file).rows_read, "RESTAR_SOURCE__RATING_SCALE=thumbs" in str(read(file).failure)) == (0, True)
    assert stars(read(file, rating_scale="thumbs")) == [5, 1, 1]
    assert stars(read(file, rating_scale="1-0")) == [1, 5, 5]


def test_whoever_recommends_likes_it(tmp_path: Path) -> None:
    """Truth values in a column of that name need no word, in another one they do."""
    rows = [{"review": text, "voted_up": rating > 3, "timestamp_created": 1699488000} for text, rating, _ in ROWS]
    assert stars(read(put(tmp_path, "a.jsonl", lines(*rows)))) == [5, 1, 1]
    unsure = [{"text": text, "rating": rating > 3, "date": "2023-11-09"} for text, rating, _ in ROWS]
    assert "are one of two words" in str(read(put(tmp_path, "b.jsonl", lines(*unsure))).failure)


TIMES = [
    "2023/11/09",
    "2023-11-9",
    "09-Nov-23",
    "9 November 2023",
    "November 9, 2023",
    "2023-11-09 00:00:00 UTC",
    "Thu, 09 Nov 2023 00:00:00 GMT",
    "Thu Nov 09 00:00:00 +0000 2023",
    "Reviewed in the United States on November 9, 2023",
    "Rezension aus Deutschland vom 9. November 2023",
    "09.11.2023",
    "11/09/23 2:00 PM",
    "1699488000",
    "1699488000.0",
    "1699488000000.0",
    "1.699488E12",
]


@pytest.mark.parametrize("written", TIMES)
def test_times_are_read_in_every_form_that_says_one_day(tmp_path: Path, written: str) -> None:
    """The last row tells that the month is first, where a date has to be told."""
    rows = [(TEXTS[0], 5, written), (TEXTS[1], 1, written), (TEXTS[2], 3, "11/30/23" if "/" in written else written)]
    result = read(put(tmp_path, "a.csv", table(["text", "rating", "date"], rows)))
    assert (new(result), days(result)[0]) == (3, "2023-11-09")


def test_the_order_of_day_and_month_is_that_of_the_whole_file(tmp_path: Path) -> None:
    """One date that can be read in one way decides all others, wherever it stands; without one nothing is read."""

    def written(*dates: str) -> Path:
        rows = [(f"{TEXTS[0]} {number}", 5, date) for number, date in enumerate(dates)]
        return put(tmp_path, "a.csv", table(["text", "rating", "date"], rows))

    assert days(read(written("3/4/2023", "5/6/2023", "30/1/2023"))) == ["2023-04-03", "2023-06-05", "2023-01-30"]
    assert days(read(written("3/4/2023", "5/6/2023", "1/30/2023"))) == ["2023-03-04", "2023-05-06", "2023-01-30"]
    for doubtful in (("3/4/2023", "5/6/2023"), ("3/4/2023", "30/1/2023", "1/30/2023")):
        refused = read(written(*doubtful))
        assert (refused.rows_read, "RESTAR_SOURCE__DATE_ORDER=day" in str(refused.failure)) == (0, True)
    assert days(read(written("3/4/2023"), date_order="month")) == ["2023-03-04"]


def test_a_late_date_decides_a_large_file(tmp_path: Path) -> None:
    """Among the rows that were passed over at first."""
    dates = [*["3/4/2023"] * 9_000, "31/1/2023", *["5/6/2023"] * 3_000]
    rows = [(f"{TEXTS[0]} {number}", 5, date) for number, date in enumerate(dates)]
    assert days(read(put(tmp_path, "a.csv", table(["text", "rating", "date"], rows))))[0] == "2023-04-03"


def test_a_time_may_be_missing(tmp_path: Path) -> None:
    """Refused with the two ways out; with one of them set, reviews have that time, and the same ids on every reading."""
    file = put(tmp_path, "a.csv", table(["text", "rating"], [(text, rating) for text, rating, _ in ROWS]))
    refused = read(file)
    assert (refused.rows_read, "RESTAR_SOURCE__REVIEWED_AT=file" in str(refused.failure)) == (0, True)
    first, again = read(file, reviewed_at="reading"), read(file, reviewed_at="reading")
    assert new(first) == 6
    assert [one.split(" ")[0] for one in first.taken] == [one.split(" ")[0] for one in again.taken]
    written = f"{datetime.fromtimestamp(file.stat().st_mtime, UTC):%Y-%m-%d}"
    assert days(read(file, reviewed_at="file")) == [written] * 3


def test_times_that_count_from_the_reading_are_named_as_a_kind(tmp_path: Path) -> None:
    """One message for the file, with what to do."""
    file = put(
        tmp_path,
        "a.csv",
        table(["text", "rating", "date"], [(TEXTS[0], 5, "3 weeks ago"), (TEXTS[1], 1, "a year ago")]),
    )
    assert "count from the day of reading ('3 weeks ago')" in str(read(file).failure)
    assert new(read(file, reviewed_at="file")) == 2


FLAT = [{"text": text, "rating": rating, "date": str(day.date())} for text, rating, day in ROWS]
CONTAINERS: dict[str, Callable[[], str]] = {
    "object": lambda: json.dumps({"status": "ok", "reviews": FLAT}, indent=1),
    "deep": lambda: json.dumps({"data": {"page": 1, "items": FLAT}}),
    "pages": lambda: lines({"page": 1, "reviews": FLAT[:4]}, {"page": 2, "reviews": FLAT[4:]}),
    "list of pages": lambda: json.dumps([{"results": FLAT[:3]}, {"results": FLAT[3:]}]),
    "by key": lambda: json.dumps({f"r{number}": row for number, row in enumerate(FLAT)}),
    "columns": lambda: json.dumps({name: {str(n): row[name] for n, row in enumerate(FLAT)} for name in FLAT[0]}),
    "columns of lists": lambda: json.dumps({name: [row[name] for row in FLAT] for name in FLAT[0]}),
    "names and data": lambda: json.dumps(
        {"columns": list(FLAT[0]), "index": [0], "data": [[*r.values()] for r in FLAT]}
    ),
    "lists": lambda: json.dumps([list(FLAT[0]), *([*row.values()] for row in FLAT)]),
    "feed": lambda: json.dumps(
        {
            "feed": {
                "title": {"label": "Customer Reviews"},
                "entry": [
                    {
                        "id": {"label": str(number)},
                        "im:rating": {"label": str(row["rating"])},
                        "content": {"label": row["text"], "attributes": {"type": "text"}},
                        "updated": {"label": f"{row['date']}T10:00:00-07:00"},
                    }
                    for number, row in enumerate(FLAT)
                ],
            }
        }
    ),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_rows_are_found_inside_other_json(tmp_path: Path, kind: str) -> None:
    """The place nearest to the top where objects have a text and a rating."""
    result = read(put(tmp_path, "a.json", CONTAINERS[kind]()))
    assert (new(result), stars(result), days(result)[0]) == (6, [5, 1, 3], "2023-11-09")


def test_a_container_is_read_on_behind_what_was_read(tmp_path: Path) -> None:
    """By the number of its rows; written anew it is read from its start."""
    file = put(tmp_path, "a.json", CONTAINERS["object"]())
    settings = load(
        environment={
            "RESTAR_SOURCE__KIND": "files",
            "RESTAR_SOURCE__PATH": str(file),
            "RESTAR_HOME": str(tmp_path / "no"),
        }
    ).settings
    source = open_source(settings)
    rows = list(source.rows(None))
    assert [row.fields["text"] for row in source.rows(rows[3].cursor_after) if row.fields] == TEXTS[4:]
    assert list(source.rows(rows[-1].cursor_after)) == []
    put(
        tmp_path,
        "a.json",
        json.dumps({"reviews": [*FLAT, FLAT[0] | {"text": "It is all new now and much longer than it was."}]}),
    )
    assert len(list(source.rows(rows[-1].cursor_after))) == 7


def test_rows_of_python_are_read_and_run_nothing(tmp_path: Path) -> None:
    """As older research sets write them; a call in them is no value."""
    good = "".join(repr(row) + "\n" for row in FLAT)
    assert new(read(put(tmp_path, "a.json", good))) == 6
    bad = good + "{'text': __import__('os').system('true'), 'rating': 5}\n"
    result = read(put(tmp_path, "b.json", bad))
    assert (new(result), result.outcomes[Outcome.QUARANTINED]) == (6, 1)


PLAIN = table(["text", "rating", "date"], [(text, rating, day.date()) for text, rating, day in ROWS])
DIALECTS = {
    "blank lines": "\n\n" + PLAIN,
    "sep=": "sep=;\r\n" + table(["text", "rating", "date"], [(t, r, d.date()) for t, r, d in ROWS], delimiter=";"),
    "title": "Export of all reviews\n" + PLAIN,
    "carriage returns": PLAIN.replace("\n", "\r"),
    "caret": table(["text", "rating", "date"], [(t, r, d.date()) for t, r, d in ROWS], delimiter="^"),
    "trailing delimiter": PLAIN.replace("\n", ",\n").replace("date,", "date", 1),
}


@pytest.mark.parametrize("kind", DIALECTS)
def test_dialects_of_csv_are_found(tmp_path: Path, kind: str) -> None:
    """Nothing needs to be set."""
    result = read(put(tmp_path, "a.csv", DIALECTS[kind]))
    assert (new(result), stars(result)) == (6, [5, 1, 3])


def test_quotes_may_be_escaped_by_a_backslash(tmp_path: Path) -> None:
    """Where more rows fit so; the backslash is not part of the text."""
    rows = [(f'"{text}" he said, and left', rating, "2023-11-09") for text, rating, _ in ROWS]
    content = table(["text", "rating", "date"], rows, doublequote=False, escapechar="\\")
    result = read(put(tmp_path, "a.csv", content))
    assert new(result) == 6
    assert result.taken[0].endswith(f'"{TEXTS[0]}" he said, and left'[:100])


def test_a_long_column_that_nobody_reads_hides_no_row(tmp_path: Path) -> None:
    """A picture in each row, longer than the csv module's own limit."""
    rows = [("x" * 300_000, text, rating, "2023-11-09") for text, rating, _ in ROWS]
    assert new(read(put(tmp_path, "a.csv", table(["picture", "text", "rating", "date"], rows)))) == 6


def test_the_text_is_where_the_long_texts_are(tmp_path: Path) -> None:
    """A column `Review` of one word beside a `Summary` of sentences, as one large shop exports them."""
    rows = [("super!", text, rating, "2023-11-09") for text, rating, _ in ROWS]
    result = read(put(tmp_path, "a.csv", table(["Review", "Summary", "Rate", "date"], rows)))
    assert new(result) == 6
    assert result.taken[0].endswith(TEXTS[0])


def test_bzip2_and_a_zip_of_one_table_are_unpacked(tmp_path: Path) -> None:
    """What else a packer puts into a zip does not count; with two tables it is refused."""
    assert new(read(put(tmp_path, "a.csv.bz2", bz2.compress(PLAIN.encode())))) == 6
    for name, tables in (("one.zip", ["x/a.csv"]), ("two.zip", ["a.csv", "b.csv"])):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("README.md", "about")
            packed.writestr("__MACOSX/x/._a.csv", "about")
            for one in tables:
                packed.writestr(one, PLAIN)
    assert new(read(tmp_path / "one.zip")) == 6
    assert "this one holds 2: a.csv, b.csv" in str(read(tmp_path / "two.zip").failure)


def test_a_sheet_of_excel_is_read(tmp_path: Path) -> None:
    """The first one with a row of names, below a title; dates may be dates; it is read on behind what was read."""
    book = openpyxl.Workbook()
    book.active.append(["About this file"])
    sheet = book.create_sheet("Reviews")
    sheet.append(["Export of all reviews"])
    sheet.append(["Comment", "Stars", "Date"])
    for text, rating, day in ROWS:
        sheet.append([text, rating, day.replace(tzinfo=None)])
    book.save(tmp_path / "a.xlsx")
    result = read(tmp_path / "a.xlsx")
    assert (new(result), stars(result), days(result)[0]) == (6, [5, 1, 3], "2023-11-09")


def test_a_folder_names_what_it_does_not_take(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Endings in any case are taken; a folder of nothing else is an error."""
    put(tmp_path, "in/REVIEWS.CSV", PLAIN)
    put(tmp_path, "in/notes.docx", "x")
    put(tmp_path, "in/empty.zip", b"")
    assert new(read(tmp_path / "in")) == 6
    assert "not read are notes.docx" in caplog.text
    assert "empty.zip is empty" in caplog.text
    put(tmp_path, "strangers/notes.docx", "x")
    assert "nothing here that we read, only notes.docx" in str(read(tmp_path / "strangers").failure)


def test_a_file_of_rows_that_cannot_be_read_is_refused_as_a_whole(tmp_path: Path) -> None:
    """With the reasons counted and examples; a few such rows are refused one by one."""
    bad = table(["text", "rating", "date"], [(text, "n/a", "2023-11-09") for text in TEXTS])
    failure = str(read(put(tmp_path, "a.csv", bad)).failure)
    assert "6 of 6 rows cannot be read (bad_rating 6), more than source.max_refused (20%)" in failure
    assert "rating 'n/a'" in failure
    few = read(put(tmp_path, "b.csv", PLAIN + "one more of these,n/a,2023-11-09\n"))
    assert (new(few), few.outcomes[Outcome.QUARANTINED]) == (6, 1)


def test_json_without_our_names_shows_those_that_it_has(tmp_path: Path) -> None:
    """Like a CSV without them."""
    failure = str(read(put(tmp_path, "a.jsonl", lines(*({"remark": text, "points": 5} for text in TEXTS)))).failure)
    assert "no column for the text and none for the rating in its rows. Found are: remark, points" in failure


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!DOCTYPE html><html></html>", "this is a page in HTML"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "an old Excel file (.xls); save it as .xlsx or CSV"),
        (b"%PDF-1.7\n" + bytes(range(256)), "this is a PDF"),
    ],
)
def test_other_files_are_named_by_what_they_are(tmp_path: Path, content: bytes, says: str) -> None:
    """Whatever their name says."""
    assert says in str(read(put(tmp_path, "a.csv", content)).failure)
