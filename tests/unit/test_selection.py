"""Which reviews deserve a person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from restar_lib.domain import Reason
from restar_lib.selection import Selected, audit_draw, margin_ambiguity, most_ambiguous, select
from restar_lib.settings import SelectionSettings

IDS = [f"review-{number}" for number in range(20_000)]
ids = st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=60)


def chosen(
    probabilities: list[list[float]], *, review_ids: list[str] | None = None, **config: object
) -> list[Selected]:
    """Select from these probabilities with the default threshold and, unless asked for, no audits."""
    array = np.array(probabilities, dtype=np.float64).reshape(-1, 3)
    return select(
        review_ids or [f"r{row}" for row in range(len(array))],
        array.max(axis=1) if len(array) else np.empty(0),
        probabilities=array,
        config=SelectionSettings.model_validate({"audit_rate": 0.0} | config),
        abstain_below=0.65,
    )


SURE, UNSURE, TORN = [0.02, 0.03, 0.95], [0.10, 0.30, 0.60], [0.05, 0.47, 0.48]


def test_only_reviews_below_the_threshold_are_uncertain() -> None:
    """A confident prediction is not asked about; one at exactly the threshold neither."""
    assert [one.review_id for one in chosen([SURE, UNSURE, [0.65, 0.2, 0.15]])] == ["r1"]


def test_the_most_ambiguous_review_is_asked_first() -> None:
    """The order is by the margin between the two likeliest classes, whatever order the reviews came in."""
    found = chosen([UNSURE, TORN])
    assert [(one.review_id, round(one.priority, 2)) for one in found] == [("r1", 0.99), ("r0", 0.7)]


def test_uncertain_tasks_are_capped_at_the_most_ambiguous() -> None:
    """`max_tasks` keeps the most doubtful ones and drops the rest."""
    assert [one.review_id for one in chosen([UNSURE, TORN, UNSURE], max_tasks=1)] == ["r1"]


def test_audits_are_never_cut() -> None:
    """With the cap at one and every review an audit, all reviews are asked about."""
    assert len(chosen([TORN, UNSURE, SURE], max_tasks=1, audit_rate=1.0)) == 3


def test_a_task_knows_why_and_with_which_probability_it_was_drawn() -> None:
    """Uncertainty decides with probability 1, an audit with its rate; a review can be there for both reasons."""
    rate = 0.5
    review_ids = IDS[:40]
    drawn = dict(zip(review_ids, audit_draw(review_ids, rate=rate, key="restar-audit-1"), strict=True))
    found = {one.review_id: one for one in chosen([SURE, TORN] * 20, review_ids=review_ids, audit_rate=rate)}
    for number, review_id in enumerate(review_ids):
        unsure = number % 2 == 1
        expected = (*([Reason.UNCERTAIN] if unsure else []), *([Reason.AUDIT] if drawn[review_id] else []))
        if not expected:
            assert review_id not in found
            continue
        one = found[review_id]
        assert one.reasons == expected
        assert one.inclusion_probability == (1.0 if unsure else rate)
        assert one.audit_rate == (rate if drawn[review_id] else None)


def test_the_order_of_audits_does_not_depend_on_the_model() -> None:
    """If only half of the audits get answered, that half must still be random: confidence must not order them."""
    review_ids = IDS[:50]
    sure = chosen([SURE] * 50, review_ids=review_ids, audit_rate=1.0)
    mixed = chosen([TORN, SURE] * 25, review_ids=review_ids, audit_rate=1.0)
    assert [one.review_id for one in sure] == [one.review_id for one in mixed]
    assert [one.review_id for one in sure] != review_ids
    assert all(1 <= one.priority < 2 for one in sure)


def test_the_audit_draw_takes_its_rate_of_the_stream() -> None:
    """Two percent of 20,000 reviews, within four standard deviations of a binomial."""
    drawn = int(audit_draw(IDS, rate=0.02, key="key").sum())
    assert abs(drawn - 400) < 4 * np.sqrt(20_000 * 0.02 * 0.98)


def test_two_keys_draw_different_audits() -> None:
    """A new key is a new, independent draw."""
    first, second = (audit_draw(IDS, rate=0.5, key=key) for key in ("one", "two"))
    assert 0.45 < float((first == second).mean()) < 0.55


def test_the_audit_draw_is_the_same_on_every_machine() -> None:
    """Pinned: a change of the hash would silently draw another audit sample."""
    assert np.flatnonzero(audit_draw(IDS[:200], rate=0.05, key="restar-audit-1")).tolist() == [
        45,
        56,
        67,
        83,
        108,
        132,
        143,
        145,
    ]


@given(ids, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_keeps_every_audit_of_a_lower_one(review_ids: list[str], one: float, other: float) -> None:
    """Raising the rate adds audits and takes none back; the company a review is in does not matter."""
    low, high = sorted((one, other))
    fewer, more = (audit_draw(review_ids, rate=rate, key="k") for rate in (low, high))
    assert not (fewer & ~more).any()
    alone = [bool(audit_draw([review_id], rate=low, key="k")[0]) for review_id in review_ids]
    assert alone == fewer.tolist()


def test_rate_zero_draws_nobody_and_rate_one_everybody() -> None:
    """The ends of the range mean what they say."""
    assert not audit_draw(IDS, rate=0.0, key="k").any()
    assert audit_draw(IDS, rate=1.0, key="k").all()


@given(st.integers(0, 40), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_the_cap_takes_as_many_as_it_may_and_none_more_certain(rows: int, limit: int, seed: int) -> None:
    """Exactly min(limit, candidates) are taken, and no candidate left out is more ambiguous than one taken."""
    generator = np.random.default_rng(seed)
    ambiguity: NDArray[np.float64] = generator.random(rows)
    among = generator.random(rows) < 0.6
    taken = most_ambiguous(ambiguity, among=among, limit=limit)
    assert taken.sum() == min(limit, among.sum())
    assert not (taken & ~among).any()
    left = among & ~taken
    if taken.any() and left.any():
        assert ambiguity[taken].min() >= ambiguity[left].max()


def test_ambiguity_runs_from_certain_to_level() -> None:
    """0 for a certain prediction, 1 where the two likeliest classes are level."""
    assert margin_ambiguity(np.array([[1.0, 0, 0], [0.5, 0.5, 0]])).tolist() == [0.0, 1.0]


def test_an_empty_run_selects_nobody() -> None:
    """No reviews, no tasks."""
    assert chosen([]) == []


def test_arrays_of_different_length_are_refused() -> None:
    """A shifted array would ask about the wrong reviews: it is an error, not a guess."""
    with pytest.raises(ValueError, match="2 review ids"):
        select(["a", "b"], np.ones(3), probabilities=np.ones((3, 3)), config=SelectionSettings(), abstain_below=0.65)
