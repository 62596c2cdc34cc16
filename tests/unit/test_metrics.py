"""Metrics: against scikit-learn where it has them, against arithmetic on paper where it has not."""

from datetime import UTC, datetime

import numpy as np
import pytest

from restar_lib.domain import Example, Sentiment, TruthSource
from restar_lib.evaluation.metrics import (
    confusion_matrix,
    evaluate,
    expected_calibration_error,
    log_loss,
    macro_f1,
    slices_of,
)

RNG = np.random.default_rng(5)
TRUTH = RNG.choice(3, 400, p=[0.12, 0.08, 0.8])
PROBABILITIES = RNG.dirichlet([1.0, 0.7, 3.0], 400)


def test_figures_equal_those_of_scikit_learn() -> None:
    """Macro-F1, the figures of each class and the log loss are the ones that everybody means."""
    from sklearn import metrics as reference

    found = evaluate(TRUTH, PROBABILITIES, abstain_below=0.65)
    predicted = PROBABILITIES.argmax(axis=1)
    precision, recall, f1, rows = reference.precision_recall_fscore_support(TRUTH, predicted, zero_division=0)
    assert found.macro_f1 == pytest.approx(reference.f1_score(TRUTH, predicted, average="macro"))
    assert [one.precision for one in found.per_class] == pytest.approx(precision)
    assert [one.recall for one in found.per_class] == pytest.approx(recall)
    assert [one.f1 for one in found.per_class] == pytest.approx(f1)
    assert [one.rows for one in found.per_class] == list(rows)
    assert found.log_loss == pytest.approx(reference.log_loss(TRUTH, PROBABILITIES))


def test_the_majority_baseline_stands_beside_the_model() -> None:
    """Always saying the commonest class: accuracy is its share, macro-F1 a third of its F1."""
    truth = np.array([2] * 8 + [0, 1])
    found = evaluate(truth, np.tile([0.2, 0.2, 0.6], (10, 1)), abstain_below=0.5)
    assert found.majority_accuracy == found.accuracy == 0.8
    assert found.majority_macro_f1 == found.macro_f1 == pytest.approx((2 * 8 / (8 + 10)) / 3)


def test_confusion_has_the_truth_in_rows() -> None:
    """One negative review that was called positive stands in the first row, last column."""
    found = evaluate(np.array([0]), np.array([[0.1, 0.2, 0.7]]), abstain_below=0.65)
    assert found.confusion == ((0, 0, 1), (0, 0, 0), (0, 0, 0))


def test_a_class_without_rows_does_not_pull_macro_f1_down() -> None:
    """Perfect answers on rows without a neutral one score 1, not two thirds."""
    assert macro_f1(confusion_matrix(np.array([0, 2, 2]), np.array([0, 2, 2]))) == 1.0


def test_macro_f1_works_on_many_resamples_at_once() -> None:
    """A stack of confusion matrices gives one figure each, as the bootstrap needs it."""
    one, other = confusion_matrix(TRUTH, TRUTH), confusion_matrix(TRUTH, np.full_like(TRUTH, 2))
    assert macro_f1(np.stack([one, other])) == pytest.approx([1.0, float(macro_f1(other))])


def test_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    """Confidence 0.9 and right in 7 of 10 is 0.2 off; being as good as one says is 0."""
    right = np.array([True] * 7 + [False] * 3)
    assert expected_calibration_error(np.full(10, 0.9), right) == pytest.approx(0.2)
    assert expected_calibration_error(np.full(10, 0.7), right) == pytest.approx(0.0)


def test_gaps_of_opposite_sign_do_not_cancel_over_bins() -> None:
    """Too sure on some rows and too shy on others is an error, though the means agree."""
    confidence = np.array([0.95] * 10 + [0.55] * 10)
    right = np.array([True] * 5 + [False] * 5 + [True] * 10)
    assert expected_calibration_error(confidence, right) == pytest.approx(0.45)


def test_abstaining_lowers_coverage_and_not_accuracy() -> None:
    """Accuracy counts every row; coverage and the accuracy of the covered rows tell what abstaining is worth."""
    probabilities = np.array([[0.1, 0.1, 0.8], [0.4, 0.2, 0.4], [0.9, 0.05, 0.05], [0.5, 0.3, 0.2]])
    found = evaluate(np.array([2, 2, 0, 1]), probabilities, abstain_below=0.65)
    assert (found.coverage, found.accuracy_covered, found.accuracy) == (0.5, 1.0, 0.5)


def test_no_rows_are_refused() -> None:
    """A figure over nothing is no figure."""
    with pytest.raises(ValueError, match="n > 0"):
        evaluate(np.array([], dtype=np.int64), np.zeros((0, 3)), abstain_below=0.65)


def example(*, words: int, rating: int | None, category: str | None) -> Example:
    """A row with only the fields that slices read."""
    return Example(
        review_id="r",
        text="word " * words,
        truth=Sentiment.POSITIVE,
        truth_source=TruthSource.STARS,
        weight=1.0,
        rating=rating,
        product_category=category,
        reviewed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_every_row_has_a_value_in_every_slice() -> None:
    """Rows without a category or stars are a slice of their own, and lengths meet at their limits without a gap."""
    rows = [example(words=24, rating=5, category="Baby"), example(words=25, rating=None, category=None)]
    assert slices_of([*rows, example(words=150, rating=1, category="Baby")]) == {
        "category": ["Baby", "none", "Baby"],
        "length": ["under 25 words", "25-59 words", "150 words or more"],
        "rating": ["5 stars", "none", "1 stars"],
        "year": ["2026"] * 3,
        "case": ["all lower case"] * 3,
    }


def test_a_confident_mistake_costs_a_bounded_log_loss() -> None:
    """No probability counts as less than 1e-12."""
    sure = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert log_loss(np.array([0, 1]), sure) == pytest.approx(-np.log(1e-12) / 2)
