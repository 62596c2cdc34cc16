"""Statements about more rows than Postgres takes parameters (65,535): each list is one array."""

from sqlalchemy import Connection, Engine, func, insert, select, text

from restar_lib.gate import verdict_log
from restar_lib.gate.verdict_log import VerdictKey
from restar_lib.ingest.erasure import erase_reviews
from restar_lib.monitoring import watch_log
from restar_lib.monitoring.alerts import alert_log
from restar_lib.store.tables import DriftReportRow, ReviewRow, SnapshotRow, VerdictReview

MANY = 70_000
KEY = VerdictKey(challenger="rs-1111111111", champion=None, snapshot_hash="a" * 16, rules_hash="b" * 16)


def many_reviews(
    connection: Connection, count: int, *, user: str, prefix: str, copies_of: str | None = None
) -> list[str]:
    """Store so many reviews of a person, each a copy of the one with the same number where `copies_of` is given."""
    run = "insert into ingest_run (source, run_key) values ('test', :prefix) returning ingest_run_id"
    run_id = connection.execute(text(run), {"prefix": prefix}).scalar_one()
    rows = text(
        """insert into review (review_id, user_id, text, words, text_hash, rating, reviewed_at, side, source, ingest_run_id,
                               duplicate_of)
           select :prefix || n, :user, 'The handle is sturdy, number ' || n, 6, 'hash ' || n, 5, now(), 'test', 'test', :run,
                  cast(:copies_of as text) || n
           from generate_series(1, :count) n"""
    )
    values = {"prefix": prefix, "user": user, "count": count, "run": run_id, "copies_of": copies_of}
    connection.execute(rows, values)
    return [f"{prefix}{number}" for number in range(1, count + 1)]


def test_a_verdict_on_70_000_rows_is_stored_and_counted(engine: Engine) -> None:
    """After hours of training; a row that was erased meanwhile is left out."""
    with engine.begin() as connection:
        rows = many_reviews(connection, MANY, user="somebody", prefix="r")
        counts = dict.fromkeys(("train_rows", "validation_rows", "test_rows", "people_rows"), MANY)
        connection.execute(insert(SnapshotRow).values(snapshot_hash=KEY.snapshot_hash, **counts))
    assert verdict_log.times_used(engine, rows) == 0
    rows.append("erased meanwhile")
    verdict = verdict_log.record(engine, KEY, run_key=None, lines=(), provisional=False, review_ids=rows)
    with engine.connect() as connection:
        stored = connection.scalar(select(func.count()).select_from(VerdictReview))
        challengers = verdict_log.challengers_on(connection, ["a" * 16, *(f"{n}" for n in range(MANY))])
    assert (stored, challengers) == (MANY, {"rs-1111111111"})
    assert verdict_log.times_used(engine, rows) == 1
    assert verdict_log.times_used(engine, rows, but=verdict) == 0


def test_70_000_deleted_reports_lose_their_links(engine: Engine) -> None:
    """Housekeeping after a long pause."""
    report = {"model_version": "rs-1111111111", "window_rows": 1, "enough_rows": True, "findings": {}}
    with engine.begin() as connection:
        for name in ("drift/69999.html", "drift/kept.html"):
            connection.execute(insert(DriftReportRow).values(run_key=name, report_file=name, **report))
        files = [f"drift/{number}.html" for number in range(MANY)]
        watch_log.forget_reports(connection, files)
        alert_log.forget_reports(connection, files)
        left = connection.scalars(select(DriftReportRow.report_file).order_by(DriftReportRow.run_key)).all()
    assert left == [None, "drift/kept.html"]


def test_35_000_texts_of_one_person_live_on_with_somebody_else(engine: Engine) -> None:
    """A shop that copies its reviews under two names; each copy becomes the original of its own text."""
    with engine.begin() as connection:
        hers = many_reviews(connection, 35_000, user="anna", prefix="a")
        his = many_reviews(connection, 35_000, user="ben", prefix="b", copies_of="a")
        assert sorted(erase_reviews(connection, hers)) == sorted(his)
        left = select(func.count(), func.count(ReviewRow.duplicate_of)).select_from(ReviewRow)
        assert connection.execute(left).one() == (35_000, 0)
