"""The same reviews from every form and place: one outcome each, whatever the file is called and wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from restar_lib.errors import ConfigurationError, SourceError
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.dry_run import dry_run
from restar_lib.ingest.sources.configured import open_source
from restar_lib.ingest.windows import ingest_configured
from restar_lib.settings import Settings
from restar_lib.store.tables import IngestRun, Quarantine, ReviewRow, SourceCursor
from tests.review_files import FORMS, review, write_rows

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
KEYS = {"AWS_ACCESS_KEY_ID": "a stranger", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}

STARS: dict[str, Any] = {"rating_scale": "1-5", "max_refused": 1.0}
"""Ratings are known to be stars, and bad rows refuse no others."""


def reading(settings: Settings, path: object, **changes: Any) -> Settings:
    """These settings with `files` at this path as the source."""
    source = settings.source.model_copy(update={"kind": "files", "name": "shop", "path": str(path), **changes})
    return settings.model_copy(update={"source": source})


def run(engine: Engine, settings: Settings, **changes: Any) -> IngestCounts:
    return ingest_configured(engine, settings, run_key="test", now=NOW, **changes)


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    columns = (ReviewRow.review_id, ReviewRow.text, ReviewRow.rating, ReviewRow.reviewed_at, ReviewRow.asin)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(ReviewRow.review_id))]


def size(engine: Engine, table: type) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_the_tables_are_the_same_whatever_the_form(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """The first form is new; every other one brings the same reviews, which are known."""
    rows = [review(number) for number in range(20)]
    first: list[tuple[Any, ...]] = []
    for name in FORMS:
        counts = run(engine, reading(smoke, write_rows(tmp_path / name, rows)))
        first = first or stored(engine)
        assert (counts.rows_read, counts.quarantined) == (20, 0)
        assert stored(engine) == first
        assert (counts.new, counts.already_known) == ((20, 0) if name == FORMS[0] else (0, 20))


def test_a_folder_of_all_forms_is_read_once(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Also in small portions, and what appears later is read with the next run."""
    for number, name in enumerate(FORMS):
        write_rows(tmp_path / "in" / f"{number}-{name}", [review(number * 10 + row) for row in range(5)])
    config = reading(smoke, tmp_path / "in")
    portions = [run(engine, config, max_rows=7).rows_read for _ in range(9)]
    assert portions == [7] * 8 + [4]
    write_rows(tmp_path / "in" / "late.csv", [review(900)])
    assert run(engine, config).new == 1
    assert size(engine, ReviewRow) == 5 * len(FORMS) + 1


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    """An object storage that speaks S3, on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(storage: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket `shop`, and the credentials where S3's tools look for them."""
    import boto3

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    found = boto3.resource("s3", endpoint_url=storage).Bucket("shop")
    found.create()
    found.objects.delete()
    return found


def test_an_object_storage_is_read_like_a_folder(
    engine: Engine, smoke: Settings, tmp_path: Path, storage: str, bucket: Any
) -> None:
    """Every form, a glob, one object, and objects that appear later or grow."""
    for number, name in enumerate(FORMS):
        file = write_rows(tmp_path / name, [review(number * 10 + row) for row in range(5)])
        bucket.upload_file(str(file), f"in/{number:02}/{name}")
    at = {"storage": {"endpoint_url": storage}}
    config = reading(smoke, "s3://shop/in/", **at)
    counts = run(engine, config)
    assert (counts.new, counts.quarantined) == (5 * len(FORMS), 0)
    assert run(engine, config).rows_read == 0
    bucket.upload_file(str(write_rows(tmp_path / "late.jsonl", [review(900)])), "in/late.jsonl")
    bucket.upload_file(str(write_rows(tmp_path / "a.jsonl", [review(row) for row in range(7)])), "in/00/a.jsonl")
    assert run(engine, config).rows_read == 3
    assert run(engine, reading(smoke, "s3://shop/in/*/a.csv*", name="glob", **at)).rows_read == 10
    assert run(engine, reading(smoke, "s3://shop/in/11/a.parquet", name="one", **at)).duplicate_text == 5
    assert run(engine, reading(smoke, "s3://shop/nothing/yet/", name="inbox", **at)).rows_read == 0


@pytest.mark.usefixtures("bucket")
def test_a_storage_that_does_not_answer_is_named(smoke: Settings, storage: str) -> None:
    """A missing bucket, a missing object, nobody at the address, and a credential in the configuration."""

    def rows(path: str, **options: Any) -> None:
        list(open_source(reading(smoke, path, storage={"endpoint_url": storage} | options)).rows(None))

    with pytest.raises(SourceError, match=r"s3://shop/no\.jsonl"):
        rows("s3://shop/no.jsonl")
    with pytest.raises(SourceError, match="s3://nobody/in/"):
        rows("s3://nobody/in/")
    with pytest.raises(SourceError, match=r"nonsense://x/: .*look at the address"):
        rows("nonsense://x/")
    with pytest.raises(ConfigurationError, match=r"source\.storage\.secret.*AWS_SECRET_ACCESS_KEY"):
        rows("s3://shop/in/", secret="hush")


def test_a_dry_run_counts_like_a_run_and_writes_nothing(engine: Engine, smoke: Settings, tmp_path: Path) -> None:
    """Before the first run and between two runs: the counts are those of the run that follows."""
    rows = [review(1), review(2), review(1), review(3, text=review(2)["text"]), review(4, rating=0), review(5)]
    chunks = smoke.model_copy(update={"ingest": smoke.ingest.model_copy(update={"chunk_rows": 2})})
    config = reading(chunks, write_rows(tmp_path / "a.csv", rows), rating_scale="1-5")
    source = open_source(config)
    for limit in (4, 2):
        expected = dry_run(source, config, engine=engine, max_rows=limit)
        before = size(engine, ReviewRow), size(engine, Quarantine), size(engine, IngestRun), size(engine, SourceCursor)
        assert expected == dry_run(source, config, engine=engine, max_rows=limit)
        assert before == (
            size(engine, ReviewRow),
            size(engine, Quarantine),
            size(engine, IngestRun),
            size(engine, SourceCursor),
        )
        counts = run(engine, config, max_rows=limit)
        assert {name: getattr(counts, name) for name in expected.outcomes} == dict(expected.outcomes)
        assert dict(expected.reasons) == counts.reasons
    assert size(engine, ReviewRow) == 4


def test_a_dry_run_shows_examples(smoke: Settings, tmp_path: Path) -> None:
    """What would be taken, what would not and why; without a database as if nothing were known."""
    config = reading(smoke, write_rows(tmp_path / "a.jsonl", [review(1), review(2, rating=6)]), **STARS)
    lines = list(dry_run(open_source(config), config, engine=None).lines())
    assert lines[:2] == ["dry run of shop: 2 rows read, nothing written", "new: 1"]
    assert any("would be taken: R1 (2 stars, 2013-09-13): Review 1" in line for line in lines)
    assert any('rating is 6, 1 to 5 wanted: {"review_id": "R2"' in line for line in lines)
