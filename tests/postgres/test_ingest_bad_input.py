"""Bad input: nothing lost, nothing silent, and the error says what and where; its exit code is the command line's."""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard
from sqlalchemy import Engine, select

from restar_lib.errors import RestarError, SourceError
from restar_lib.ingest.counts import IngestCounts, refuse_damaged
from restar_lib.ingest.inspection.shape import FileOptions
from restar_lib.ingest.load import ingest
from restar_lib.ingest.raw_rows import FieldMapping, FileStates, no_file_is_read
from restar_lib.ingest.sources.files import FilesSource
from restar_lib.ingest.windows import ingest_configured
from restar_lib.settings import Settings
from restar_lib.store.tables import Quarantine, ReviewRow
from tests.review_files import review, write_rows

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Ended:
    """How one reading ended."""

    exit_code: int
    counts: IngestCounts | None
    says: str


@dataclass(frozen=True)
class Shop:
    """An inbox, and what reads it."""

    inbox: Path
    engine: Engine
    settings: Settings

    def ingest(self) -> Ended:
        """What `restar ingest` does, without the process."""
        try:
            counts = ingest_configured(self.engine, self.settings, run_key="test", now=NOW)
            refuse_damaged(counts.problem)
        except RestarError as error:
            return Ended(exit_code=error.exit_code, counts=None, says=str(error))
        return Ended(exit_code=0, counts=counts, says="")

    @property
    def reviews(self) -> list[str]:
        """The ids of the stored reviews."""
        with self.engine.connect() as connection:
            return sorted(connection.scalars(select(ReviewRow.review_id)))

    @property
    def refused(self) -> list[tuple[str, str]]:
        """Reason and detail of the quarantined rows."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(Quarantine.reason, Quarantine.detail).order_by(Quarantine.detail))
            return [(row.reason.value, row.detail) for row in rows]


@pytest.fixture
def shop(engine: Engine, smoke: Settings, tmp_path: Path) -> Shop:
    """An empty inbox and a fresh database; a file is said to be UTF-8 with stars, and bad rows refuse no others."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    told = {"encoding": "utf-8", "rating_scale": "1-5", "max_refused": 1.0}
    source = smoke.source.model_copy(update={"kind": "files", "name": "shop", "path": str(inbox), **told})
    return Shop(inbox=inbox, engine=engine, settings=smoke.model_copy(update={"source": source}))


def lines(*numbers: int) -> bytes:
    return b"".join(json.dumps(review(number)).encode() + b"\n" for number in numbers)


def cut_gzip(file: Path) -> None:
    whole = gzip.compress(lines(*range(3000)))
    file.write_bytes(whole[: len(whole) // 2])


def cut_zstd(file: Path) -> None:
    whole = zstandard.compress(lines(*range(3000)))
    file.write_bytes(whole[: len(whole) // 2])


def junk(file: Path) -> None:
    file.write_bytes(random.Random(7).randbytes(200_000))


def cut_parquet(file: Path) -> None:
    file.write_bytes(write_rows(file, [review(number) for number in range(9)]).read_bytes()[:-30])


def other_columns(file: Path) -> None:
    write_rows(file, [{"colour": "red", "size": 3}])


def no_header(file: Path) -> None:
    file.write_text("".join(f"R{number},it is a good one,5,2014-01-01\n" for number in range(5)))


@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        ("b.jsonl.gz", cut_gzip, "the compressed file is damaged (Compressed file ended"),
        ("b.jsonl.zst", cut_zstd, "the compressed file is damaged (the file ends inside a zstd frame)"),
        ("b.jsonl", junk, "this is no text"),
        ("b.csv", junk, "this is no text"),
        ("b.parquet", junk, "this is not Parquet"),
        ("b.parquet", cut_parquet, "damaged or cut off in its footer"),
        ("b.parquet", other_columns, "no column for the text and none for the rating in the row of names"),
        ("b.csv", no_header, "no column for the text and none for the rating in the first row"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_file_that_cannot_be_read_is_named_and_keeps_no_other_back(
    shop: Shop, name: str, spoil: Callable[[Path], None], says: str
) -> None:
    """The files before and behind it are stored, so is what comes before the damage; exit code 3, one line of error."""
    (shop.inbox / "a.jsonl").write_bytes(lines(10_001))
    spoil(shop.inbox / name)
    write_rows(shop.inbox / "c.csv", [review(10_002)])
    ended = shop.ingest()
    assert ended.exit_code == 3
    assert ended.says.startswith(f"{shop.inbox / name}: ")
    assert says in ended.says
    assert {"R10001", "R10002"} <= set(shop.reviews)
    assert shop.refused == []
    (shop.inbox / name).unlink()
    assert str(shop.ingest().counts) == "nothing new to read"


@pytest.mark.parametrize("cut", [cut_gzip, cut_zstd])
def test_a_cut_file_gives_what_is_there_and_the_whole_one_the_rest(shop: Shop, cut: Callable[[Path], None]) -> None:
    """Every review of the damaged file is stored once, before or after the repair."""
    file = shop.inbox / ("a.jsonl.gz" if cut is cut_gzip else "a.jsonl.zst")
    cut(file)
    assert shop.ingest().exit_code == 3
    kept = len(shop.reviews)
    assert 500 < kept < 3000
    pack = gzip.compress if cut is cut_gzip else zstandard.compress
    file.write_bytes(pack(lines(*range(3000))))
    assert shop.ingest().exit_code == 0
    assert len(shop.reviews) == 3000


def test_rows_that_are_no_reviews_end_in_quarantine_with_their_reason(shop: Shop) -> None:
    """Wrong types, ratings of 0 and 6, broken lines, other encodings: each counted, the good rows around them stored."""
    latin = json.dumps(
        review(3, text="Très bon et très joli, je le recommande à tous mes amis ici"), ensure_ascii=False
    )
    bad = [
        json.dumps(review(1, rating=0)).encode(),
        json.dumps(review(2, rating=6)).encode(),
        latin.encode("latin-1"),
        json.dumps(review(4, text=["a", "list"])).encode(),
        json.dumps(review(5, rating={"stars": 5})).encode(),
        json.dumps(review(6, timestamp=[2014])).encode(),
        b'{"review_id": "R7", "text": "cut o',
        b"\x00\x01\x02",
    ]
    (shop.inbox / "a.jsonl").write_bytes(lines(100) + b"\n".join(bad) + b"\n" + lines(101))
    ended = shop.ingest()
    assert ended.counts is not None
    assert ended.counts.quarantined == 8
    assert shop.reviews == ["R100", "R101"]
    reasons = [reason for reason, _ in shop.refused]
    assert {reason: reasons.count(reason) for reason in reasons} == {
        "bad_rating": 3,
        "bad_timestamp": 1,
        "malformed": 3,
        "missing_text": 1,
    }
    assert any(detail.startswith("not UTF-8: byte 0xe8 at position") for _, detail in shop.refused)


def test_rows_of_a_csv_that_do_not_fit_end_in_quarantine(shop: Shop) -> None:
    """Mixed encodings, too many columns, a stray quote, a rating of 6: each row for itself."""
    good = "it does what it should and has done so for two years"
    rows = [
        "review_id,text,rating,date",
        f"R1,{good} (1),5,2014-01-01",
        f"R2,{good} (2),6,2014-01-01",
        f"R3,{good},and more,5,2014-01-01",
        f'R4,"{good} (4),5,2014-01-01',
        f"R5,très bon {good} (5),5,2014-01-01",
        f"R6,{good} (6),5,2014-01-01",
    ]
    content = "\n".join(rows).encode().replace("très".encode(), "très".encode("latin-1"))
    (shop.inbox / "a.csv").write_bytes(content + b"\n")
    assert shop.ingest().exit_code == 0
    assert shop.reviews == ["R1", "R6"]
    assert [reason for reason, _ in shop.refused] == ["malformed", "malformed", "malformed", "bad_rating"]


def test_one_line_of_50_mb_is_one_quarantined_row(shop: Shop) -> None:
    """The rows around it are stored; of the line its beginning, length and hash are kept."""
    with (shop.inbox / "a.jsonl").open("wb") as file:
        file.write(lines(1))
        file.write(b'{"text": "' + b"x" * 50_000_000 + b'"}\n')
        file.write(lines(2))
    assert shop.ingest().exit_code == 0
    assert shop.reviews == ["R1", "R2"]
    assert shop.refused == [("malformed", "longer than 2,097,152 bytes")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json", "a.jsonl.gz"])
def test_an_empty_file_is_nothing_and_no_error(shop: Shop, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The log names it; it may be filled later."""
    (shop.inbox / name).write_bytes(gzip.compress(b"") if name.endswith(".gz") else b"")
    with caplog.at_level(logging.INFO, logger="restar_lib"):
        assert str(shop.ingest().counts) == "nothing new to read"
    assert f"{shop.inbox / name} is empty" in caplog.text
    write_rows(shop.inbox / name, [review(1)])
    assert shop.ingest().exit_code == 0
    assert shop.reviews == ["R1"]


def test_the_command_line_shows_what_is_good_and_names_what_is_not(shop: Shop) -> None:
    """A dry run in a process of its own: the counts, then one line of error and exit code 3; nothing is written."""
    (shop.inbox / "a.jsonl").write_bytes(lines(1, 2))
    junk(shop.inbox / "b.jsonl")
    environment = {
        "RESTAR_HOME": str(shop.settings.home),
        "RESTAR_DATABASE__URL": shop.engine.url.render_as_string(hide_password=False),
        "RESTAR_SOURCE__KIND": "files",
        "RESTAR_SOURCE__NAME": "shop",
        "RESTAR_SOURCE__PATH": str(shop.inbox),
    }
    restar = Path(sys.executable).with_name("restar")
    ended = subprocess.run(
        [restar, "ingest", "--dry-run"], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, shop.reviews) == (3, [])
    assert "dry run of shop: 2 rows read, nothing written" in ended.stdout
    assert ended.stderr.strip().splitlines()[-1].startswith(f"restar: {shop.inbox / 'b.jsonl'}: this is no text")


def test_a_folder_that_vanishes_halfway_loses_nothing(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """What was read is stored, the missing files are named, and the folder that comes back is read on."""
    inbox = tmp_path / "inbox"
    for number in range(6):
        write_rows(inbox / f"{number}.jsonl", [review(number * 10 + row) for row in range(5)])
    kept = shutil.copytree(inbox, tmp_path / "kept")
    source = FilesSource(
        name="shop", path=str(inbox), options=FileOptions(mapping=FieldMapping.from_config(smoke.source.fields))
    )

    class Vanishing:
        """The source, whose folder is deleted before a row is handed out."""

        name, kind = source.name, source.kind

        def rows(self, cursor: Any, files: FileStates = no_file_is_read, /) -> Any:
            for place, row in enumerate(source.rows(cursor, files)):
                if place == 12:
                    shutil.rmtree(inbox)
                yield row

    counts = ingest(engine, Vanishing(), smoke, run_key="test", now=NOW)
    assert re.search(r"3\.jsonl: No such file.*4\.jsonl.*5\.jsonl", counts.problem)
    with engine.connect() as connection:
        assert len(connection.scalars(select(ReviewRow.review_id)).all()) == 15
    with pytest.raises(SourceError, match="there is no such file or folder"):
        ingest(engine, source, smoke, run_key="test", now=NOW)
    kept.rename(inbox)
    counts = ingest(engine, source, smoke, run_key="test", now=NOW)
    assert (counts.rows_read, counts.new) == (15, 15)
