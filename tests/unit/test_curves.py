"""Curves and intervals: against scikit-learn and scipy where they have them, against arithmetic where not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from restar_lib.evaluation import curves
from restar_lib.evaluation.abstention import ConfidenceAndTruth, abstention
from restar_lib.evaluation.intervals import calibration_error_interval, difference, macro_f1_interval, measured, wilson
from restar_lib.evaluation.metrics import Floats, confusion_matrix, expected_calibration_error
from restar_lib.evaluation.slices import SliceRows, holm, slice_figures

RNG = np.random.default_rng(3)
TRUTH = RNG.choice(3, 500, p=[0.12, 0.08, 0.8])
PROBABILITIES = RNG.dirichlet([1.0, 0.7, 3.0], 500).round(2)
PROBABILITIES[:, 2] = 1 - PROBABILITIES[:, :2].sum(axis=1)
SURE = ConfidenceAndTruth(confidence=PROBABILITIES.max(axis=1), right=PROBABILITIES.argmax(axis=1) == TRUTH)


def test_roc_auc_is_the_one_that_everybody_means() -> None:
    """One against the rest, ties included, and the plain mean of the three."""
    from sklearn.metrics import roc_auc_score

    found = curves.roc_auc(TRUTH, PROBABILITIES)
    assert found == pytest.approx([roc_auc_score(place == TRUTH, PROBABILITIES[:, place]) for place in range(3)])
    assert curves.mean_of(found) == pytest.approx(np.mean(found))


def test_a_class_that_does_not_occur_has_no_roc_auc() -> None:
    """It is left out of the mean, and where nothing is left there is none."""
    found = curves.roc_auc(np.array([2, 2, 0]), PROBABILITIES[:3])
    assert found[1] is None
    assert curves.mean_of(found) is not None
    assert curves.mean_of(curves.roc_auc(np.array([2, 2]), PROBABILITIES[:2])) is None


def test_the_drawn_roc_curve_has_the_area_that_is_told() -> None:
    """Trapezes under the corners, ties as one slope."""
    alarms, hits = curves.roc_curve(TRUTH, PROBABILITIES, 2)
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(hits, alarms) == pytest.approx(curves.roc_auc(TRUTH, PROBABILITIES)[2])


def test_reliability_bins_add_up_to_the_calibration_error() -> None:
    """The picture and the figure are of the same bins."""
    bins = curves.reliability(SURE.confidence, SURE.right)
    assert sum(one.rows for one in bins) == 500
    gap = sum(abs(one.rows * one.confidence - one.hits) for one in bins) / 500
    assert gap == pytest.approx(expected_calibration_error(SURE.confidence, SURE.right))


def test_abstaining_on_the_errors_first_is_the_best_curve() -> None:
    """Three of four right: the oracle answers them without a mistake; the other way round every share has it."""
    right = np.array([True, True, False, True])
    assert curves.best_aurc(right) == pytest.approx((0 + 0 + 0 + 1 / 4) / 4)
    worst = curves.aurc(np.array([1.0, 2.0, 9.0, 3.0]), right)
    assert worst == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_a_threshold_answers_as_much_as_the_target_allows() -> None:
    """90 sure rows are right; of 60 less sure ones half: for 80 % all of them are answered, for 90 % only the sure."""
    score = np.concatenate([np.full(90, 0.9), np.full(60, 0.6)])
    right = np.concatenate([np.full(90, True), np.tile([True, False], 30)])
    assert curves.threshold_for(score, right, target=0.80) == 0.6
    assert curves.threshold_for(score, right, target=0.90) == 0.9
    assert curves.threshold_for(score, ~right, target=0.90) is None


def test_a_threshold_on_a_handful_of_rows_is_none() -> None:
    """49 right answers promise nothing."""
    assert curves.threshold_for(np.full(49, 0.9), np.full(49, True), target=0.9) is None
    assert curves.threshold_for(np.full(50, 0.9), np.full(50, True), target=0.9) == 0.9


def test_what_a_threshold_means_is_told_for_both_sides_of_it() -> None:
    """Answered and withheld rows add up to all; the target's threshold is the validation rows' own."""
    validation = ConfidenceAndTruth(confidence=np.full(60, 0.8), right=np.full(60, True))
    found = abstention(SURE, validation, below=0.65, target=0.9, resamples=100, rng=np.random.default_rng(1))
    answered = SURE.confidence >= 0.65
    assert found.answered is not None
    assert found.withheld is not None
    assert found.coverage.value == answered.mean()
    assert found.answered.value == SURE.right[answered].mean()
    assert found.withheld.value == SURE.right[~answered].mean()
    assert found.target_threshold == 0.8
    assert found.target_coverage is not None
    assert found.target_coverage.value == (SURE.confidence >= 0.8).mean()
    assert [point.coverage for point in found.at] == [1.0, 0.9, 0.8]


def test_proportions_have_wilsons_interval() -> None:
    """Against scipy, at the ends too, where the usual interval is a point."""
    from scipy.stats import binomtest

    for hits, rows in ((0, 10), (10, 10), (7, 20), (431, 500)):
        expected = binomtest(hits, rows).proportion_ci(method="wilson")
        found = wilson(hits, rows)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert wilson(0, 0).high == 1.0


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """300 samples of 400 rows from one model: 95 % intervals of macro-F1 miss its true value in about 5 %."""
    cells = np.array([30, 5, 15, 10, 20, 10, 20, 30, 260]) / 400
    true = macro_f1_interval((cells * 400).round().astype(int).reshape(3, 3), resamples=100, rng=RNG).value
    rng = np.random.default_rng(8)
    draws = [rng.multinomial(400, cells).reshape(3, 3) for _ in range(300)]
    found = [macro_f1_interval(draw, resamples=300, rng=rng) for draw in draws]
    missed = sum(not one.low <= true <= one.high for one in found)
    assert 4 <= missed <= 32


def test_the_interval_of_the_calibration_error_holds_the_truth() -> None:
    """Chance only adds to it, so percentiles of 2,000 rows hold a true 0.010 in fewer than half of such samples."""
    rng = np.random.default_rng(4)

    def sample(rows: int) -> tuple[Floats, NDArray[np.bool_]]:
        confidence = 0.34 + 0.66 * rng.beta(6, 1, size=rows)
        return confidence, rng.random(rows) < confidence - 0.01

    true = expected_calibration_error(*sample(2_000_000))
    found = [calibration_error_interval(*sample(2000), resamples=100, rng=rng) for _ in range(60)]
    assert sum(one.low <= true <= one.high for one in found) >= 45
    assert all(0 <= one.low <= one.value <= one.high for one in found)


def test_a_difference_is_measured_row_by_row() -> None:
    """The same answers differ by nothing, for sure; always positive is worse than the truth itself."""
    same = difference(TRUTH, TRUTH, TRUTH, resamples=100, rng=np.random.default_rng(1))
    assert (same.accuracy.low, same.accuracy.high, same.macro_f1.high) == (0, 0, 0)
    gain = difference(TRUTH, TRUTH, np.full_like(TRUTH, 2), resamples=200, rng=np.random.default_rng(1))
    assert gain.accuracy.value == pytest.approx((TRUTH != 2).mean())
    assert gain.macro_f1.low > 0.5
    assert confusion_matrix(TRUTH, TRUTH).sum() == 500


def test_a_class_that_vanishes_in_a_resample_makes_no_figure_jump() -> None:
    """Two neutral rows of 300, in one of seven resamples gone: macro-F1 stays where three classes have it."""
    missed, found = (np.array([[100, 0, 0], [0, right, 2 - right], [0, 0, 198]]) for right in (0, 2))
    low, high = (macro_f1_interval(one, resamples=500, rng=np.random.default_rng(1)) for one in (missed, found))
    assert (low.value, low.low, low.high) == pytest.approx((0.665, 0.66, 0.667), abs=0.003)
    assert (high.low, high.high) == (1.0, 1.0)
    truth = np.repeat([0, 1, 2], [100, 2, 198])
    ours, theirs = truth.copy(), np.where(truth == 1, 2, truth)
    gain = difference(truth, ours, theirs, resamples=500, rng=np.random.default_rng(1)).macro_f1
    assert (gain.low, gain.high) == pytest.approx((0.333, 0.34), abs=0.003)


def test_a_figure_that_resampling_moves_stays_in_its_interval() -> None:
    """All of its resamples may lie above it."""
    found = measured(0.01, [0.02, 0.03, None])
    assert found is not None
    assert found.low == 0.01
    assert measured(None, [0.1]) is None


def test_holm_corrects_for_how_many_were_looked_at() -> None:
    """The smallest p-value is multiplied by all, the next by one less, and never falls below the one before."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_only_a_slice_that_is_surely_worse_is_called_worse() -> None:
    """Half right on 100 of 1,000 rows where the others are all right; a chance dip among many slices is none."""
    truth = np.full(1000, 2)
    predicted = truth.copy()
    predicted[:50] = 0
    kind = ["odd"] * 100 + ["usual"] * 900
    chance = [str(number % 20) for number in range(1000)]
    answered = SliceRows(truth=truth, predicted=predicted, covered=np.full(1000, True))
    found = slice_figures(answered, {"kind": kind, "chance": chance}, resamples=100, rng=np.random.default_rng(1))
    assert [(one.slice, one.value) for one in found if one.worse] == [("kind", "odd")]
    assert next(one for one in found if one.value == "odd").accuracy.value == 0.5


def test_slices_with_numbers_stand_in_their_order() -> None:
    """Lengths from short to long, years from old to new."""
    values = ["150 words or more", "under 25 words", "60-149 words", "25-59 words"] * 5
    truth = np.full(20, 2)
    answered = SliceRows(truth=truth, predicted=truth, covered=np.full(20, True))
    found = slice_figures(answered, {"length": values}, resamples=100, rng=np.random.default_rng(1))
    assert [one.value for one in found] == ["under 25 words", "25-59 words", "60-149 words", "150 words or more"]
