"""Files, by the example of JSON Lines: any spelling, any place to go on from, and no line that stops the others."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from restar_lib.errors import ConfigurationError, DamagedFiles, SourceError
from restar_lib.ingest.inspection.shape import FileOptions
from restar_lib.ingest.raw_rows import FieldMapping, RawRow
from restar_lib.ingest.readers.lines import MAX_LINE_BYTES
from restar_lib.ingest.readers.storage import find_files
from restar_lib.ingest.sources.configured import open_source
from restar_lib.ingest.sources.files import FilesSource
from restar_lib.settings import Settings, load

MAPPING = FieldMapping.from_config(load(environment={}).settings.source.fields)


def source(path: Path | str) -> FilesSource:
    return FilesSource(name="shop", path=str(path), options=FileOptions(mapping=MAPPING))


def line(number: int) -> bytes:
    return json.dumps({"review_id": f"R{number}", "text": f"text {number}"}).encode() + b"\n"


def write(file: Path, *numbers: int) -> Path:
    """A file with these rows, gzip where its name says so."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = b"".join(map(line, numbers))
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def ids(rows: list[RawRow]) -> list[str]:
    return [row.fields["review_id"] if row.fields else row.problem for row in rows]


def read(path: Path | str, cursor: Any = None, *, behind: Sequence[RawRow] = ()) -> list[RawRow]:
    """All rows behind `cursor`, or behind these rows; both have been through JSON like what is stored."""
    states = json.loads(json.dumps(states_behind(behind)))
    before = behind[-1].cursor_after if behind else cursor
    return list(
        source(path).rows(json.loads(json.dumps(before)), lambda names: {n: states[n] for n in names if n in states})
    )


def states_behind(rows: Sequence[RawRow]) -> dict[str, Any]:
    """What is stored of each file when these rows are."""
    return {row.cursor_after["file"]: row.cursor_after["state"] for row in rows if row.cursor_after}


def test_the_spellings_of_two_real_formats_become_our_fields() -> None:
    """Amazon 2014 and the PDS files name the same things differently; the configured spellings cover both."""
    old = {"reviewText": "x", "overall": 5.0, "summary": "s", "unixReviewTime": 1378944000, "reviewerID": "u"}
    pds = {
        "review_body": "x",
        "star_rating": 5,
        "review_headline": "s",
        "review_date": "2013-09-12",
        "customer_id": "u",
    }
    expected = {"text": "x", "rating": 5, "title": "s", "user_id": "u"}
    assert MAPPING.ours(old) == expected | {"reviewed_at": 1378944000}
    assert MAPPING.ours(pds) == expected | {"reviewed_at": "2013-09-12"}


def test_the_first_spelling_with_a_value_wins() -> None:
    """A null does not hide the value behind another spelling; unknown fields are left out."""
    assert MAPPING.ours({"text": None, "body": "b", "reviewText": "a", "colour": "red"}) == {"text": "a"}


def test_an_unknown_field_in_the_configuration_is_named() -> None:
    """`source.fields: {ratng: ...}` stops at start and says what is known."""
    with pytest.raises(ConfigurationError, match=r"unknown field 'ratng'; known are: review_id, .*rating"):
        FieldMapping.from_config({"ratng": ("overall",)})


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_reading_goes_on_right_behind_any_row(tmp_path: Path, name: str) -> None:
    """From each row's cursor exactly the rows after it follow: none twice, none lost."""
    file = write(tmp_path / name, 0, 1, 2, 3, 4)
    rows = read(file)
    assert ids(rows) == ["R0", "R1", "R2", "R3", "R4"]
    for place, row in enumerate(rows):
        assert ids(read(file, row.cursor_after)) == ids(rows[place + 1 :])


def test_a_folder_is_read_in_the_order_of_names_and_across_files(tmp_path: Path) -> None:
    """Folders below count, other endings and hidden files do not; every cursor goes on across files."""
    write(tmp_path / "b.jsonl", 2, 3)
    write(tmp_path / "a" / "z.json.gz", 0, 1)
    write(tmp_path / "c.ndjson", 4)
    write(tmp_path / "notes.txt", 9)
    write(tmp_path / ".d.jsonl", 9)
    rows = read(tmp_path)
    assert ids(rows) == ["R0", "R1", "R2", "R3", "R4"]
    for place in range(len(rows)):
        assert ids(read(tmp_path, behind=rows[: place + 1])) == ids(rows[place + 1 :])


def test_a_file_that_appears_later_is_read_whatever_its_name(tmp_path: Path) -> None:
    """Also one that sorts before the files that are read already."""
    write(tmp_path / "m.jsonl", 0, 1)
    first = read(tmp_path)
    assert read(tmp_path, behind=first) == []
    write(tmp_path / "z.jsonl", 3)
    write(tmp_path / "a.jsonl", 2)
    late = read(tmp_path, behind=first)
    assert ids(late) == ["R2", "R3"]
    assert read(tmp_path, behind=[*first, *late]) == []


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_file_that_grew_is_read_on(tmp_path: Path, name: str) -> None:
    """Only the new rows are read."""
    file = write(tmp_path / name, 0, 1)
    cursor = read(file)[-1].cursor_after
    write(file, 0, 1, 2)
    assert ids(read(file, cursor)) == ["R2"]


def test_a_line_that_was_only_half_there_is_read_again_when_it_is_whole(tmp_path: Path) -> None:
    """A writer was caught in the middle of a line: the review is not lost."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(line(0) + line(1)[:-9])
    rows = read(file)
    assert [row.fields is None for row in rows] == [False, True]
    file.write_bytes(line(0) + line(1) + line(2))
    assert ids(read(file, rows[-1].cursor_after)) == ["R1", "R2"]


def test_a_last_line_without_newline_is_read_once(tmp_path: Path) -> None:
    """It counts as a row; the newline that comes later, with more rows, does not make it another one."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(line(0) + line(1).rstrip())
    rows = read(file)
    assert ids(rows) == ["R0", "R1"]
    file.write_bytes(line(0) + line(1) + line(2))
    assert ids(read(file, rows[-1].cursor_after)) == ["R2"]


@pytest.mark.parametrize("numbers", [(7, 8, 9), (7,), (1, 0, 2, 3, 4, 5)])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_another_file_under_the_same_name_is_read_from_its_start(
    tmp_path: Path, name: str, numbers: tuple[int, ...]
) -> None:
    """Longer or shorter: where the beginning differs, nothing is skipped."""
    file = write(tmp_path / name, 0, 1, 2, 3)
    cursor = read(file)[-1].cursor_after
    write(file, *numbers)
    assert ids(read(file, cursor)) == [f"R{number}" for number in numbers]


def test_a_malformed_line_stops_nothing(tmp_path: Path) -> None:
    """Each kind of broken line is a row with its problem, and the good rows around it are read."""
    broken = [
        b"{oops",
        b"[1, 2]",
        b'"text"',
        b"17",
        b'{"text": "\xe9"}',
        b"[" * 100_000,
        b'{"a": ' + b"1" * 5000 + b"}",
        b"\0",
    ]
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + line(0) + b"\n  \r\n" + b"\n".join(broken) + b"\n" + line(1))
    rows = read(file)
    assert [row.fields is None for row in rows] == [False, *[True] * len(broken), False]
    assert [row.raw for row in rows[1:-1]] == broken
    problems = [row.problem for row in rows[1:-1]]
    assert problems[1:5] == [
        "not a JSON object but a list",
        "not a JSON object but a text",
        "not a JSON object but a number",
        "not UTF-8: byte 0xe9 at position 10",
    ]
    assert all(problem.startswith("not JSON") for problem in [problems[0], *problems[5:]])


def test_a_line_that_would_fill_the_memory_is_cut_and_the_next_one_read(tmp_path: Path) -> None:
    """50 MB without a newline: one malformed row of bounded size, in a few MB of memory; its end is found."""
    file = tmp_path / "a.jsonl.gz"
    with gzip.open(file, "wb", compresslevel=1) as content:
        content.write(line(0))
        for _ in range(50):
            content.write(b"x" * 1_000_000)
        content.write(b"\n" + line(1))
    tracemalloc.start()
    rows = read(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids(rows) == ["R0", f"longer than {MAX_LINE_BYTES:,} bytes", "R1"]
    assert len(rows[1].raw) < 3_000
    assert b"50,000,001 bytes, sha256" in rows[1].raw
    assert peak < 10 * MAX_LINE_BYTES
    assert ids(read(file, rows[1].cursor_after)) == ["R1"]


def test_a_file_is_read_in_constant_memory(tmp_path: Path) -> None:
    """20 times as many rows need no more memory: rows are handed on one by one."""

    def peak(rows: int) -> int:
        file = write(tmp_path / f"{rows}.jsonl.gz", *range(rows))
        tracemalloc.start()
        count = sum(1 for _ in source(file).rows(None))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == rows
        return used

    peak(10)  # what is imported and cached on the way
    assert peak(20_000) < 1.5 * peak(1_000)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: whole[: len(whole) // 2], id="cut off"),
        pytest.param(lambda whole: whole[:-12] + b"\xff" * 12, id="flipped"),
    ],
)
def test_a_damaged_file_is_named_after_its_good_rows(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """What can be read is handed on first; the whole file in its place is read on from there."""
    file = write(tmp_path / "a.jsonl.gz", *range(3000))
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    rows: list[RawRow] = []
    with pytest.raises(SourceError, match=r"a\.jsonl\.gz: the compressed file is damaged"):
        rows.extend(source(file).rows(None))
    good = [row for row in rows if row.fields]
    assert len(good) > 500
    file.write_bytes(whole)
    rest = ids(read(file, good[-1].cursor_after))
    assert rest == [f"R{number}" for number in range(len(good), 3000)]


def test_a_glob_takes_what_matches(tmp_path: Path) -> None:
    """Names are those below the fixed part, so moving everything elsewhere changes no cursor."""
    write(tmp_path / "x" / "a-1.txt", 0)
    write(tmp_path / "y" / "a-2.txt", 1)
    write(tmp_path / "y" / "b.jsonl", 2)
    pattern = str(tmp_path / "*" / "a-*.txt")
    assert list(find_files(pattern)) == ["x/a-1.txt", "y/a-2.txt"]
    assert ids(read(pattern)) == ["R0", "R1"]


@pytest.mark.parametrize(
    ("path", "says"), [("", "is empty"), ("no/such.jsonl", "no such"), ("no/*.jsonl", "no file matches")]
)
def test_a_missing_path_says_what_to_give(path: str, says: str) -> None:
    """Empty, missing and unmatched are told apart, each with the way out."""
    with pytest.raises(SourceError, match=f"{says}.*give a file, a glob or a folder"):
        list(source(path).rows(None))


def test_an_empty_folder_has_nothing_new(tmp_path: Path) -> None:
    """An inbox may be empty; that is no error."""
    assert read(tmp_path) == []


def test_a_cursor_of_another_kind_is_refused(tmp_path: Path) -> None:
    """State that was read from the simulator does not silently become the state of files."""
    with pytest.raises(SourceError, match=r"'shop' was read as 'simulated'.*make reset"):
        read(write(tmp_path / "a.jsonl", 0), {"kind": "simulated", "seed": 1, "next": 5})


def test_the_configured_source_is_opened(tmp_path: Path) -> None:
    """`source.kind: files` reads the path with the spellings of the configuration, under its own name."""
    whole = {"review_id": "R0", "text": "text 0", "rating": 5, "timestamp": 1378944000}
    (tmp_path / "a.jsonl").write_text(json.dumps(whole) + "\n", encoding="utf-8")
    environment = {"RESTAR_SOURCE__KIND": "files", "RESTAR_SOURCE__NAME": "inbox", "RESTAR_SOURCE__PATH": str(tmp_path)}
    config: Settings = load(environment=environment).settings
    opened = open_source(config)
    assert (opened.name, opened.kind) == ("inbox", "files")
    assert ids(list(opened.rows(None))) == ["R0"]


def test_a_cursor_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    """It is written with every chunk: with the states of all files in it, many small files would cost their square."""
    for number in range(300):
        write(tmp_path / f"{number:04}.jsonl", number)
    sizes = [len(json.dumps(row.cursor_after)) for row in read(tmp_path)]
    assert len(sizes) == 300
    assert max(sizes) < 1.2 * min(sizes)


def test_a_folder_of_many_files_is_listed_by_its_names_alone(tmp_path: Path) -> None:
    """A thousand files more cost their names in memory, about a hundred bytes each; states are asked for in parts."""
    asked: list[int] = []

    def states(names: Sequence[str]) -> dict[str, Any]:
        asked.append(len(names))
        return {}

    def peak(files: int) -> int:
        folder = tmp_path / str(files)
        for number in range(files):
            write(folder / f"{number:05}.jsonl", number)
        tracemalloc.start()
        count = sum(1 for _ in source(folder).rows(None, states))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == files
        return highest

    peak(10)  # what is imported at first use
    few, many = peak(1000), peak(3000)
    assert (many - few) / 2000 < 300
    assert max(asked) <= 500


def test_a_folder_that_may_not_be_read_and_a_link_to_itself_keep_nothing_back() -> None:
    """The other files are read, and the folder is named at the end, like a damaged file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write(folder / "a.jsonl", 0)
        write(folder / "closed" / "b.jsonl", 1)
        write(folder / "open" / "c.jsonl", 2)
        (folder / "loop.jsonl").symlink_to("loop.jsonl")
        (folder / "closed").chmod(0)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as other_user:
            found, said = other_user.submit(read_as_nobody, folder).result()
        (folder / "closed").chmod(0o755)
    assert found == ["R0", "R2"]
    assert said.startswith(f"{folder / 'closed'}: Permission denied")


def read_as_nobody(folder: Path) -> tuple[list[str], str]:
    """What a user reads who may not read everything, and what is said at the end."""
    if os.geteuid() == 0:
        os.setuid(65534)
    found = []
    try:
        for one in source(folder).rows(None):
            found.append(one)  # noqa: PERF402  what came before the error counts
    except DamagedFiles as error:
        return ids(found), str(error)
    return ids(found), ""
