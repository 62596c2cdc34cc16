"""Macro-F1 on fresh labels: the estimate, its interval, and when it is a finding."""

import numpy as np

from restar_lib.domain import Sentiment
from restar_lib.labeling.audits import AuditSample
from restar_lib.monitoring.drift.findings import FindingKind
from restar_lib.monitoring.production_quality import ProductionQuality, can_judge, estimate, judge, sentence
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
    assert quality == ProductionQuality(labels=110, macro_f1=1.0, low=1.0, high=1.0)
    assert judge(quality, LIMITS) is None
    assert estimate(sample(WRONG)) == estimate(sample(WRONG))


def test_a_model_that_is_wrong_beyond_chance_is_a_finding_with_its_interval() -> None:
    """Estimate, interval, floor and number of labels stand in the sentence."""
    quality = estimate(sample(WRONG))
    finding = judge(quality, LIMITS)
    assert quality is not None
    assert finding is not None
    assert finding.kind is FindingKind.LOW_QUALITY
    assert str(quality) in finding.sentence
    assert "110 fresh audit labels" in finding.sentence


def test_an_estimate_whose_interval_reaches_the_floor_is_no_finding() -> None:
    """It may be chance; the sentence says the numbers all the same."""
    quality = ProductionQuality(labels=150, macro_f1=0.55, low=0.48, high=0.61)
    assert judge(quality, LIMITS) is None
    assert "0.550 (0.480 to 0.610), floor 0.60" in sentence(quality, LIMITS)


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
    assert abs(even.macro_f1 - uneven.macro_f1) < 1e-9
