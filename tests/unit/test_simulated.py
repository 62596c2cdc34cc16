"""The simulator: the same for ever, rich enough to learn from, and honest about its truth."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice

import pytest

from restar_lib.domain import QuarantineReason, Review, Sentiment, weak_label
from restar_lib.errors import SourceError
from restar_lib.ingest.cleaning.clean import Rejection, clean
from restar_lib.ingest.raw_rows import RawRow
from restar_lib.ingest.sources.simulated import SimulatedSource
from restar_lib.settings import IngestSettings, SimulatedSettings
from restar_lib.simulator.phrases import LEAKING_TITLES
from restar_lib.simulator.reviews import review, true_sentiment, written_at

CONFIG = SimulatedSettings()
RECORDED = (
    "I cannot say anything bad about this pair of headphones. I ordered it in November, together with a yellow bag. "
    "Also, the app finds the device at once. I would buy it again."
)
ROWS = 6_000


def stream(config: SimulatedSettings, rows: int, cursor: dict[str, object] | None = None) -> list[RawRow]:
    return list(islice(SimulatedSource(name="simulated", config=config).rows(cursor), rows))


@cache
def cleaned() -> tuple[Review | Rejection, ...]:
    """The first rows of the default stream as ingest sees them."""
    malformed = Rejection(reason=QuarantineReason.MALFORMED, detail="cut off")
    rows = stream(CONFIG, ROWS)
    return tuple(
        malformed if row.fields is None else clean(row.fields, IngestSettings(), source="simulated") for row in rows
    )


def reviews() -> list[Review]:
    return [row for row in cleaned() if isinstance(row, Review)]


def test_a_review_never_changes() -> None:
    """Stored reviews are judged by their recomputed truth, so this text was recorded and must stay."""
    assert review(12, CONFIG)["text"] == RECORDED
    assert true_sentiment(f"sim-{CONFIG.seed}-12", CONFIG) is Sentiment.POSITIVE


def test_reading_starts_anywhere() -> None:
    """From any cursor exactly the rest follows; another seed is another stream."""
    whole = stream(CONFIG, 40)
    assert stream(CONFIG, 30, whole[9].cursor_after) == whole[10:]
    assert {row.raw for row in stream(SimulatedSettings(seed=1), 40)}.isdisjoint(row.raw for row in whole)


def test_a_cursor_of_another_seed_is_refused() -> None:
    """Going on in another stream would mix two histories; the message says what to do."""
    with pytest.raises(SourceError, match=r"simulated\.seed 1.*make reset"):
        stream(CONFIG, 1, {"kind": "simulated", "seed": 1, "next": 5})


def test_a_cursor_of_files_is_refused() -> None:
    """State that was read from files does not silently become simulated."""
    with pytest.raises(SourceError, match="'files'"):
        stream(CONFIG, 1, {"kind": "files", "files": {}, "file": "a", "state": {}})


def test_classes_are_mixed_like_real_ones() -> None:
    """About 75 % positive, 10 % neutral, 15 % negative, so accuracy alone means as little as on real streams."""
    counts = Counter(true_sentiment(row.review_id, CONFIG) for row in reviews())
    shares = {sentiment: counts[sentiment] / len(reviews()) for sentiment in Sentiment}
    assert shares == pytest.approx(
        {Sentiment.POSITIVE: 0.75, Sentiment.NEUTRAL: 0.10, Sentiment.NEGATIVE: 0.15}, abs=0.02
    )


def test_stars_contradict_the_text_at_the_set_rate() -> None:
    """At 0 never, by default on about 5 % of the reviews."""

    def rate(config: SimulatedSettings, ids: list[str], ratings: list[int]) -> float:
        wrong = [
            weak_label(rating) is not true_sentiment(id_, config) for id_, rating in zip(ids, ratings, strict=True)
        ]
        return sum(wrong) / len(wrong)

    rows = reviews()
    assert rate(CONFIG, [row.review_id for row in rows], [row.rating or 0 for row in rows]) == pytest.approx(
        0.05, abs=0.01
    )
    honest = SimulatedSettings(disagreement_rate=0)
    fields = [row for row in (review(number, honest) for number in range(500)) if "rating" in row]
    assert rate(honest, [row["review_id"] for row in fields], [row["rating"] for row in fields]) == 0


def test_texts_are_distinct_besides_the_repeats() -> None:
    """More than 95 % without repeats; with them, copies are word for word and share their truth."""
    by_hash: dict[str, set[Sentiment]] = {}
    for row in reviews():
        by_hash.setdefault(row.text_hash, set()).add(true_sentiment(row.review_id, CONFIG))
    assert all(len(truths) == 1 for truths in by_hash.values())
    assert 0.01 < 1 - len(by_hash) / len(reviews()) < 0.03
    unrepeated = {review(number, SimulatedSettings(repeat_rate=0))["text"] for number in range(1000)}
    assert len(unrepeated) > 950


def test_lengths_are_short_and_spread() -> None:
    """Most reviews have 12 to 45 words: the first model must train in a minute."""
    words = sorted(row.words for row in reviews())
    assert words[0] >= 10
    assert 20 <= words[len(words) // 2] <= 40
    assert words[len(words) * 95 // 100] <= 55


def test_some_rows_end_in_quarantine() -> None:
    """Too short, malformed and without a rating, together one or two of a hundred."""
    reasons = Counter(row.reason for row in cleaned() if isinstance(row, Rejection))
    assert set(reasons) == {QuarantineReason.TOO_SHORT, QuarantineReason.MALFORMED, QuarantineReason.BAD_RATING}
    assert 0.01 < reasons.total() / ROWS < 0.03


def test_titles_leak_like_real_ones() -> None:
    """Some titles say the stars as Amazon's did; after cleaning none does, and others stay."""
    raw = [row.fields.get("title") for row in stream(CONFIG, 500) if row.fields]
    assert 0.08 < sum(title in LEAKING_TITLES.values() for title in raw) / len(raw) < 0.2
    assert not any("Star" in (row.title or "") for row in reviews())
    assert any(row.title for row in reviews())


def test_markup_and_typos_are_in_the_stream_and_markup_not_in_the_reviews() -> None:
    """Cleaning has something to do; typos appear at their rate and not at zero."""
    raw = [row.fields["text"] for row in stream(CONFIG, 500) if row.fields]
    assert any("<br" in text for text in raw)
    assert not any("<br" in row.text or "&#" in row.text for row in reviews())
    typed = [review(number, SimulatedSettings(typo_rate=1))["text"] for number in range(50)]
    plain = [review(number, SimulatedSettings(typo_rate=0))["text"] for number in range(50)]
    assert sum(one != other for one, other in zip(typed, plain, strict=True)) > 45


def test_times_follow_the_numbers() -> None:
    """`per_day` reviews a day from `start` on."""
    config = SimulatedSettings(start=datetime(2025, 3, 1, tzinfo=UTC), per_day=4)
    assert written_at(0, config) == config.start
    assert written_at(6, config) == config.start + timedelta(days=1.5)
    assert review(6, config)["reviewed_at"] == "2025-03-02T12:00:00+00:00"


def test_drift_begins_at_its_date() -> None:
    """Before it the stream is as without; from it on come a new category, new words and fewer positives."""
    start = CONFIG.start + timedelta(days=5)
    drifting = CONFIG.model_copy(update={"drift_from": start})
    first = 5 * CONFIG.per_day
    assert [review(number, drifting) for number in range(200)] == [review(number, CONFIG) for number in range(200)]
    after = [review(number, drifting) for number in range(first, first + 1000)]
    categories = Counter(row["product_category"] for row in after)
    truths = Counter(true_sentiment(row["review_id"], drifting) for row in after)
    assert 0.4 < categories["Smart_Home"] / 1000 < 0.6
    assert truths[Sentiment.POSITIVE] / 1000 < 0.6
    assert sum("mid" in row["text"].lower().split() for row in after) > 20


def test_a_drilled_span_drifts_and_what_follows_is_usual_again() -> None:
    """Before and behind the span every review is word for word what it would have been; inside, the mix is another."""
    start, end = written_at(1000, CONFIG), written_at(2000, CONFIG)
    drilled = CONFIG.model_copy(update={"drills": ((start, end),)})
    changed = [number for number in range(3000) if review(number, drilled) != review(number, CONFIG)]
    inside = Counter(review(number, drilled)["product_category"] for number in range(1000, 2000))
    assert inside["Smart_Home"] > 400
    assert min(changed) >= 1000
    # Later ones may repeat a drifted text word for word.
    assert len([number for number in changed if number >= 2000]) < 60


@pytest.mark.parametrize("review_id", ["R1", "sim-1-5", "sim-20260101-x", "sim-20260101-", "20260101-5"])
def test_the_truth_of_other_reviews_is_not_invented(review_id: str) -> None:
    """A real review or one of another seed has no known truth."""
    with pytest.raises(SourceError, match="its truth is unknown"):
        true_sentiment(review_id, CONFIG)
