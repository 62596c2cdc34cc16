"""Files that look as if they could be read: nothing of them is lost silently, and no value is taken for another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from restar_lib.domain import Outcome
from restar_lib.errors import ConfigurationError, SourceError
from restar_lib.ingest.inspection.survey import survey
from restar_lib.ingest.raw_rows import FieldMapping, RawRow
from restar_lib.ingest.readers.containers import find_container
from restar_lib.settings import load
from tests.unit.test_any_file import FLAT, TEXTS, days, lines, new, put, read, stars, table

MAPPING = FieldMapping.from_config(load(environment={}).settings.source.fields)
GOOD = [row | {"rating": 5} for row in FLAT[:2]]
BAD = [row | {"rating": 1} for row in FLAT[2:]]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"positive": GOOD, "critical": BAD}),
        json.dumps({"B1": {"reviews": GOOD}, "B2": {"name": "Lamp", "reviews": BAD}}),
        lines({"reviews": GOOD}, {"data": BAD}),
        json.dumps([*GOOD, *BAD]),
        "".join(json.dumps(row) for row in [*GOOD, *BAD]),
        lines({"node": {"id": "1"}, "review": GOOD[0]}, *({"review": row} for row in [GOOD[1], *BAD])),
    ],
    ids=["two lists", "by product", "two names", "an array on one line", "objects on one line", "inside each line"],
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_rows_of_all_places_are_read(tmp_path: Path, name: str, content: str) -> None:
    """The first list alone would often be one class."""
    result = read(put(tmp_path, name, content))
    assert (new(result), stars(result)[0], stars(result)[2]) == (6, 5, 1)


@pytest.mark.parametrize("form", ["{}", "[{}]", "{}\n{}"])
def test_a_product_is_no_review_of_itself(tmp_path: Path, form: str) -> None:
    """It has a description, a rating and a date, and its reviews inside."""
    product = {
        "title": "Kettle",
        "description": "A kettle of stainless steel that holds two litres and boils them in four minutes.",
        "rating": 4.5,
        "date": "2024-05-01",
        "reviews": FLAT,
    }
    result = read(put(tmp_path, "a.json", form.replace("{}", json.dumps(product))))
    assert set(stars(result)) == {5, 1, 3}
    assert not any("stainless" in example for example in result.taken)


@pytest.mark.parametrize("content", ["var reviews = [1];", "callback([{}])", '"a text"', "{'reviews': [1]}", "[1, 2"])
def test_one_line_that_is_no_review_is_an_error(tmp_path: Path, content: str) -> None:
    """It ends without a newline, as programs write it, and is not taken for the half of a row."""
    assert read(put(tmp_path, "a.json", content)).failure is not None


def test_large_rows_are_not_all_kept(tmp_path: Path) -> None:
    """Two hundred of them would be held for their names and as examples."""
    picture = "x" * 500_000
    file = put(tmp_path, "a.jsonl", "".join(json.dumps(row | {"picture": picture}) + "\n" for row in FLAT * 20))
    found = survey((RawRow(raw=line, fields={"text": "a"}) for line in file.read_bytes().splitlines()), at_most=200)
    assert (found.rows, len(found.first) < 12) == (120, True)


def test_rows_in_too_many_places_are_named(tmp_path: Path) -> None:
    """None of them is left out silently."""
    file = put(tmp_path, "a.json", json.dumps({f"k{number}": {"text": "a", "rating": 5} for number in range(20)}))
    with file.open("rb") as content, pytest.raises(SourceError, match="in more than 10 different places"):
        find_container(content, MAPPING, address="a.json", most_places=10)


def test_columns_are_joined_by_their_keys(tmp_path: Path) -> None:
    """In whatever order they stand, and where some are missing."""
    columns = {
        "text": {"0": TEXTS[0], "1": TEXTS[1], "2": TEXTS[2]},
        "rating": {"2": 3, "1": 1, "0": 5},
        "date": {"1": "2023-11-10", "0": "2023-11-09", "2": "2023-11-11"},
    }
    assert stars(read(put(tmp_path, "a.json", json.dumps(columns)))) == [5, 1, 3]


def test_a_late_scale_is_seen(tmp_path: Path) -> None:
    """Sorted from the worst to the best, an array that cannot be passed over."""
    rows = [{"text": f"{TEXTS[0]} {n}", "rating": n // 500 + 1, "date": "2023-11-09"} for n in range(5_000)]
    assert stars(read(put(tmp_path, "a.json", json.dumps(rows)))) == [1, 1, 1]
    assert read(put(tmp_path, "b.json", json.dumps(rows[:4_000]))).failure is not None


def test_all_sheets_with_these_columns_are_read(tmp_path: Path) -> None:
    """A hidden one is not; one with other columns is named."""

    def book(*sheets: tuple[str, list[str], str]) -> Path:
        made = openpyxl.Workbook()
        made.remove(made.active)
        for number, (title, names, state) in enumerate(sheets):
            sheet = made.create_sheet(title)
            sheet.sheet_state = state
            sheet.append(names)
            for text in TEXTS:
                sheet.append([f"{text} {number}", 5, "2024-05-01"])
        made.save(tmp_path / "a.xlsx")
        return tmp_path / "a.xlsx"

    names = ["review", "rating", "date"]
    years = book(("old", names, "hidden"), ("2023", names, "visible"), ("2024", names, "visible"))
    assert new(read(years)) == 12
    other = book(("2023", names, "visible"), ("2024", ["text", "stars", "date"], "visible"))
    assert "'2023' and '2024' both hold reviews" in str(read(other).failure)


def test_another_column_does_not_stand_in_for_a_text(tmp_path: Path) -> None:
    """Nor the rating of the product for that of the review; people who give stars alone are no misreading."""
    header = ["rating", "review_text", "review_rating", "date", "description"]
    rows: list[list[Any]] = [
        [4.6, text, 1, "2024-05-01", "A long description of the lamp itself, ten words or more."] for text in TEXTS
    ]
    rows += [[4.6, "", 1, "2024-05-01", "A long description of the lamp itself, ten words or more."]] * 5
    result = read(put(tmp_path, "a.csv", table(header, rows)))
    assert (new(result), result.outcomes[Outcome.QUARANTINED], stars(result)) == (6, 5, [1, 1, 1])


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    """One of them would be the rating, and nobody knows which."""
    rows = [[4.6, text, "2024-05-01", 1] for text in TEXTS]
    failure = str(read(put(tmp_path, "a.csv", table(["rating", "text", "date", "Rating"], rows))).failure)
    assert "several columns are called 'rating'" in failure


def test_product_names_are_no_reviews(tmp_path: Path) -> None:
    """Long titles beside short reviews that are all different stay titles."""
    reviews = [f"{word} lamp" for word in ("Good", "Bad", "Fine", "Broken", "Bright", "Dim")]
    rows = [
        (f"Lamp of brass, 40 W, model {number} with a shade", text, 5, "2024-05-01")
        for number, text in enumerate(reviews)
    ]
    result = read(put(tmp_path, "a.csv", table(["title", "review", "rating", "date"], rows)))
    assert result.outcomes[Outcome.QUARANTINED] == 6


@pytest.mark.parametrize(
    "written", ["24.05.13", "24/05/13", "2024050110", "638501184000000000", "2024-05-01 25:99", "730000000"]
)
def test_a_time_that_may_be_another_one_is_not_read(tmp_path: Path, written: str) -> None:
    """The year may come first, the hour may be in it, other programs count from other days."""
    rows = [(text, 5, written) for text in TEXTS]
    assert read(put(tmp_path, "a.csv", table(["text", "rating", "date"], rows))).failure is not None


@pytest.mark.parametrize(
    "written", [20240501, "202405010000", "20240501000000", "1 mai 2024 à 10:00", "2024-05-01 10:00 CET"]
)
def test_more_times_are_read(tmp_path: Path, written: Any) -> None:
    """Digits without signs between, and the words of other languages."""
    rows = [{"text": text, "rating": 5, "date": written} for text in TEXTS]
    assert days(read(put(tmp_path, "a.jsonl", lines(*rows))))[0] == "2024-05-01"


def test_a_file_of_years_days_and_months_is_named(tmp_path: Path) -> None:
    """The few dates that show it are refused anyway; the others would be read exchanged."""
    dates = [*[f"2024-05-{number:02}" for number in range(1, 12)], "2024-13-05"]
    rows = [(f"{TEXTS[0]} {number}", 5, date) for number, date in enumerate(dates)]
    failure = str(read(put(tmp_path, "a.csv", table(["text", "rating", "date"], rows))).failure)
    assert "have the day before the month behind the year, as 2024-13-05" in failure


def test_a_file_of_two_encodings_is_named(tmp_path: Path) -> None:
    """Reading all of it as one of them would spoil the rest."""
    rows = "".join(f"très bon {text},5,2024-05-01\n" for text in TEXTS)
    content = b"text,rating,date\n" + rows[: len(rows) // 3].encode() + rows.encode("cp1252")
    assert "put together of two encodings" in str(read(put(tmp_path, "a.csv", content)).failure)


def test_an_encoding_that_does_not_fit_is_one_line(tmp_path: Path) -> None:
    """And one that makes no text of bytes is refused by the settings."""
    content = table(["text", "rating", "date"], [(text, 5, "2024-05-01") for text in TEXTS]).encode("utf-16-be")
    assert new(read(put(tmp_path, "a.csv", content))) == 6
    assert "set source.encoding" in str(read(put(tmp_path, "a.csv", content), encoding="utf-16").failure)
    for wrong in ("base64", "rot13", "utf-99"):
        with pytest.raises(ConfigurationError, match="there is no such encoding"):
            load(environment={"RESTAR_SOURCE__ENCODING": wrong, "RESTAR_HOME": str(tmp_path)})


def test_a_name_that_needs_quotes_is_said(tmp_path: Path) -> None:
    """`Rating: overall` is an object in YAML."""
    environment = {"RESTAR_SOURCE__FIELDS": "{rating: [Rating: overall]}", "RESTAR_HOME": str(tmp_path)}
    with pytest.raises(ConfigurationError, match="needs quotes"):
        load(environment=environment)
