"""Replay: real files split by time, byte for byte, delivered one at a time."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from restar_lib.demo.replay import HISTORY, PLAN_FILE, ReplayPlan, deliver, next_held, plan
from restar_lib.errors import SourceError
from restar_lib.ingest.cleaning.ratings import parse_rating
from restar_lib.ingest.cleaning.timestamps import DateOrder
from restar_lib.ingest.inspection.shape import FileOptions
from restar_lib.ingest.raw_rows import FieldMapping
from restar_lib.ingest.sources.files import FilesSource
from restar_lib.settings import load
from tests.review_files import FORMS, review, write_rows

DAY = 86_400_000
START = 1_400_000_000_000


def line(number: int, *, day: int) -> bytes:
    return json.dumps({"review_id": f"R{number}", "timestamp": START + day * DAY}, indent=None).encode()


def write(file: Path, lines: list[bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = b"\n".join(lines) + b"\n"
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def planned(path: Path, folder: Path, *, share: float = 0.7, slices: int = 3) -> ReplayPlan:
    fields = {"reviewed_at": ("timestamp",)}
    return plan(
        str(path),
        folder=folder,
        options=FileOptions(mapping=FieldMapping.from_config(fields)),
        history_share=share,
        slices=slices,
    )


def held(folder: Path, name: str) -> list[bytes]:
    return gzip.decompress((folder / "held" / name).read_bytes()).splitlines()


def days(lines: list[bytes]) -> list[int]:
    return [(json.loads(row)["timestamp"] - START) // DAY for row in lines]


def test_history_is_the_oldest_share_and_slices_follow_by_time(tmp_path: Path) -> None:
    """Whatever the order in the files, no slice holds anything older than the one before it."""
    rows = [line(number, day=number) for number in range(100)]
    random.Random(3).shuffle(rows)
    write(tmp_path / "in" / "a.jsonl", rows[:50])
    write(tmp_path / "in" / "b.jsonl.gz", rows[50:])
    made = planned(tmp_path / "in", tmp_path / "out")
    assert (made.history_rows, made.slice_rows) == (70, (10, 10, 10))
    parts = [sorted(days(held(tmp_path / "out", name))) for name in made.names]
    assert parts == [list(range(70)), list(range(70, 80)), list(range(80, 90)), list(range(90, 100))]
    assert made.names[0] == HISTORY
    assert list(made.names) == sorted(made.names)
    assert [made.oldest_at[:10], made.slices_from[:10], made.newest_at[:10]] == [
        "2014-05-13",
        "2014-07-22",
        "2014-08-20",
    ]


def test_every_line_arrives_once_as_it_was_found(tmp_path: Path) -> None:
    """Broken lines, odd spacing and odd bytes included; those without a readable time go to history."""
    broken = [b"{oops", b'{"timestamp": "once"}', b'{"review_id":  "x" }', b"\xff\xfe", b"[]"]
    rows = [line(number, day=number % 7) for number in range(40)] + broken
    random.Random(4).shuffle(rows)
    made = planned(write(tmp_path / "a.jsonl", rows), tmp_path / "out")
    parts = {name: held(tmp_path / "out", name) for name in made.names}
    assert sorted(row for part in parts.values() for row in part) == sorted(rows)
    assert set(broken) <= set(parts[HISTORY])
    assert [len(part) for part in parts.values()] == [made.history_rows, *made.slice_rows]
    assert made.history_rows == 28 + len(broken)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_replayed_row_by_row(tmp_path: Path, name: str) -> None:
    """History and slices are JSON Lines that say what the file said, whatever its form."""
    rows = [review(number) for number in range(10)]
    file = write_rows(tmp_path / name, rows)
    fields = load(environment={}).settings.source.fields
    made = plan(
        str(file),
        folder=tmp_path / "out",
        options=FileOptions(mapping=FieldMapping.from_config(fields)),
        history_share=0.7,
        slices=2,
    )
    found = [json.loads(row) for part in made.names for row in held(tmp_path / "out", part)]
    mapping = FieldMapping.from_config(fields)
    as_texts = [{name: str(value) for name, value in mapping.ours(row).items()} for row in found]
    assert as_texts == [{name: str(value) for name, value in mapping.ours(row).items()} for row in rows]


def test_rows_of_one_time_are_cut_evenly_in_their_order(tmp_path: Path) -> None:
    """Real files know whole days only: equal times stand on both sides of a cut, none twice."""
    rows = [line(number, day=1) for number in range(50)]
    made = planned(write(tmp_path / "a.jsonl", rows), tmp_path / "out", share=0.5, slices=4)
    assert (made.history_rows, made.slice_rows) == (25, (6, 6, 6, 7))
    assert [row for name in made.names for row in held(tmp_path / "out", name)] == rows


def test_no_slice_is_empty(tmp_path: Path) -> None:
    """With fewer rows than slices there are fewer slices; history and the rest have at least one row."""
    made = planned(
        write(tmp_path / "a.jsonl", [line(n, day=n) for n in range(3)]), tmp_path / "out", share=0.99, slices=9
    )
    assert (made.history_rows, made.slice_rows) == (2, (1,))


def test_planning_again_changes_nothing(tmp_path: Path) -> None:
    """Also with another share, and after a delivery: what was planned stays, for the state that was read from it."""
    file = write(tmp_path / "a.jsonl", [line(n, day=n) for n in range(20)])
    made = planned(file, tmp_path / "out")
    deliver(tmp_path / "out", HISTORY)
    assert planned(file, tmp_path / "out", share=0.2, slices=8) == made
    assert not (tmp_path / "out" / "held" / HISTORY).exists()


def test_a_plan_that_was_killed_is_made_anew(tmp_path: Path) -> None:
    """Without `plan.json` nothing counts as complete: what lies around is replaced, the same bytes come out."""
    file = write(tmp_path / "a.jsonl", [line(n, day=n) for n in range(20)])
    made = planned(file, tmp_path / "out")
    whole = {name: (tmp_path / "out" / "held" / name).read_bytes() for name in made.names}
    (tmp_path / "out" / PLAN_FILE).unlink()
    (tmp_path / "out" / "held" / HISTORY).write_bytes(b"half")
    (tmp_path / "out" / "held" / "slice-0009.jsonl.gz").write_bytes(b"of another plan")
    assert planned(file, tmp_path / "out") == made
    assert {file.name: file.read_bytes() for file in (tmp_path / "out" / "held").iterdir()} == whole


def test_other_input_under_the_same_state_is_refused(tmp_path: Path) -> None:
    """The message names both and `make reset`."""
    planned(write(tmp_path / "a.jsonl", [line(n, day=n) for n in range(20)]), tmp_path / "out")
    other = write(tmp_path / "b.jsonl", [line(n, day=n) for n in range(30)])
    with pytest.raises(SourceError, match=r"belongs to .*a\.jsonl, not to .*b\.jsonl: .*make reset"):
        planned(other, tmp_path / "out")


def test_input_without_times_is_refused(tmp_path: Path) -> None:
    """The message says how many lines were looked at and what to check; nothing is written as a plan."""
    file = write(tmp_path / "a.jsonl", [b'{"when": 1}', line(1, day=1), b"text"])
    with pytest.raises(SourceError, match=r"1 of 3 lines have a readable time.*source\.fields"):
        planned(file, tmp_path / "out")
    assert not (tmp_path / "out" / PLAN_FILE).exists()


def test_files_are_delivered_one_by_one_and_only_once(tmp_path: Path) -> None:
    """Each delivery moves one file into the inbox; again is harmless, unknown names are refused."""
    folder = tmp_path / "out"
    made = planned(write(tmp_path / "a.jsonl", [line(n, day=n) for n in range(20)]), folder)
    arrived = []
    while name := next_held(folder, made):
        assert deliver(folder, name)
        assert not deliver(folder, name)
        arrived.append(name)
        assert sorted(file.name for file in (folder / "inbox").iterdir()) == arrived
    assert tuple(arrived) == made.names
    with pytest.raises(SourceError, match="no such slice"):
        deliver(folder, "slice-0099.jsonl.gz")


def test_what_arrives_is_read_as_it_was_planned_whatever_the_settings_say(tmp_path: Path) -> None:
    """They speak of the files that were planned: on the scale of 100, in Windows-1252, the day first."""
    fields = load(environment={}).settings.source.fields
    told = FileOptions(
        mapping=FieldMapping.from_config(fields),
        encoding="cp1252",
        rating_scale="0-100",
        date_order=DateOrder.DAY,
        reviewed_at="reading",
    )
    file = tmp_path / "a.csv"
    rows = [f"Very good n\u00b0 {number} \u2013 I like it,{25 * number},{number + 1}/3/2024" for number in range(5)]
    file.write_bytes("\n".join(["text,rating,date", *rows, ""]).encode("cp1252"))
    made = plan(str(file), folder=tmp_path / "out", options=told, history_share=0.6, slices=1)
    for name in made.names:
        deliver(tmp_path / "out", name)
    arrived = [
        row.fields for row in FilesSource(name="shop", path=str(tmp_path / "out" / "inbox"), options=told).rows(None)
    ]
    assert [parse_rating(row["rating"]) for row in arrived if row] == [1, 2, 3, 4, 5]
    assert [row["reviewed_at"][:10] for row in arrived if row] == [f"2024-03-0{day}" for day in range(1, 6)]
    assert [row["text"] for row in arrived if row] == [
        f"Very good n\u00b0 {number} \u2013 I like it" for number in range(5)
    ]
