"""Accuracy and macro-F1 on fresh audits: the estimate, its interval, its bounds, and when it is a finding."""

from dataclasses import asdict

import numpy as np

from restar_lib.domain import Sentiment
from restar_lib.labeling.audits import AuditSample
from restar_lib.monitoring.drift.findings import FindingKind
from restar_lib.monitoring.production_quality import (
    AuditFigure,
    ProductionQuality,
    can_judge,
    estimate,
    from_json,
    judge,
    sentence,
)
from restar_lib.settings import MonitoringSettings

LIMITS = MonitoringSettings()
NEGATIVE, NEUTRAL, POSITIVE = Sentiment


Answers = list[tuple[Sentiment, Sentiment]]
"""Truth and prediction of each audited review."""


def sample(answers: Answers, *, weights: list[float] | None = None) -> AuditSample:
    """Audited reviews, drawn at the same rate unless `weights` say otherwise."""
    return AuditSample(
        truth=np.array([truth.position for truth, _ in answers], dtype=np.int64),
        predicted=np.array([predicted.position for _, predicted in answers], dtype=np.int64),
        weights=np.array(weights or [50.0] * len(answers)),
    )


RIGHT: Answers = [(POSITIVE, POSITIVE)] * 80 + [(NEUTRAL, NEUTRAL)] * 10 + [(NEGATIVE, NEGATIVE)] * 20
WRONG: Answers = [(POSITIVE, NEGATIVE)] * 60 + [(NEUTRAL, POSITIVE)] * 20 + [(NEGATIVE, NEGATIVE)] * 30


def test_a_model_that_is_right_is_at_one_and_no_finding() -> None:
    """And the same labels give the same interval."""
    quality = estimate(sample(RIGHT))
    sure = AuditFigure(value=1.0, low=1.0, high=1.0, least=1.0, most=1.0)
    assert quality == ProductionQuality(labels=110, skipped=0, unread=0, accuracy=sure, macro_f1=sure)
    assert judge(quality, LIMITS) is None
    assert estimate(sample(WRONG)) == estimate(sample(WRONG))


def test_of_two_classes_the_estimate_is_the_mean_of_both_and_says_so() -> None:
    """No label is neutral: nothing is missing from the figure. The first neutral label brings the third class in."""
    likes: Answers = [(POSITIVE, POSITIVE)] * 80 + [(NEGATIVE, NEGATIVE)] * 40
    quality = estimate(sample(likes))
    assert quality is not None
    assert (quality.macro_f1.value, quality.unlabeled) == (1.0, ("neutral",))
    assert "No label is neutral: it is the mean of the others. Accuracy is 1.000" in sentence(quality, LIMITS)
    assert from_json(asdict(quality)) == quality
    three = estimate(sample([*likes, (NEUTRAL, POSITIVE)]))
    assert three is not None
    assert three.macro_f1.value < 0.7
    assert "No label is" not in sentence(three, LIMITS)


def test_a_model_that_is_wrong_beyond_chance_is_a_finding_with_its_interval() -> None:
    """Estimate, interval, floor and number of labels stand in the sentence."""
    quality = estimate(sample(WRONG))
    finding = judge(quality, LIMITS)
    assert quality is not None
    assert finding is not None
    assert finding.kind is FindingKind.LOW_QUALITY
    assert str(quality.macro_f1) in finding.sentence
    assert "110 fresh audit labels" in finding.sentence


def test_an_estimate_whose_interval_reaches_the_floor_is_no_finding() -> None:
    """It may be chance; the sentence says the numbers all the same."""
    macro_f1 = AuditFigure(value=0.55, low=0.48, high=0.61, least=0.5, most=0.6)
    accuracy = AuditFigure(value=0.81, low=0.78, high=0.84, least=0.75, most=0.85)
    quality = ProductionQuality(labels=150, skipped=8, unread=2, accuracy=accuracy, macro_f1=macro_f1)
    assert judge(quality, LIMITS) is None
    said = sentence(quality, LIMITS)
    assert "0.550 (0.480 to 0.610), floor 0.60" in said
    assert "Accuracy is 0.810 (0.780 to 0.840)." in said
    assert "Answered are 150 of 160 (8 skipped, 2 not read) of the audits" in said
    assert "accuracy would be 0.750 to 0.850 and macro-F1 0.500 to 0.600" in said


def test_too_few_labels_say_so_and_judge_nothing() -> None:
    """However wrong they are."""
    quality = estimate(sample(WRONG[:99]))
    assert not can_judge(quality, LIMITS)
    assert judge(quality, LIMITS) is None
    assert "99 of 100 fresh audit labels" in sentence(quality, LIMITS)
    assert "0 of 100" in sentence(estimate(sample([])), LIMITS)


def test_a_label_that_was_drawn_more_rarely_counts_for_more() -> None:
    """Inverse-probability weighting: the rate changed half-way, the estimate does not."""
    right, wrong = (POSITIVE, POSITIVE), (NEGATIVE, POSITIVE)
    even = estimate(sample([right] * 10 + [wrong] * 10))
    uneven = estimate(sample([right] * 10 + [wrong] * 100, weights=[1.0] * 10 + [0.1] * 100))
    assert even is not None
    assert uneven is not None
    assert abs(even.macro_f1.value - uneven.macro_f1.value) < 1e-9


def test_the_bounds_hold_the_truth_where_people_skip_the_hard_audits() -> None:
    """Three in ten are hard, the model is right about half of those, and six in ten of them are skipped.

    The answered ones alone flatter: even the interval lies above the truth. The bounds hold it, for both figures.
    """
    chance = np.random.default_rng(5)
    truth = chance.choice(3, p=[0.15, 0.1, 0.75], size=3000)
    hard = chance.random(3000) < 0.3
    right = np.where(hard, chance.random(3000) < 0.5, chance.random(3000) < 0.96)
    predicted = np.where(right, truth, (truth + chance.integers(1, 3, size=3000)) % 3)
    skipped = hard & (chance.random(3000) < 0.6)
    asked = AuditSample(
        truth=truth[~skipped],
        predicted=predicted[~skipped],
        weights=np.full((~skipped).sum(), 50.0),
        skipped=int(skipped.sum()),
        unanswered_weights=np.bincount(predicted[skipped], minlength=3) * 50.0,
    )
    found = estimate(asked)
    everything = estimate(AuditSample(truth=truth, predicted=predicted, weights=np.full(3000, 50.0)))
    assert found is not None
    assert everything is not None
    assert found.accuracy is not None
    assert everything.accuracy is not None
    assert found.drawn == 3000
    assert found.accuracy.low > everything.accuracy.value
    assert found.accuracy.least < everything.accuracy.value < found.accuracy.most
    assert found.macro_f1.least < everything.macro_f1.value < found.macro_f1.most


def test_the_bounds_are_the_figures_of_all_wrong_and_all_right() -> None:
    """Ten answered of twenty: the others count as the weights say, in both directions."""
    half = AuditSample(
        truth=np.array([2] * 10),
        predicted=np.array([2] * 8 + [0] * 2),
        weights=np.full(10, 10.0),
        unread=10,
        unanswered_weights=np.array([0.0, 0.0, 300.0]),
    )
    quality = estimate(half)
    assert quality is not None
    assert quality.accuracy is not None
    assert (quality.accuracy.least, quality.accuracy.most) == (80 / 400, 380 / 400)
    assert quality.macro_f1.least < quality.macro_f1.value < quality.macro_f1.most


def test_a_report_of_an_earlier_version_is_still_read() -> None:
    """It has the macro-F1 of the answered audits alone, and says no more than that."""
    quality = from_json({"labels": 150, "macro_f1": 0.55, "low": 0.48, "high": 0.61})
    assert (quality.labels, quality.accuracy, str(quality.macro_f1)) == (150, None, "0.550 (0.480 to 0.610)")
    found = estimate(sample(WRONG))
    assert found is not None
    assert from_json(asdict(found)) == found
