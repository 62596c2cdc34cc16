"""Batch scoring: every new review once, predictions and tasks together or not at all, whoever else scores."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from restar_lib.dataset.snapshot import freeze
from restar_lib.domain import AbstainReason, Reason, Sentiment
from restar_lib.errors import ArtifactError
from restar_lib.scoring import pending
from restar_lib.scoring.batch import ScoreCounts, score_new
from restar_lib.settings import Settings
from restar_lib.store.tables import IngestRun, LabelTask, PredictionRow, ReviewRow
from tests.reviews import NOON, add_reviews
from tests.tiny_model import sealed_tiny_model

LATER = NOON + timedelta(days=1)


@pytest.fixture
def model(smoke: Settings) -> Path:
    """A sealed model that knows the words of the test reviews but is sure of little."""
    return sealed_tiny_model(smoke.models_dir, strength=0.4)


@pytest.fixture
def small(smoke: Settings) -> Settings:
    """Chunks of thirty rows, ten tasks a run, no audits."""
    return configured(smoke, audit_rate=0.0, max_tasks=10)


def configured(settings: Settings, **selection: object) -> Settings:
    """The settings with small chunks and this selection."""
    return settings.model_copy(
        update={
            "scoring": settings.scoring.model_copy(update={"chunk_rows": 30}),
            "selection": settings.selection.model_copy(update=selection),
        }
    )


def score(engine: Engine, settings: Settings, model: Path) -> ScoreCounts:
    """One scoring run."""
    return score_new(engine, settings, model_folder=model, now=LATER)


def state(engine: Engine) -> tuple[int, int]:
    """How many predictions and how many tasks there are."""
    with engine.connect() as connection:
        return (
            connection.execute(select(func.count()).select_from(PredictionRow)).scalar_one(),
            connection.execute(select(func.count()).select_from(LabelTask)).scalar_one(),
        )


def test_a_model_that_reads_titles_gets_them(engine: Engine, small: Settings) -> None:
    """The same reviews, surer with titles that say the same as the texts."""
    add_reviews(engine, small, 40)
    with engine.begin() as connection:
        connection.execute(update(ReviewRow).where(ReviewRow.rating == 5).values(title="excellent, great, perfect"))
    means = []
    for reads_titles in (False, True):
        score(engine, small, sealed_tiny_model(small.models_dir, strength=0.4, reads_titles=reads_titles))
        with engine.begin() as connection:
            means.append(connection.execute(select(func.avg(PredictionRow.confidence))).scalar_one())
            connection.execute(delete(PredictionRow))
            connection.execute(delete(LabelTask))
            connection.execute(update(IngestRun).values(scored_at=None))
    assert means[1] > means[0] + 0.02


def test_every_new_review_is_scored_once(engine: Engine, small: Settings, model: Path) -> None:
    """The second run finds nothing to do and changes nothing."""
    add_reviews(engine, small, 100)
    first = score(engine, small, model)
    after = state(engine)
    second = score(engine, small, model)
    assert (first.scored, second.scored) == (100, 0)
    assert state(engine) == after == (100, first.queued_uncertain)


def test_a_prediction_says_what_the_model_said(engine: Engine, small: Settings, model: Path) -> None:
    """Probabilities, class, confidence and abstention of a stored row belong together and to its text."""
    add_reviews(engine, small, 5)
    counts = score(engine, small, model)
    with engine.connect() as connection:
        rows = connection.execute(
            select(PredictionRow, ReviewRow.rating).join(ReviewRow, ReviewRow.review_id == PredictionRow.review_id)
        ).all()
    expected = {1: Sentiment.NEGATIVE, 3: Sentiment.NEUTRAL, 5: Sentiment.POSITIVE}
    for row in rows:
        probabilities = (row.p_negative, row.p_neutral, row.p_positive)
        assert sum(probabilities) == pytest.approx(1.0)
        assert row.sentiment == expected[row.rating]
        assert row.confidence == pytest.approx(max(probabilities))
        assert row.abstained == (row.confidence < 0.65)
        assert (row.model_version, row.scored_at) == (model.name, LATER)
    assert counts.abstained == sum(row.abstained for row in rows)


def test_a_prediction_keeps_why_the_model_abstained(engine: Engine, small: Settings, model: Path) -> None:
    """Doubt, another language, nothing to read; whatever the confidence is."""
    add_reviews(engine, small, 5)
    with engine.begin() as connection:
        ids = connection.scalars(select(ReviewRow.review_id).order_by(ReviewRow.review_id)).all()
        for review_id, written in zip(ids, ("👎 👎 👎", "Zerbrochen, und niemand antwortet"), strict=False):
            connection.execute(update(ReviewRow).where(ReviewRow.review_id == review_id).values(text=written))
    counts = score(engine, small, model)
    with engine.connect() as connection:
        rows = connection.execute(select(PredictionRow).order_by(PredictionRow.review_id)).all()
    reasons = [row.abstain_reason for row in rows]
    assert reasons[:2] == [AbstainReason.UNREADABLE, AbstainReason.LANGUAGE]
    assert reasons[2:] == [AbstainReason.LOW_CONFIDENCE if row.confidence < 0.65 else None for row in rows[2:]]
    assert [row.abstained for row in rows] == [reason is not None for reason in reasons]
    assert counts.abstained == sum(row.abstained for row in rows)


def test_nobody_is_asked_about_a_review_in_a_language_that_the_model_does_not_read(
    engine: Engine, small: Settings, model: Path
) -> None:
    """Neither as uncertain nor as an audit, unless the configuration names the language; unknown ones as before."""
    add_reviews(engine, small, 9, ratings=(1,))
    with engine.begin() as connection:
        connection.execute(update(ReviewRow).values(language="en"))
        for review_id, language in (("r0000", "de"), ("r0001", "ja"), ("r0002", None)):
            named = update(ReviewRow).where(ReviewRow.review_id == review_id)
            connection.execute(named.values(language=language))
    score(engine, configured(small, audit_rate=1.0, max_tasks=100), model)
    assert asked(engine) == {f"r000{number}" for number in range(2, 9)}
    everybody = configured(small, audit_rate=1.0, max_tasks=100, languages=("en", "ja"))
    with engine.begin() as connection:
        connection.execute(delete(PredictionRow))
        connection.execute(update(IngestRun).values(scored_at=None))
    score(engine, everybody, model)
    assert asked(engine) == {f"r000{number}" for number in range(1, 9)}


def asked(engine: Engine) -> set[str]:
    """The reviews that have a task."""
    with engine.connect() as connection:
        return set(connection.scalars(select(LabelTask.review_id)))


def test_a_run_never_queues_more_than_its_share(engine: Engine, small: Settings, model: Path) -> None:
    """The limit is one for the whole run, though chunks are chosen from one by one, and it is used up."""
    add_reviews(engine, small, 100)
    counts = score(engine, small, model)
    assert counts.abstained == 20
    assert counts.queued_uncertain == 10


def test_audits_are_drawn_whatever_the_model_says(engine: Engine, smoke: Settings, model: Path) -> None:
    """At an audit rate of one every review is asked about, the sure ones with the rate stored."""
    settings = configured(smoke, audit_rate=1.0, max_tasks=1)
    add_reviews(engine, settings, 40)
    counts = score(engine, settings, model)
    assert (counts.queued_uncertain, counts.queued_audit) == (1, 39)
    with engine.connect() as connection:
        reasons = connection.execute(select(LabelTask.reasons, LabelTask.audit_rate)).all()
    assert all(Reason.AUDIT in row.reasons and row.audit_rate == 1.0 for row in reasons)


def test_a_killed_run_is_taken_up_where_it_ended(engine: Engine, small: Settings, model: Path) -> None:
    """What was committed stays, the next run reads the rest, and together they ask people no more than one run."""
    add_reviews(engine, small, 100)
    done: list[str] = []

    def die_after_two(line: str) -> None:
        done.append(line)
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_new(engine, small, model_folder=model, now=LATER, progress=die_after_two)
    assert state(engine)[0] == 60
    assert score(engine, small, model).scored == 40
    assert state(engine) == (100, small.selection.max_tasks)


def test_predictions_without_their_tasks_are_never_seen(engine: Engine, small: Settings, model: Path) -> None:
    """Where the queue cannot be written, the predictions of that chunk are not there either."""
    add_reviews(engine, small, 10)
    with engine.begin() as connection:
        connection.execute(text("alter table label_task add constraint no_tasks_today check (false)"))
    with pytest.raises(DBAPIError, match="no_tasks_today"):
        score(engine, small, model)
    assert state(engine) == (0, 0)


def test_two_runs_at_once_end_like_one(engine: Engine, small: Settings, model: Path) -> None:
    """Together they count every review once, and open the tasks of one run."""
    add_reviews(engine, small, 120)
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: score(engine, small, model), range(2)))
    assert sum(count.scored for count in counts) == 120
    assert state(engine) == (120, sum(count.queued_uncertain for count in counts)) == (120, small.selection.max_tasks)


def test_history_is_not_scored(engine: Engine, small: Settings, model: Path) -> None:
    """What was ingested before the first training set was frozen is left alone, what comes later is read."""
    add_reviews(engine, small, 200)
    freeze(engine, small, now=NOON + timedelta(hours=1))
    add_reviews(engine, small, 7, prefix="new", ingested_at=NOON + timedelta(hours=2))
    assert score(engine, small, model).scored == 7
    with engine.connect() as connection:
        assert all(name.startswith("new") for name in connection.execute(select(PredictionRow.review_id)).scalars())


def test_a_new_champion_reads_only_what_nobody_has_read(engine: Engine, small: Settings, model: Path) -> None:
    """After a swap the stream goes on; old reviews are not asked about again."""
    add_reviews(engine, small, 20)
    score(engine, small, model)
    add_reviews(engine, small, 5, prefix="later")
    successor = sealed_tiny_model(small.models_dir, strength=0.4, bias=(0.1, 0.0, 0.0))
    assert score(engine, small, successor).scored == 5


def test_what_housekeeping_deleted_does_not_look_new(engine: Engine, small: Settings, model: Path) -> None:
    """Reviews older than the time for which predictions are kept are not read again."""
    long_ago = LATER - timedelta(days=small.housekeeping.prediction_days + 1)
    add_reviews(engine, small, 10, ingested_at=long_ago)
    score_new(engine, small, model_folder=model, now=long_ago + timedelta(days=1))
    assert state(engine)[0] == 10
    with engine.begin() as connection:
        connection.execute(delete(PredictionRow))
    assert score(engine, small, model).scored == 0


def test_copies_of_a_text_are_not_scored(engine: Engine, small: Settings, model: Path) -> None:
    """A repeated text was read once already."""
    add_reviews(engine, small, 3)
    with engine.begin() as connection:
        copy = update(ReviewRow).where(ReviewRow.review_id == "r0002").values(duplicate_of="r0000")
        connection.execute(copy)
    assert score(engine, small, model).scored == 2


def test_a_run_stops_at_its_limit(engine: Engine, small: Settings, model: Path) -> None:
    """`max_rows` bounds one run; the next goes on."""
    limited = small.model_copy(update={"scoring": small.scoring.model_copy(update={"max_rows": 35})})
    add_reviews(engine, small, 50)
    assert [score(engine, limited, model).scored for _ in range(3)] == [35, 15, 0]


def closed(engine: Engine) -> list[bool]:
    """Of each ingest run whether scoring is done with it."""
    with engine.connect() as connection:
        query = select(IngestRun.scored_at.is_not(None)).order_by(IngestRun.ingest_run_id)
        return list(connection.scalars(query))


def end_runs(engine: Engine) -> None:
    """Let every run of ingest have ended."""
    with engine.begin() as connection:
        connection.execute(update(IngestRun).values(finished_at=NOON))


def test_a_run_whose_reviews_are_all_read_is_not_looked_at_again(engine: Engine, small: Settings, model: Path) -> None:
    """So a nightly scoring costs the same however much was scored before; what comes later is found all the same."""
    add_reviews(engine, small, 20)
    end_runs(engine)
    score(engine, small, model)
    assert closed(engine) == [True]
    assert pending.runs(engine, small, now=LATER) == []
    add_reviews(engine, small, 5, prefix="later")
    assert score(engine, small, model).scored == 5


def test_a_run_with_something_unread_stays_open(engine: Engine, small: Settings, model: Path) -> None:
    """Because the limit came first, or because ingest is still storing."""
    add_reviews(engine, small, 50)
    end_runs(engine)
    add_reviews(engine, small, 5, prefix="still-coming")
    limited = small.model_copy(update={"scoring": small.scoring.model_copy(update={"max_rows": 35})})
    score(engine, limited, model)
    assert closed(engine) == [False, False]
    score(engine, small, model)
    assert closed(engine) == [True, False]


def test_a_run_of_ingest_that_was_killed_is_closed_in_the_end(engine: Engine, small: Settings, model: Path) -> None:
    """It never ends, but after days it stores nothing more."""
    add_reviews(engine, small, 5)
    score(engine, small, model)
    assert closed(engine) == [False]
    score_new(engine, small, model_folder=model, now=NOON + 2 * pending.GIVEN_UP_AFTER)
    assert closed(engine) == [True]


def test_an_altered_model_scores_nothing(engine: Engine, small: Settings, model: Path) -> None:
    """A model whose files are not the sealed ones is refused by name before the first row."""
    add_reviews(engine, small, 3)
    (model / "model.json").write_text((model / "model.json").read_text().replace("0.65", "0.01"))
    with pytest.raises(ArtifactError, match=r"model\.json"):
        score(engine, small, model)
    assert state(engine) == (0, 0)


def test_the_summary_is_one_line_for_the_person_on_call(engine: Engine, small: Settings, model: Path) -> None:
    """Version, rows, speed, abstentions and tasks."""
    add_reviews(engine, small, 30)
    line = str(score(engine, small, model))
    assert line.startswith(f"{model.name} scored 30 reviews in ")
    assert line.endswith("/s): 20.0 % abstained, 6 queued (0 as audits)")
