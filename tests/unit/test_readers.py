"""CSV, TSV, JSON, Parquet and zstd: the same rows whatever the form, and any place to go on from."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from restar_lib.errors import SourceError
from restar_lib.ingest.inspection.shape import FileOptions
from restar_lib.ingest.raw_rows import FieldMapping, RawRow
from restar_lib.ingest.sources.files import FilesSource
from restar_lib.settings import load
from tests.review_files import FORMS, review, write_rows

MAPPING = FieldMapping.from_config(load(environment={}).settings.source.fields)


def read(path: Path, cursor: Any = None) -> list[RawRow]:
    """All rows behind `cursor`, which has been through JSON like the stored one."""
    return list(
        FilesSource(name="shop", path=str(path), options=FileOptions(mapping=MAPPING)).rows(
            json.loads(json.dumps(cursor))
        )
    )


def ids(rows: list[RawRow]) -> list[str]:
    return [row.fields["review_id"] if row.fields else row.problem for row in rows]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_holds_the_same_reviews(tmp_path: Path, name: str) -> None:
    """Quotes, tabs, brackets and umlauts arrive as they were written."""
    written = [review(number) for number in range(10)]
    rows = read(write_rows(tmp_path / name, written))
    assert [{name: str(value) for name, value in (row.fields or {}).items()} for row in rows] == [
        {name: str(value) for name, value in MAPPING.ours(one).items()} for one in written
    ]


@pytest.mark.parametrize("name", FORMS)
def test_reading_goes_on_right_behind_any_row(tmp_path: Path, name: str) -> None:
    """From each row's cursor exactly the rows after it follow: none twice, none lost."""
    rows = read(write_rows(tmp_path / name, [review(number) for number in range(10)]))
    assert ids(rows) == [f"R{number}" for number in range(10)]
    for place, row in enumerate(rows):
        assert ids(read(tmp_path / name, row.cursor_after)) == ids(rows[place + 1 :])


@pytest.mark.parametrize("name", [name for name in FORMS if not name.endswith(".parquet")])
def test_a_file_that_grew_is_read_on(tmp_path: Path, name: str) -> None:
    """Also an array whose closing bracket moved, and a compressed file that was written anew."""
    file = write_rows(tmp_path / name, [review(number) for number in range(4)])
    cursor = read(file)[-1].cursor_after
    assert read(file, cursor) == []
    write_rows(file, [review(number) for number in range(6)])
    assert ids(read(file, cursor)) == ["R4", "R5"]


@pytest.mark.parametrize("name", [name for name in FORMS if not name.endswith(".parquet")])
def test_a_file_that_changed_before_the_cursor_is_read_from_its_start(tmp_path: Path, name: str) -> None:
    """Its first 4 KiB are the same, what was read last is not: nothing is skipped because of an old place."""
    long = [review(number, title="x" * 900) for number in range(10)]
    file = write_rows(tmp_path / name, long)
    cursor = read(file)[-1].cursor_after
    changed = [*long[:7], *(review(number, title="y" * 901) for number in range(70, 76))]
    write_rows(file, changed)
    assert ids(read(file, cursor)) == [row["review_id"] for row in changed]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.json"])
def test_a_row_that_was_only_half_there_is_read_again_when_it_is_whole(tmp_path: Path, name: str) -> None:
    """A writer was caught in the middle of a row: it is reported, and not lost."""
    file = write_rows(tmp_path / name, [review(0), review(1)])
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    rows = read(file)
    assert rows[0].fields
    assert not rows[-1].fields
    file.write_bytes(whole)
    assert ids(read(file, rows[-1].cursor_after))[-1] == "R1"


def test_csv_rows_may_span_lines(tmp_path: Path) -> None:
    """Line ends within quotes belong to the text, blank lines included; each row can be gone on from."""
    written = [review(number, text=f'first line\n\nthird, "line" of {number}\r\nand last') for number in range(4)]
    rows = read(write_rows(tmp_path / "a.csv", written))
    assert [(row.fields or {})["text"] for row in rows] == [one["text"] for one in written]
    assert ids(read(tmp_path / "a.csv", rows[1].cursor_after)) == ["R2", "R3"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_csv_cut_within_quotes_is_read_again_from_there(tmp_path: Path, cut: int) -> None:
    """Wherever the end is missing, the whole file in its place gives every review."""
    file = write_rows(tmp_path / "a.csv", [review(n, text=f"one\ntwo\nthree\nfour of {n}") for n in range(3)])
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    first = read(file)
    file.write_bytes(whole)
    second = read(file, first[-1].cursor_after)
    assert {"R0", "R1", "R2"} <= {*ids(first), *ids(second)}


def test_a_stray_quote_swallows_no_other_row(tmp_path: Path) -> None:
    """The row that opens a quote and never closes it is malformed; the rows behind it are read."""
    lines = [
        "review_id,text,rating,date",
        'R1,"a good one",5,2014-01-01',
        'R2,"broken here,5,2014-01-01',
        'R3,"a good one",5,2014-01-01',
        'R4,", and a comma",5,2014-01-01',
        'R5,plain 5" screen,5,2014-01-01',
        "R6,too,many,columns,5,2014-01-01",
        'R7,"last",5,2014-01-01',
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    rows = read(tmp_path / "a.csv")
    assert [row.fields["review_id"] if row.fields else row.raw.decode()[:2] for row in rows] == [
        f"R{number}" for number in range(1, 8)
    ]
    assert [bool(row.fields) for row in rows] == [True, False, True, True, True, False, True]
    assert rows[5].problem == "6 columns where the row of names has 4"


def test_quotes_mean_nothing_in_a_plain_tsv(tmp_path: Path) -> None:
    """The usual review exports write texts as they are, also those that begin with a quote."""
    texts = ['"Great" they said', '"never closed', 'fine"', '"whole field"']
    lines = [f"R{number}\t{text}\t5\t2014-01-01" for number, text in enumerate(texts)]
    (tmp_path / "a.tsv").write_text("\n".join(["review_id\treview_body\tstar_rating\treview_date", *lines]) + "\n")
    assert [(row.fields or {})["text"] for row in read(tmp_path / "a.tsv")] == [*texts[:3], "whole field"]


def test_a_broken_value_in_an_array_stops_nothing(tmp_path: Path) -> None:
    """Each broken value is one malformed row, and the values around it are read."""
    good = [json.dumps(review(number)) for number in range(4)]
    broken = ['{"text": oops}', "17", '"text"', "[1, [2], 3]", "null"]
    (tmp_path / "a.json").write_text("[" + ",\n".join([good[0], *broken, good[1]]) + "]\n" + good[2] + good[3])
    rows = read(tmp_path / "a.json")
    assert [row.raw.decode() for row in rows if row.fields is None] == broken
    assert [row.fields["review_id"] for row in rows if row.fields] == ["R0", "R1", "R2", "R3"]


def test_a_string_that_is_never_closed_ends_with_its_line(tmp_path: Path) -> None:
    """The values in the next lines are not part of it."""
    good = [json.dumps(review(number)) for number in range(2)]
    (tmp_path / "a.json").write_text(f'[{good[0]},\n{{"text": "never closed}},\n{good[1]}]')
    assert [bool(row.fields) for row in read(tmp_path / "a.json")] == [True, False, True]


def test_one_object_per_file_is_one_review(tmp_path: Path) -> None:
    """On one line or on many."""
    (tmp_path / "one.json").write_text(json.dumps(review(1)))
    (tmp_path / "two.json").write_text(json.dumps(review(2), indent=4))
    rows = read(tmp_path)
    assert ids(rows) == ["R1", "R2"]
    assert read(tmp_path / "two.json", rows[-1].cursor_after) == []


@pytest.mark.parametrize("name", ["a.json", "a.csv"])
def test_a_value_that_would_fill_the_memory_is_cut_and_the_next_one_read(tmp_path: Path, name: str) -> None:
    """20 MB in one value: one malformed row of bounded size, in a few MB of memory."""
    rows = [review(0), review(1, text="x " * 10_000_000), review(2)]
    write_rows(tmp_path / name, rows)
    tracemalloc.start()
    found = read(tmp_path / name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [bool(row.fields) for row in found] == [True, False, True]
    assert len(found[1].raw) < 3_000
    assert b"bytes, sha256" in found[1].raw
    assert peak < 10 << 20


@pytest.mark.parametrize("name", ["{}.json", "{}.csv", "{}.jsonl.zst", "{}.parquet"])
def test_a_file_is_read_in_constant_memory(tmp_path: Path, name: str) -> None:
    """10 times as many rows need no more memory."""

    def peak(rows: int) -> int:
        file = write_rows(tmp_path / name.format(rows), [review(number) for number in range(rows)])
        tracemalloc.start()
        count = sum(
            1 for _ in FilesSource(name="shop", path=str(file), options=FileOptions(mapping=MAPPING)).rows(None)
        )
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == rows
        return used

    peak(10)  # what is imported and cached on the way
    assert peak(20_000) < 1.5 * peak(2_000)


def test_types_of_parquet_become_ours(tmp_path: Path) -> None:
    """Times of any precision, decimals and lists; only the columns that we know are read."""
    at = datetime(2014, 3, 1, 12, tzinfo=UTC)
    table = pa.table(
        {
            "text": ["a text"],
            "rating": pa.array([Decimal("4.0")], pa.decimal128(3, 1)),
            "timestamp": pa.array([at], pa.timestamp("ns", "UTC")),
            "category": [["Baby", "Toys"]],
            "picture": [b"\x00" * 10],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = read(tmp_path / "a.parquet")
    assert row.fields == {
        "text": "a text",
        "rating": 4.0,
        "reviewed_at": "2014-03-01T12:00:00+00:00",
        "product_category": ["Baby", "Toys"],
    }
    assert b"picture" not in row.raw


def test_a_parquet_time_beyond_every_calendar_is_named(tmp_path: Path) -> None:
    """Milliseconds that were stored as seconds: the error says which file and where, and other files are read."""
    table = pa.table({"text": ["a text"], "rating": [5], "timestamp": pa.array([1 << 60], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"a\.parquet: damaged or cut off"):
        read(tmp_path / "a.parquet")


def test_a_parquet_file_that_was_replaced_is_read_from_its_start(tmp_path: Path) -> None:
    """It cannot grow: another footer is another file."""
    file = write_rows(tmp_path / "a.parquet", [review(number) for number in range(4)])
    cursor = read(file)[1].cursor_after
    write_rows(file, [review(number) for number in range(5, 10)])
    assert ids(read(file, cursor)) == [f"R{number}" for number in range(5, 10)]


def test_a_zstd_file_of_several_frames_is_read_whole(tmp_path: Path) -> None:
    """As `cat a.zst b.zst` makes them."""
    lines = [json.dumps(review(number)).encode() + b"\n" for number in range(4)]
    (tmp_path / "a.jsonl.zst").write_bytes(b"".join(zstandard.compress(line) for line in lines))
    assert ids(read(tmp_path / "a.jsonl.zst")) == ["R0", "R1", "R2", "R3"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_columns_that_we_do_not_know_are_named(tmp_path: Path, name: str) -> None:
    """The file is refused with what was found and where to add it, not quarantined row by row."""
    file = write_rows(tmp_path / name, [{"colour": "red", "Words": "x", "rating": 5}])
    with pytest.raises(
        SourceError, match=rf"{name}.*no column for the text.*Found are: colour, Words, rating.*source.fields"
    ):
        read(file)
