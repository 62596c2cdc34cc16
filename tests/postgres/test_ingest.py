"""Ingest: every row that is read ends in exactly one outcome, and the tables say the same as the counts."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, func, select

from restar_lib.dataset import candidates
from restar_lib.domain import Side
from restar_lib.errors import SourceError
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.inspection.shape import FileOptions
from restar_lib.ingest.load import ingest
from restar_lib.ingest.raw_rows import FIELDS, Cursor, FieldMapping, FileStates, RawRow, no_file_is_read
from restar_lib.ingest.sources.base import Source
from restar_lib.ingest.sources.files import FilesSource
from restar_lib.ingest.sources.simulated import SimulatedSource
from restar_lib.ingest.stored_reviews import (
    count_reviews,
    latest_runs,
    reviews_by_id,
    sources_read,
)
from restar_lib.settings import Settings
from restar_lib.splits import side_of
from restar_lib.store.tables import IngestRun, Quarantine, ReviewRow, SourceCursor, SourceFile

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
ORIGINAL = "It does what it should, and has done so for two years now."


def row(review_id: str, text: str | None = None, **changes: Any) -> bytes:
    own = f"Review {review_id} says that this thing is a good one to have around."
    fields = {"review_id": review_id, "text": text or own, "rating": 5, "reviewed_at": 1378944000000, "asin": "B1"}
    return json.dumps(fields | changes).encode()


def write(file: Path, *lines: bytes) -> FilesSource:
    file.write_bytes(b"\n".join(lines) + b"\n")
    return FilesSource(
        name="shop",
        path=str(file),
        options=FileOptions(mapping=FieldMapping({name: (name,) for name in FIELDS}), encoding="utf-8"),
    )


def run(engine: Engine, source: Source, settings: Settings, **changes: Any) -> IngestCounts:
    return ingest(engine, source, settings, run_key="test", now=NOW, **changes)


def small_chunks(settings: Settings, rows: int = 3) -> Settings:
    return settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"chunk_rows": rows})})


def outcomes(counts: IngestCounts) -> tuple[int, int, int, int, int]:
    """Rows read, new, already known, duplicate text, quarantined."""
    return (counts.rows_read, counts.new, counts.already_known, counts.duplicate_text, counts.quarantined)


def test_the_counts_are_found_again_in_the_tables(engine: Engine, smoke: Settings) -> None:
    """1,500 simulated rows: what the run says, its row says, and the tables hold."""
    source = SimulatedSource(name="simulated", config=smoke.simulated)
    counts = run(engine, source, smoke, max_rows=1500)
    stored = count_reviews(engine)
    assert counts.rows_read == 1500
    assert (stored.originals, stored.copies, stored.quarantined) == (
        counts.new,
        counts.duplicate_text,
        counts.quarantined,
    )
    assert stored.reviews == counts.new + counts.duplicate_text
    assert min(counts.new, counts.duplicate_text, counts.quarantined) > 0
    with engine.connect() as connection:
        by_reason = select(Quarantine.reason, func.count()).group_by(Quarantine.reason)
        assert {reason.value: number for reason, number in connection.execute(by_reason)} == counts.reasons
    assert sources_read(engine) == {"simulated": 1500}
    (summary,) = latest_runs(engine)
    assert (
        summary.rows_read,
        summary.new,
        summary.already_known,
        summary.duplicate_text,
        summary.quarantined,
    ) == outcomes(counts)
    assert summary.finished_at is not None


def test_the_language_of_a_review_is_stored(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Where its text tells it; also of copies, and null where it does not."""
    texts = {
        "en": "The lid does not close and nobody answers my questions about this kettle.",
        "de": "Der Deckel schließt nicht richtig und der Verkäufer antwortet auf keine meiner Fragen.",
        "es": "La tapa no cierra bien y el vendedor no contesta a ninguna de mis preguntas.",
        "ja": "ふたがきちんと閉まらず、店に聞いても返事がまったくありません。残念です。",
        None: "aaa bbb ccc ddd eee fff ggg hhh iii jjj kkk lll",
    }
    source = write(tmp_path / "a.jsonl", *(row(f"R{number}", text) for number, text in enumerate(texts.values())))
    assert run(engine, source, smoke).new == 5
    with engine.connect() as connection:
        found = connection.execute(select(ReviewRow.review_id, ReviewRow.language)).all()
    assert {one.review_id: one.language for one in found} == {f"R{number}": one for number, one in enumerate(texts)}


def test_a_second_run_reads_nothing_twice(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """The file is at its end: nothing is read, and the run says so."""
    source = write(tmp_path / "a.jsonl", row("R1"), row("R2"))
    assert outcomes(run(engine, source, smoke)) == (2, 2, 0, 0, 0)
    again = run(engine, source, smoke)
    assert outcomes(again) == (0, 0, 0, 0, 0)
    assert str(again) == "nothing new to read"


def test_a_run_stops_at_its_limit_and_the_next_goes_on(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Also in the middle of a chunk; the cursor keeps the rest."""
    source = write(tmp_path / "a.jsonl", *(row(f"R{number}") for number in range(10)))
    config = small_chunks(smoke, 4)
    assert [run(engine, source, config, max_rows=6).rows_read for _ in range(3)] == [6, 4, 0]
    assert count_reviews(engine).originals == 10


def test_the_configured_limit_holds_without_another(engine: Engine, smoke: Settings) -> None:
    """The simulator never ends; a run of it does."""
    config = smoke.model_copy(update={"ingest": smoke.ingest.model_copy(update={"max_rows": 70})})
    assert run(engine, SimulatedSource(name="simulated", config=smoke.simulated), config).rows_read == 70


def test_known_reviews_are_recognised_and_left_alone(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """By their id and text, within a chunk and across runs; the first version stays."""
    run(engine, write(tmp_path / "a.jsonl", row("R1"), row("R2"), row("R1", rating=1)), smoke)
    assert outcomes(run(engine, write(tmp_path / "b.jsonl", row("R2", rating=1), row("R3")), smoke)) == (2, 1, 1, 0, 0)
    with engine.connect() as connection:
        stored = reviews_by_id(connection, ["R1", "R2", "R3", "R4"])
    assert {review_id: review.rating for review_id, review in stored.items()} == {"R1": 5, "R2": 5, "R3": 5}


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_copies_of_a_text_point_at_the_first_one(engine: Engine, smoke: Settings, tmp_path: Path, chunk: int) -> None:
    """In one chunk or over several: copies are kept, on the same side, and are no independent reviews."""
    shouted = ORIGINAL.upper().replace(",", " --") + "!!"
    lines = [row("R1", ORIGINAL), row("R2", shouted), row("R3"), row("R4", f"<p>{ORIGINAL}</p>")]
    counts = run(engine, write(tmp_path / "a.jsonl", *lines), small_chunks(smoke, chunk))
    assert outcomes(counts) == (4, 2, 0, 2, 0)
    with engine.connect() as connection:
        rows = connection.execute(select(ReviewRow.review_id, ReviewRow.duplicate_of, ReviewRow.side)).all()
        rated = [review.review_id for side in Side for review in candidates.newest(connection, side, limit=10)]
    stored = {found.review_id: found for found in rows}
    assert {name: found.duplicate_of for name, found in stored.items()} == {
        "R1": None,
        "R2": "R1",
        "R3": None,
        "R4": "R1",
    }
    assert stored["R1"].side is stored["R2"].side is stored["R4"].side
    assert sorted(rated) == ["R1", "R3"]


def test_the_side_is_decided_at_ingest(engine: Engine, smoke: Settings) -> None:
    """Each review stands on the side that the keyed hash of its text gives."""
    run(engine, SimulatedSource(name="simulated", config=smoke.simulated), smoke, max_rows=300)
    with engine.connect() as connection:
        rows = connection.execute(select(ReviewRow.text_hash, ReviewRow.side)).all()
    assert len({row.side for row in rows}) == 3
    assert all(row.side is side_of(row.text_hash, smoke.dataset) for row in rows)


def test_refused_rows_are_kept_with_their_reason(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Each with what it was, even where Postgres could not store it as it is; the good rows around them are stored."""
    bad = [
        (b"{oops \x00 \xff", "malformed"),
        (row("R2", "   "), "missing_text"),
        (row("R3", rating="unrated"), "bad_rating"),
        (row("R4", reviewed_at="\x00"), "bad_timestamp"),
        (row("R5", "too short \ud83d"), "too_short"),
        (row("R6", "word " * 600), "too_long"),
        (row("R7", ORIGINAL + " Visit spam example."), "blocklisted"),
    ]
    limits = smoke.ingest.model_copy(update={"blocklist": ("spam example",)})
    source = write(tmp_path / "a.jsonl", row("R1"), *(line for line, _ in bad), row("R8"))
    counts = run(engine, source, smoke.model_copy(update={"ingest": limits}))
    assert outcomes(counts) == (9, 2, 0, 0, 7)
    with engine.connect() as connection:
        stored = connection.execute(select(Quarantine.reason, Quarantine.raw, Quarantine.detail)).all()
    assert {found.reason.value for found in stored} == {reason for _, reason in bad}
    raw = {found.reason.value: found.raw for found in stored}
    assert raw["malformed"] == "{oops \\x00 \\xff"
    assert json.loads(raw["bad_rating"])["rating"] == "unrated"
    assert all(found.detail for found in stored)


def test_a_refused_row_that_comes_again_is_counted_and_kept_once(
    engine: Engine, smoke: Settings, tmp_path: Path
) -> None:
    """The key of a refused row is the row itself and its source."""
    source = write(tmp_path / "a.jsonl", b"{oops", b"{oops", row("R1"))
    assert outcomes(run(engine, source, smoke)) == (3, 1, 0, 0, 2)
    other = replace(write(tmp_path / "b.jsonl", b"{oops"), name="other")
    assert outcomes(run(engine, other, smoke)) == (1, 0, 0, 0, 1)
    assert count_reviews(engine).quarantined == 2


@pytest.mark.parametrize(
    "awkward", ["\\N", "a\\tb", "C:\\new \\. end", 'say "so"', "tab\\there", "\u00e9 \u2603 \U0001f600"]
)
def test_texts_are_stored_as_they_are(engine: Engine, smoke: Settings, tmp_path: Path, awkward: str) -> None:
    """What means something to COPY means nothing in a text, an id or a name."""
    text = f"{awkward} is what this review says about the thing that came by post {awkward}"
    line = row("R1", text, title=awkward, asin=awkward, user_id=awkward, product_category=awkward)
    run(engine, replace(write(tmp_path / "a.jsonl", line), name=f"shop {awkward}"), smoke)
    with engine.connect() as connection:
        stored = reviews_by_id(connection, ["R1"])["R1"]
    plain = " ".join(awkward.split())
    assert stored.text == " ".join(text.split())
    assert (stored.title, stored.asin, stored.user_id, stored.product_category) == (plain,) * 4
    assert stored.source == f"shop {awkward}"


def test_a_large_run_in_several_processes_stores_what_one_process_would(engine: Engine, smoke: Settings) -> None:
    """The same reviews, copies and refusals, whoever cleaned them."""
    source = SimulatedSource(name="simulated", config=smoke.simulated)
    config = small_chunks(smoke, 500)
    alone = config.model_copy(update={"ingest": config.ingest.model_copy(update={"processes": 0})})
    counts = run(engine, source, config, max_rows=6000)
    with engine.connect() as connection:
        everything = select(ReviewRow.review_id, ReviewRow.text, ReviewRow.duplicate_of, ReviewRow.side)
        stored = connection.execute(everything.order_by(ReviewRow.review_id)).all()
    with engine.begin() as connection:
        for table in (ReviewRow, Quarantine, SourceCursor):
            connection.execute(delete(table))
    assert outcomes(run(engine, source, alone, max_rows=6000)) == outcomes(counts)
    with engine.connect() as connection:
        assert connection.execute(everything.order_by(ReviewRow.review_id)).all() == stored


def test_a_window_is_noted_with_the_run(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """The data interval of a nightly run; it filters nothing."""
    window = (datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    counts = run(engine, write(tmp_path / "a.jsonl", row("R1")), smoke, window=window)
    with engine.connect() as connection:
        stored = connection.execute(select(IngestRun.window_start, IngestRun.window_end, IngestRun.started_at)).one()
    assert tuple(stored) == (*window, NOW)
    assert counts.new == 1


@dataclass(frozen=True)
class Damaged:
    """A source whose rows end in an error."""

    inner: FilesSource
    good: int
    name: str = "shop"
    kind: str = "files"

    def rows(self, cursor: Cursor | None, files: FileStates = no_file_is_read, /) -> Iterator[RawRow]:
        """The good rows, then the error."""
        for place, found in enumerate(self.inner.rows(cursor, files)):
            if place == self.good:
                raise SourceError("a.jsonl.gz: damaged")
            yield found


def test_rows_before_a_damaged_place_are_stored(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """The error is reported after the good rows are in; the repaired source is read on behind them."""
    source = write(tmp_path / "a.jsonl", *(row(f"R{number}") for number in range(8)))
    with pytest.raises(SourceError, match="damaged"):
        run(engine, Damaged(source, good=5), small_chunks(smoke))
    (summary,) = latest_runs(engine)
    assert (summary.rows_read, summary.new, summary.finished_at) == (5, 5, None)
    assert outcomes(run(engine, source, smoke)) == (3, 3, 0, 0, 0)


@dataclass
class Overtaken:
    """A source beside which, when a row is reached for the first time, somebody else reads on."""

    inner: FilesSource
    others: dict[int, Any]
    name: str = "shop"
    kind: str = "files"

    def rows(self, cursor: Cursor | None, files: FileStates = no_file_is_read, /) -> Iterator[RawRow]:
        """The rows, each after what happens beside it."""
        for found in self.inner.rows(cursor, files):
            number = int((found.fields or {})["review_id"][1:])
            if other := self.others.pop(number, None):
                other()
            yield found


def test_a_run_that_is_overtaken_goes_on_from_the_new_cursor(
    engine: Engine, smoke: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another run stores rows between this one's reading and storing: nothing is stored or counted twice."""
    source = write(tmp_path / "a.jsonl", *(row(f"R{number}") for number in range(20)))
    config = small_chunks(smoke)
    others: list[IngestCounts] = []

    def other(rows: int) -> Any:
        return lambda: others.append(run(engine, source, config, max_rows=rows))

    overtaken = Overtaken(source, {1: other(5), 9: other(1), 19: other(99)})
    with caplog.at_level(logging.INFO):
        counts = run(engine, overtaken, config)
    assert counts.rows_read + sum(found.rows_read for found in others) == 20
    assert counts.already_known == sum(found.already_known for found in others) == 0
    # Reading runs ahead of storing by as much as the machine allows, so one overtaking may be noticed twice.
    assert caplog.text.count("another run has read on") >= 3
    assert count_reviews(engine).originals == sources_read(engine)["shop"] == 20


def test_a_log_line_says_what_happened(
    engine: Engine, smoke: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was understood of a new file; then source, run, every outcome and the reasons, in one line."""
    with caplog.at_level(logging.INFO, logger="restar_lib"):
        run(engine, write(tmp_path / "a.jsonl", row("R1"), b"{oops"), smoke)
    understood, message = caplog.messages
    assert understood.startswith(f"{tmp_path / 'a.jsonl'}: JSON Lines: review_id = review_id, text = text")
    assert message.startswith("ingest run 1 of shop (test): 2 rows in ")
    assert message.endswith("1 new, 0 already known, 0 duplicate texts, 1 quarantined (malformed 1)")


def test_counts_that_do_not_add_up_cannot_be_made() -> None:
    """A row without an outcome, or a quarantined one without a reason, is a bug and stops the run."""
    with pytest.raises(ValueError, match="do not add up"):
        IngestCounts(ingest_run_id=1, rows_read=2, new=1)
    with pytest.raises(ValueError, match="do not add up"):
        IngestCounts(ingest_run_id=1, rows_read=1, quarantined=1)


def test_a_cursor_is_stored_with_its_rows(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """It is the one behind the last stored row."""
    source = write(tmp_path / "a.jsonl", *(row(f"R{number}") for number in range(5)))
    run(engine, source, small_chunks(smoke), max_rows=4)
    expected = list(source.rows(None))[3].cursor_after
    assert expected is not None
    with engine.connect() as connection:
        assert connection.scalar(select(SourceFile.state)) == expected["state"]
        assert connection.execute(select(SourceCursor.cursor, SourceCursor.version)).one() == ({"kind": "files"}, 2)
        assert connection.scalar(select(func.sum(IngestRun.rows_read))) == 4
