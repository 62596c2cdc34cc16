"""A forgotten person is gone from tables, training sets and files, and no source brings them back."""

import gzip
import json
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from restar_lib.dataset import snapshot
from restar_lib.domain import Side
from restar_lib.errors import ConfigurationError, SnapshotError
from restar_lib.ingest.tombstones import KEY_FILE
from restar_lib.label_audit.audit_store import save
from restar_lib.label_quality import doubted_labels
from restar_lib.label_quality.doubted_labels import DoubtedLabels
from restar_lib.privacy.forget import finish
from restar_lib.settings import Settings
from restar_lib.store.tables import Base, ReviewRow, SnapshotRow
from tests.forgetting import ANNA, BEN, NOW, SHARED, audit_of, deliver, filled, forgotten, ids_of, read, row
from tests.tiny_model import sealed_tiny_model


def everything(engine: Engine) -> str:
    """All tables as one text."""
    with engine.connect() as connection:
        return json.dumps(
            {
                table.name: [list(map(str, found)) for found in connection.execute(select(table))]
                for table in Base.metadata.sorted_tables
            }
        )


@pytest.fixture
def house(engine: Engine, smoke: Settings) -> Settings:
    """Many people's reviews, some rejected rows, a labeled task of Anna's, and predictions of hers."""
    return filled(engine, smoke)


def test_nothing_of_a_forgotten_person_is_left_in_any_table(engine: Engine, house: Settings) -> None:
    """Neither id nor words, of accepted and of rejected rows; what others wrote is all there."""
    gone = [one for one in ids_of(engine, ANNA) if one]
    with engine.connect() as connection:
        before = connection.scalar(text("select count(*) from review"))
    report = forgotten(engine, house)
    assert (report.reviews, report.predictions, report.tasks, report.labels, report.quarantined) == (13, 13, 2, 2, 2)
    content = everything(engine)
    assert [one for one in (ANNA, *gone) if one in content] == []
    with engine.connect() as connection:
        assert connection.scalar(text("select count(*) from review")) == (before or 0) - 13
        assert connection.scalar(text("select count(*) from quarantine")) == 1


def test_not_even_the_databases_statistics_name_them(engine: Engine, house: Settings) -> None:
    """Postgres keeps the commonest values of each column, which every dump of its catalog would show."""
    common = text(
        "select coalesce(string_agg(most_common_vals::text, ' '), '') from pg_stats where tablename = 'review'"
    )
    with engine.begin() as connection:
        connection.execute(text("analyze review"))
        assert ANNA in str(connection.scalar(common))
    forgotten(engine, house)
    with engine.connect() as connection:
        assert ANNA not in str(connection.scalar(common))


def test_a_text_that_somebody_else_wrote_too_stays_with_them(engine: Engine, house: Settings) -> None:
    """Ben's copy becomes the original: it can be scored, asked about and trained on."""
    assert forgotten(engine, house).handed_over == 1
    with engine.connect() as connection:
        found = connection.execute(
            select(ReviewRow.user_id, ReviewRow.duplicate_of).where(ReviewRow.text == SHARED)
        ).all()
    assert [tuple(one) for one in found] == [(BEN, None)]


def test_a_text_that_lives_on_with_somebody_else_is_read_by_the_model(engine: Engine, house: Settings) -> None:
    """A copy is never scored; once it is the original, the run that brought it is looked at again."""
    shared = "Bought in a sale, and the second one from the same shop: it does what it should, no more."
    read(engine, deliver(house, "hers", [row(ANNA, 600, text=shared)]))
    read(engine, deliver(house, "his", [row(BEN, 601, text=shared)]))
    with engine.begin() as connection:
        connection.execute(text("update ingest_run set scored_at = now()"))
        connection.execute(text("update review set duplicate_of = null, text_hash = 'kept' where asin = 'B0400'"))
    forgotten(engine, house)
    with engine.connect() as connection:
        reopened = connection.execute(text("select source from ingest_run where scored_at is null")).scalars().all()
    assert reopened == ["his"]


def test_a_dry_run_counts_the_same_and_changes_nothing(engine: Engine, house: Settings) -> None:
    """Not a row, not a file, and no key is made."""
    frozen = snapshot.freeze(engine, house, now=NOW)
    log = house.home / "logs" / "serving.log"
    log.parent.mkdir()
    log.write_text(f"somebody asked about {ANNA}\n")
    before = everything(engine)
    dry = forgotten(engine, house, dry_run=True)
    assert everything(engine) == before
    assert ANNA in log.read_text()
    assert snapshot.load(frozen.folder)
    assert not (house.home / KEY_FILE).exists()
    real = forgotten(engine, house)
    assert vars(real) == vars(dry) | {"dry_run": False}


def test_no_source_brings_a_forgotten_person_back(engine: Engine, house: Settings) -> None:
    """Every row is counted as forgotten, whether it was accepted, rejected or never seen before; nothing is stored."""
    path = Path(house.source.path)
    lines = path.read_text().splitlines()
    forgotten(engine, house)
    again = deliver(house, "again", [*lines, row(ANNA, 900), row(ANNA, 901, rating=77)])
    counts = read(engine, again)
    assert counts.reasons == {"forgotten": 17, "bad_rating": 1}
    assert (counts.new, counts.already_known + counts.duplicate_text) == (0, 122)
    assert ANNA not in everything(engine)


def test_what_a_person_writes_afterwards_is_taken(engine: Engine, house: Settings) -> None:
    """They asked to be forgotten for what was, not to be silenced."""
    forgotten(engine, house)
    later = (NOW + timedelta(days=1)).isoformat()
    assert read(engine, deliver(house, "later", [row(ANNA, 1000, timestamp=later)])).new == 1


def test_without_the_key_of_the_tombstones_nothing_is_ingested(engine: Engine, house: Settings) -> None:
    """Else everybody who was forgotten would silently come back."""
    forgotten(engine, house)
    (house.home / KEY_FILE).write_text("00" * 32)
    with pytest.raises(ConfigurationError, match=r"forget\.key is not the key"):
        read(engine, deliver(house, "again", [row(BEN, 1)]))
    with pytest.raises(ConfigurationError, match=r"forget\.key is not the key"):
        forgotten(engine, house, BEN)


def test_snapshots_are_rewritten_and_the_models_that_saw_them_are_named(engine: Engine, house: Settings) -> None:
    """The old one says what became of it; the new one is whole, holds all others, and nobody forgotten."""
    frozen = snapshot.freeze(engine, house, now=NOW)
    hers = set(ids_of(engine, ANNA))
    rows = [one for side in Side for one in frozen.examples(side)]
    seen = [one for one in rows if one.review_id in hers]
    assert seen
    model = sealed_tiny_model(house.models_dir, snapshot_hash=frozen.snapshot_hash)
    other = sealed_tiny_model(house.models_dir, snapshot_hash="0" * 16)
    pushed = house.published_dir / "datasets" / frozen.snapshot_hash
    (pushed / "data").mkdir(parents=True)
    report = forgotten(engine, house)
    assert not pushed.exists()
    assert (report.snapshots, report.learned) == ((frozen.snapshot_hash,), (model.name,))
    assert other.name not in report.judged
    with pytest.raises(SnapshotError, match="people in it were forgotten"):
        snapshot.load(frozen.folder)
    with engine.connect() as connection:
        new = connection.scalar(
            select(SnapshotRow.rewritten_as).where(SnapshotRow.snapshot_hash == frozen.snapshot_hash)
        )
    left = snapshot.load(house.snapshots_dir / str(new))
    assert [one for side in Side for one in left.examples(side)] == [one for one in rows if one not in seen]
    assert left.frozen_at == frozen.frozen_at
    assert sum(path.stat().st_size for path in frozen.folder.iterdir()) < 300


def test_asking_again_names_a_model_that_was_sealed_later(engine: Engine, house: Settings) -> None:
    """A training that ran while the person was forgotten ends in a model that has seen them."""
    frozen = snapshot.freeze(engine, house, now=NOW)
    forgotten(engine, house)
    late = sealed_tiny_model(house.models_dir, snapshot_hash=frozen.snapshot_hash)
    report = forgotten(engine, house)
    assert (report.reviews, report.learned) == (0, (late.name,))


def test_a_snapshot_that_a_killed_call_left_is_rewritten_by_housekeeping(engine: Engine, house: Settings) -> None:
    """What was forgotten is found by tombstone: the rows of the tables are not needed for it."""
    frozen = snapshot.freeze(engine, house, now=NOW)
    aside = house.home / "aside"
    house.snapshots_dir.rename(aside)
    forgotten(engine, house)
    aside.rename(house.snapshots_dir)
    assert snapshot.load(frozen.folder)
    assert finish(engine, house) == 1
    assert not (frozen.folder / "manifest.json").exists()
    assert finish(engine, house) == 0


def test_traces_in_files_are_written_over_where_they_stand(engine: Engine, house: Settings) -> None:
    """A log that is open goes on being written; in held reviews only their line is blank."""
    review_id = ids_of(engine, ANNA)[0]
    log = house.home / "logs" / "airflow" / "task.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"read {review_id} of {ANNA}, not of {ANNA}0\nanother line\n")
    held = house.home / "replay" / "held" / "slice-0001.jsonl.gz"
    held.parent.mkdir(parents=True)
    lines = [json.dumps(one).encode() for one in (row(BEN, 1), row(ANNA, 2), row(BEN, 3, text=f"Not like {ANNA} said"))]
    held.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    with log.open("a") as writer:
        report = forgotten(engine, house)
        writer.write("written afterwards\n")
    assert report.files == ("logs/airflow/task.log", "replay/held/slice-0001.jsonl.gz")
    masked = f"read {'x' * len(review_id)} of {'x' * len(ANNA)}, not of {ANNA}0\nanother line\nwritten afterwards\n"
    assert log.read_text() == masked
    assert gzip.decompress(held.read_bytes()).split(b"\n") == [lines[0], b" " * len(lines[1]), lines[2], b""]


def test_an_audit_of_stars_that_shows_their_words_is_deleted(engine: Engine, house: Settings) -> None:
    """Page, JSON and CSV hold the whole text; an audit that lists others alone stays."""
    hers, bens = (save(house, audit_of(*ids_of(engine, user), name=user)) for user in (ANNA, BEN))
    forgotten(engine, house)
    assert [path.exists() for path in (hers.html, hers.json, hers.csv)] == [False] * 3
    assert [path.exists() for path in (bens.html, bens.json, bens.csv)] == [True] * 3


def test_an_audit_that_ran_while_they_were_forgotten_is_deleted_by_housekeeping(
    engine: Engine, house: Settings
) -> None:
    """It was in memory then; its files are found by tombstone."""
    late = audit_of(*ids_of(engine, ANNA), name="late")
    forgotten(engine, house)
    written = save(house, late)
    assert finish(engine, house) == 3
    assert [path.exists() for path in (written.html, written.json, written.csv)] == [False] * 3


def test_what_a_training_doubts_no_longer_names_their_reviews(engine: Engine, house: Settings) -> None:
    """Ids alone stand there, and others' stay; a training that ended meanwhile is found by tombstone."""
    hers, bens = ids_of(engine, ANNA)[0], ids_of(engine, BEN)[0]
    doubts = DoubtedLabels(judged=9, doubted=2, most=((hers, 0.9), (bens, 0.8)))
    doubts.write(house.models_dir, "rs-1111111111")
    file = "models/rs-1111111111.doubted.json"
    assert [file in forgotten(engine, house, dry_run=dry).files for dry in (True, False)] == [True, True]
    assert hers not in (house.home / file).read_text()
    doubts.write(house.models_dir, "rs-2222222222")
    assert finish(engine, house) == 1
    assert finish(engine, house) == 0
    left = [doubted_labels.read(house.models_dir, version) for version in ("rs-1111111111", "rs-2222222222")]
    assert left == [doubts.model_copy(update={"most": ((bens, 0.8),)})] * 2


def test_an_id_that_stands_escaped_in_a_raw_row_is_found(engine: Engine, house: Settings) -> None:
    """JSON escapes letters beyond ASCII: in rejected rows and in held reviews it is the same person."""
    joerg = "jörg-reviewer-5"
    read(engine, deliver(house, "his", [row(joerg, 1), row(joerg, 2, text="too short")]))
    held = house.home / "replay" / "held" / "slice-0001.jsonl.gz"
    held.parent.mkdir(parents=True)
    line = json.dumps(row(joerg, 3)).encode()
    assert joerg.encode() not in line
    held.write_bytes(gzip.compress(line + b"\n"))
    report = forgotten(engine, house, joerg)
    assert (report.reviews, report.quarantined, report.files) == (1, 1, ("replay/held/slice-0001.jsonl.gz",))
    assert gzip.decompress(held.read_bytes()) == b" " * len(line) + b"\n"


def test_a_published_set_is_withdrawn_though_its_snapshot_is_gone(engine: Engine, house: Settings) -> None:
    """Housekeeping deletes old training sets; what was pushed of them into our own folder holds texts still."""
    theirs, others = (house.published_dir / "datasets" / name / "data" / "train" for name in ("with", "without"))
    for folder, review_id in ((theirs, ids_of(engine, ANNA)[0]), (others, ids_of(engine, BEN)[0])):
        folder.mkdir(parents=True)
        (folder / "toys.jsonl").write_text(json.dumps({"review_id": review_id, "text": "a text"}) + "\n")
    forgotten(engine, house)
    assert not theirs.exists()
    assert others.exists()


def test_a_mail_that_names_a_person_in_an_encoded_part_is_deleted(engine: Engine, house: Settings) -> None:
    """What stands plainly is written over; a part in base64 cannot be, so the whole mail goes."""
    mail = EmailMessage()
    mail.set_content(f"a task of {ANNA} failed")
    mail.add_alternative(f"<p>a task of {ANNA} failed</p>", subtype="html", cte="base64")
    path = house.home / "mail" / "one.eml"
    path.parent.mkdir(parents=True)
    path.write_bytes(mail.as_bytes())
    assert forgotten(engine, house).files == ("mail/one.eml",)
    assert not path.exists()


def test_nobody_by_that_name_is_kept_out_all_the_same(engine: Engine, house: Settings) -> None:
    """The source may hold reviews of theirs that nobody has read yet."""
    assert forgotten(engine, house, "cleo-reviewer-3").reviews == 0
    assert read(engine, deliver(house, "more", [row("cleo-reviewer-3", 1)])).reasons == {"forgotten": 1}
