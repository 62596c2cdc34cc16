"""Ids of sources: two shops with the same running numbers, edits, ids that are none, and people who are forgotten."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from restar_lib.domain import ForgottenKind, Sentiment
from restar_lib.ingest.counts import IngestCounts
from restar_lib.ingest.dry_run import dry_run
from restar_lib.ingest.sources.configured import open_source
from restar_lib.ingest.tombstones import ForgetKey, bury
from restar_lib.ingest.windows import ingest_configured
from restar_lib.privacy.forget import forget
from restar_lib.settings import Settings
from restar_lib.store.tables import LabelTask, PredictionRow, ReviewRow
from tests.reviews import answer

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def row(number: object, text: str, **values: Any) -> dict[str, Any]:
    day = values.pop("day", 1)
    return {
        "id": number,
        "text": f"{text}, and that is all that there is to say about it today.",
        "rating": 4,
        "date": f"2026-03-{day:02d}",
    } | values


def shop(smoke: Settings, name: str, rows: list[dict[str, Any]], *, file: str = "", stable: bool = False) -> Settings:
    """Settings whose source is this shop, with these rows in a file of its folder."""
    folder = smoke.home.parent / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{file or name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    source = {"kind": "files", "name": name, "path": str(folder), "stable_ids": stable}
    return smoke.model_copy(update={"source": smoke.source.model_copy(update=source)})


def read(engine: Engine, settings: Settings) -> IngestCounts:
    return ingest_configured(engine, settings, run_key="test", now=NOW)


def stored(engine: Engine) -> list[tuple[str, str, str]]:
    """Source, id in it and first words of every review."""
    with engine.connect() as connection:
        rows = connection.execute(select(ReviewRow)).all()
    return sorted((one.source, one.id_in_source or one.review_id, one.text.split(",")[0]) for one in rows)


def test_two_shops_with_the_same_running_numbers_keep_all_reviews(engine: Engine, smoke: Settings) -> None:
    """Each keeps its hundred, and reading either again finds them known, in the tables and in a dry run."""
    one = shop(smoke, "shop-a", [row(number, f"Kettle number {number} boils") for number in range(100)])
    two = shop(smoke, "shop-b", [row(number, f"Lamp number {number} shines") for number in range(100)])
    assert [read(engine, one).new, read(engine, two).new] == [100, 100]
    for settings, name in ((one, "shop-a"), (two, "shop-b")):
        again = shop(settings, name, [json.loads(line) for line in _lines(settings)], file="again")
        assert dry_run(open_source(again), again, engine=engine).outcomes["already_known"] == 100  # type: ignore[index]
        assert read(engine, again).already_known == 100
    assert len(stored(engine)) == 200


def _lines(settings: Settings) -> list[str]:
    return next(Path(settings.source.path).glob("shop-*.jsonl")).read_text().splitlines()


def test_two_files_of_one_shop_with_the_same_numbers_keep_all_reviews(
    engine: Engine, smoke: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the source does not say that its ids are stable; it is said that the ids repeat, and what to do."""
    shop(smoke, "shop", [row(number, f"Kettle {number} boils") for number in range(3)], file="2025")
    settings = shop(smoke, "shop", [row(number, f"Lamp {number} shines") for number in range(3)], file="2026")
    counts = read(engine, settings)
    assert (counts.new, counts.already_known, counts.repeated_ids) == (6, 0, 3)
    assert "3 of 6 rows bring an id that stands before another text already" in caplog.text
    assert read(engine, settings).rows_read == 0


def test_an_edit_is_counted_and_keeps_the_older_text_with_its_label(engine: Engine, smoke: Settings) -> None:
    """The newer text is a review to score; prediction and label of the older one stay where they are."""
    read(engine, shop(smoke, "shop", [row("r7", "Good so far")], file="monday", stable=True))
    answer(engine, smoke, ["r7"], Sentiment.POSITIVE, now=NOW)
    with engine.begin() as connection:
        scored = {"review_id": "r7", "model_version": "rs-0000000000", "sentiment": Sentiment.POSITIVE}
        figures = {"p_negative": 0.0, "p_neutral": 0.0, "p_positive": 1.0, "confidence": 1.0, "abstained": False}
        connection.execute(insert(PredictionRow).values(**scored, **figures))
    edited = shop(smoke, "shop", [row("r7", "It broke after a week", day=9)], file="tuesday", stable=True)
    counts = read(engine, edited)
    assert (counts.edited, counts.new, counts.already_known) == (1, 0, 0)
    assert "1 edited" in str(counts)
    with engine.connect() as connection:
        older = connection.execute(select(ReviewRow).where(ReviewRow.review_id == "r7")).one()
        newer = connection.execute(select(ReviewRow).where(ReviewRow.id_in_source == "r7")).one()
        assert connection.scalars(select(LabelTask.review_id)).all() == ["r7"]
        assert connection.scalars(select(PredictionRow.review_id)).all() == ["r7"]
    assert older.replaced_by == newer.review_id
    assert (older.text.startswith("Good so far"), newer.text.startswith("It broke")) == (True, True)
    assert newer.replaced_by is None
    again = shop(
        smoke, "shop", [row("r7", "Good so far"), row("r7", "It broke after a week", day=9)], file="both", stable=True
    )
    assert read(engine, again).already_known == 2


def test_an_older_text_that_comes_later_replaces_nothing(engine: Engine, smoke: Settings) -> None:
    """Files may come in any order; the newest text stays the current one."""
    read(engine, shop(smoke, "shop", [row("r7", "The newest words", day=9)], file="a", stable=True))
    counts = read(engine, shop(smoke, "shop", [row("r7", "The first words", day=2)], file="b", stable=True))
    assert counts.edited == 1
    with engine.connect() as connection:
        current = connection.scalars(select(ReviewRow.text).where(ReviewRow.replaced_by.is_(None))).one()
    assert current.startswith("The newest words")


def test_a_product_id_is_recognised_as_no_id(engine: Engine, smoke: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Four reviews under one id are four reviews, even of a source that calls its ids stable; and that is said."""
    rows = [row("B001", text) for text in ("It shines", "It broke", "It arrived", "It smells")]
    settings = shop(smoke, "shop", rows, stable=True)
    shown = "\n".join(dry_run(open_source(settings), settings, engine=engine).lines())
    assert "new: 4" in shown
    assert "it is no id of a review" in shown
    assert (read(engine, settings).new, len(stored(engine))) == (4, 4)
    assert "it is no id of a review" in caplog.text


def test_forgetting_a_person_of_one_shop_leaves_the_other_shops_ids_free(engine: Engine, smoke: Settings) -> None:
    """Neither the stored review of the other shop goes, nor one with the same id that comes later."""
    read(engine, shop(smoke, "shop-a", [row(1, "Anna's kettle boils", user_id="anna"), row(2, "Another one boils")]))
    read(engine, shop(smoke, "shop-b", [row(1, "The lamp shines", user_id="ben")]))
    report = forget(engine, smoke, user_id="anna", now=NOW, dry_run=False)
    assert report.reviews == 1
    third = read(engine, shop(smoke, "shop-c", [row(1, "A desk of oak", user_id="cyd")]))
    assert third.new == 1
    known = read(engine, shop(smoke, "shop-b", [row(1, "The lamp shines", user_id="ben")], file="again"))
    assert known.already_known == 1
    back = read(engine, shop(smoke, "shop-a", [row(1, "Anna's kettle boils")], file="again"))
    assert back.reasons == {"forgotten": 1}
    assert [one[:2] for one in stored(engine)] == [("shop-a", "2"), ("shop-b", "1"), ("shop-c", "1")]


def test_a_review_that_was_erased_before_ids_belonged_to_sources_stays_away(engine: Engine, smoke: Settings) -> None:
    """Its tombstone does not say where it came from, so no source may bring it."""
    key = ForgetKey.of_or_new(smoke.home)
    with engine.begin() as connection:
        bury(connection, key, [(ForgottenKind.REVIEW, key.review_of_any_source("r7"))], now=NOW)
    assert read(engine, shop(smoke, "shop", [row("r7", "It is back")])).reasons == {"forgotten": 1}


def test_forgetting_a_person_keeps_nobody_else_out_whose_reviews_name_the_same_product(
    engine: Engine, smoke: Settings
) -> None:
    """The id is a product's: hers stays away, those of others are taken, and files that name the product stay whole."""
    log = smoke.home / "logs" / "ingest.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("a row of product B00123456789 came\n")
    hers = row("B00123456789", "Anna's kettle boils", user_id="anna-reviewer-1")
    read(engine, shop(smoke, "shop", [hers, row("B00123456789", "Ben's kettle leaks", user_id="ben")]))
    assert forget(engine, smoke, user_id="anna-reviewer-1", now=NOW, dry_run=False).reviews == 1
    assert log.read_text() == "a row of product B00123456789 came\n"
    late = [hers | {"user_id": None}, row("B00123456789", "Cyd's kettle shines", user_id="cyd")]
    counts = read(engine, shop(smoke, "shop", late, file="late"))
    assert (counts.new, counts.reasons) == (1, {"forgotten": 1})


def test_no_id_that_somebody_wrote_stops_an_ingest(engine: Engine, smoke: Settings) -> None:
    """One that has the form of ours gets one of ours: it cannot stand where a later review would."""
    read(engine, shop(smoke, "shop", [row("7", "The first text")]))
    read(engine, shop(smoke, "probe", [row("7", "The second text")]))
    with engine.connect() as connection:
        made = connection.scalars(select(ReviewRow.review_id).where(ReviewRow.id_in_source == "7")).one()
    read(engine, shop(smoke, "hostile", [row(made, "It wants that place"), row(f"8{made[1:]}", "Or another one")]))
    assert read(engine, shop(smoke, "probe", [row("7", "A third text")], file="more")).new == 1
    assert len(stored(engine)) == 5
    with engine.connect() as connection:
        taken = connection.scalars(select(ReviewRow.review_id).where(ReviewRow.source == "hostile")).all()
    assert not {made, f"8{made[1:]}"} & set(taken)
