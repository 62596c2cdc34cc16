"""The thresholds of the watch, and the words that a person on call reads."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from restar_lib.artifacts.reference import Columns, Observation, columns_of
from restar_lib.domain import Sentiment
from restar_lib.labeling.queue import QueueCounts
from restar_lib.monitoring.alerts.alert_log import AlertDetails
from restar_lib.monitoring.alerts.alert_text import drift_details, queue_details
from restar_lib.monitoring.drift.evidently_comparison import ColumnDistance
from restar_lib.monitoring.drift.findings import (
    ColumnDrift,
    DriftMeasurements,
    FindingKind,
    judge,
    judge_queue,
    measure,
    subject,
    within_sampling_noise,
)
from restar_lib.monitoring.drift.sampling_noise import BinnedColumn
from restar_lib.settings import MonitoringSettings

LIMITS = MonitoringSettings()
NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
QUEUE = QueueCounts(open=12, claimed=0, done=0, merged=0, oldest_open_at=NOW, skipped_by_all=2, disagreeing=1)
CALM = {"text_length": 0.02, "oov_share": 0.01, "product_category": 0.0, "rating": 0.03, "predicted": 0.0}


def shares(negative: float, positive: float) -> dict[Sentiment, float]:
    """A class mix without neutral ones."""
    return {Sentiment.NEGATIVE: negative, Sentiment.NEUTRAL: 0.0, Sentiment.POSITIVE: positive}


def measured(
    *, psi: dict[str, float] | None = None, confidence: float = 0.9, negative: float = 0.2
) -> DriftMeasurements:
    """A window that is calm but for what the test says."""
    values = CALM | (psi or {})
    return DriftMeasurements(
        columns=tuple(ColumnDrift(name=name, psi=it, drifted=it > LIMITS.max_psi) for name, it in values.items()),
        mean_confidence=confidence,
        reference_confidence=0.91,
        class_shares=shares(negative, 1 - negative),
        reference_shares=shares(0.2, 0.8),
    )


def far(
    psi: float, *, by_chance_up_to: float = 0.0, ks: float | None = None, ks_p: float | None = None
) -> ColumnDistance:
    """A column that moved so far."""
    counted = BinnedColumn(labels=("a", "b"), before=(80, 20), now=(80, 20))
    return ColumnDistance(psi=psi, psi_by_chance=by_chance_up_to, ks=ks, ks_p=ks_p, binned=counted)


def column(distance: ColumnDistance) -> ColumnDrift:
    """How the watch takes it."""
    rows = columns_of([], frozenset())
    return measure(rows, rows, distances={"rating": distance}, limits=LIMITS).columns[0]


@pytest.mark.parametrize(
    ("distance", "drifted"),
    [
        (far(0.3), True),
        (far(0.3, by_chance_up_to=0.4), False),
        (far(0.5, by_chance_up_to=0.4), True),
        (far(0.1, ks=0.21, ks_p=0.0001), True),
        (far(0.1, ks=0.21, ks_p=0.02), False),
        (far(0.1, ks=0.19, ks_p=0.0001), False),
    ],
)
def test_a_column_drifted_where_one_measure_is_beyond_its_limit_and_beyond_chance(
    distance: ColumnDistance, *, drifted: bool
) -> None:
    """The index and the KS distance each suffice; what so few rows show by chance never does."""
    assert column(distance).drifted is drifted


def test_a_distance_that_chance_explains_is_said_and_is_no_finding() -> None:
    """The person who reads the report sees why 0.30 raised no alert."""
    window = replace(measured(), columns=(column(far(0.3, by_chance_up_to=0.4)),))
    assert kinds(window) == []
    assert within_sampling_noise(window, LIMITS) == (
        "rating moved by 0.30 (limit 0.25), which so few rows show by chance, up to 0.40: no finding.",
    )


def test_a_class_shift_that_chance_explains_is_said_and_is_no_finding() -> None:
    """Twenty points mean little in a window of thirty reviews."""
    window = replace(measured(negative=0.4), shift_by_chance=0.25)
    assert kinds(window) == []
    assert "20 points" in within_sampling_noise(window, LIMITS)[0]


def kinds(window: DriftMeasurements) -> list[FindingKind]:
    """What is found."""
    return [finding.kind for finding in judge(window, LIMITS)]


def test_a_calm_window_has_no_finding() -> None:
    """All numbers within their limits."""
    assert kinds(measured()) == []


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (measured(psi={"rating": 0.25}), []),
        (measured(psi={"rating": 0.26}), [FindingKind.COLUMN_DRIFT]),
        (measured(psi={"rating": 0.3, "predicted": 0.3}), [FindingKind.COLUMN_DRIFT, FindingKind.DRIFTED_SHARE]),
        (measured(confidence=0.86), []),
        (measured(confidence=0.859), [FindingKind.LOW_CONFIDENCE]),
        (measured(negative=0.34), []),
        (measured(negative=0.36), [FindingKind.CLASS_SHIFT]),
        (measured(negative=0.04), [FindingKind.CLASS_SHIFT]),
    ],
)
def test_a_limit_counts_as_crossed_only_beyond_it(window: DriftMeasurements, expected: list[FindingKind]) -> None:
    """The defaults are those of the design: 0.25, 30 %, 0.05 under the training, 15 points up or down."""
    assert kinds(window) == expected


def test_a_finding_says_what_how_bad_and_which_limit() -> None:
    """Numbers and limits stand in the sentence, not only the fact."""
    found = judge(measured(psi={"rating": 1.5}, confidence=0.7, negative=0.5), LIMITS)
    assert [finding.sentence for finding in found] == [
        (
            "Drifted against the training reference: rating (1.50); population stability index, limit 0.25; "
            "KS distance, limit 0.2."
        ),
        (
            "Mean confidence is 0.700; on held-out reviews at training it was 0.910 "
            "(limit: at most 0.05 under that of training)."
        ),
        "The share of negative predictions went from 20.0 % to 50.0 %, more than 15 points.",
    ]


def test_a_subject_line_is_short_and_repeats_nothing() -> None:
    """Five drifted columns are counted, not listed, and counted once."""
    found = judge(measured(psi=dict.fromkeys(CALM, 0.9), confidence=0.7), LIMITS)
    assert subject(found) == "5 of 5 columns drifted; mean confidence 0.70"
    assert subject(judge(measured(psi={"rating": 0.9}), LIMITS)) == "rating drifted"


def test_measuring_puts_the_column_that_moved_most_first() -> None:
    """And takes confidence and classes of both sides from the columns."""
    before = [Observation(text="a", product_category=None, rating=5, predicted=Sentiment.POSITIVE, confidence=0.9)]
    after = [Observation(text="a", product_category=None, rating=1, predicted=Sentiment.NEGATIVE, confidence=0.6)]
    reference, window = columns_of(before, frozenset()), columns_of(after, frozenset())
    result = measure(reference, window, distances={"rating": far(0.1), "predicted": far(0.4)}, limits=LIMITS)
    assert [(column.name, column.drifted) for column in result.columns] == [("predicted", True), ("rating", False)]
    assert (result.mean_confidence, result.reference_confidence, result.class_shift) == (0.6, 0.9, 1.0)
    assert result.drifted_share == 0.5


def sure(mean: float, *, rows: int, seed: int) -> Columns:
    """Columns of a model that is so sure on average, give or take 0.15."""
    chance = random.Random(seed)
    confidence = [min(1.0, max(0.34, chance.gauss(mean, 0.15))) for _ in range(rows)]
    off = mean - sum(confidence) / rows
    return columns_of(
        (
            Observation(text="a", product_category=None, rating=5, predicted=Sentiment.POSITIVE, confidence=one + off)
            for one in confidence
        ),
        frozenset(),
    )


@pytest.mark.parametrize(
    ("now", "rows", "config", "found"),
    [
        (0.78, 1000, {}, False),
        (0.74, 1000, {}, False),
        (0.72, 1000, {}, True),
        (0.72, 1000, {"max_confidence_drop": 0.1}, False),
        (0.72, 50, {}, False),
        (0.78, 1000, {"min_mean_confidence": 0.85}, True),
        (0.78, 1000, {"min_mean_confidence": 0.7}, False),
    ],
)
def test_confidence_is_compared_with_that_of_the_training(
    now: float, rows: int, config: dict[str, float], *, found: bool
) -> None:
    """A model that had 0.78 at its training does not alarm at 0.78; an absolute limit holds where somebody set one."""
    limits = MonitoringSettings(**config)
    result = measure(sure(0.78, rows=2000, seed=1), sure(now, rows=rows, seed=2), distances={}, limits=limits)
    assert [one.kind for one in judge(result, limits)] == [FindingKind.LOW_CONFIDENCE] * found


def test_a_drop_of_confidence_that_chance_explains_is_a_note() -> None:
    """Fifty rows show it one time in a thousand; nothing to compare with is said as well."""
    small = measure(sure(0.78, rows=2000, seed=1), sure(0.72, rows=50, seed=2), distances={}, limits=LIMITS)
    assert any(
        "0.060 lower than at training, which so few rows" in note for note in within_sampling_noise(small, LIMITS)
    )
    nothing = measure(columns_of([], frozenset()), sure(0.5, rows=50, seed=2), distances={}, limits=LIMITS)
    assert FindingKind.LOW_CONFIDENCE not in {one.kind for one in judge(nothing, LIMITS)}
    assert any("cannot be compared" in note for note in within_sampling_noise(nothing, LIMITS))


def test_what_the_alert_says_of_confidence_names_both_limits() -> None:
    """What it was at training, and what is allowed."""
    found = judge(measured(confidence=0.7), LIMITS)
    assert "0.700; on held-out reviews at training it was 0.910 (limit: at most 0.05 under" in found[0].sentence
    both = MonitoringSettings(min_mean_confidence=0.85)
    assert "and at least 0.850" in judge(measured(confidence=0.7), both)[0].sentence


@pytest.mark.parametrize(("hours", "found"), [(0, False), (72, False), (73, True)])
def test_the_oldest_open_task_may_wait_for_so_long(hours: int, *, found: bool) -> None:
    """Three days by default."""
    assert (judge_queue(NOW - timedelta(hours=hours), LIMITS, now=NOW) is not None) == found


def test_an_empty_queue_waits_for_nobody() -> None:
    """No open task, no finding."""
    assert judge_queue(None, LIMITS, now=NOW) is None


def details(window: DriftMeasurements) -> AlertDetails:
    """The body of the alert about `window`."""
    return drift_details(
        judge(window, LIMITS),
        window,
        LIMITS,
        distances={it.name: far(it.psi) for it in window.columns},
        rows=1500,
        period="2026-02-01 to 2026-02-28",
        model_version="rs-0123456789",
        at=NOW,
        run_key="scheduled__x",
    )


def test_what_to_do_fits_what_was_found() -> None:
    """A low confidence alone blames no source; one that was low at training says which key to set."""
    assert not any("ingest_reviews" in action for action in details(measured(confidence=0.7)).actions)
    assert any("ingest_reviews" in action for action in details(measured(psi={"rating": 0.9})).actions)
    low = MonitoringSettings(min_mean_confidence=0.95)
    window = measured(confidence=0.9)
    distances = {it.name: far(it.psi) for it in window.columns}
    body = drift_details(
        judge(window, low),
        window,
        low,
        distances=distances,
        rows=1,
        period="",
        model_version="",
        at=NOW,
        run_key="scheduled__x",
    )
    assert any("monitoring.min_mean_confidence" in action for action in body.actions)


def test_details_are_the_same_after_their_json() -> None:
    """What is stored is what is mailed, pictures included."""
    finding = judge_queue(NOW - timedelta(hours=100), LIMITS, now=NOW)
    assert finding is not None
    for body in (
        details(measured(psi={"rating": 0.9})),
        queue_details(finding, counts=QUEUE, at=NOW, run_key="scheduled__x"),
    ):
        assert AlertDetails.from_json(body.to_json()) == body
