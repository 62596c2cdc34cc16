"""The benchmark of the loop on made-up features: what is corrupted, what is asked, and what is never touched."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WINDOWS = ((2010,), (2011,), (2012,))


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Benchmarks are programs of one folder: their modules are siblings."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.fixture
def stream() -> object:
    """Four years of 250 rows in which eight features tell the class, a fifth of the stars wrong."""
    from loop_features import Frozen
    from loop_turns import Stream

    rng = np.random.default_rng(3)
    truth = rng.choice(3, p=[0.2, 0.15, 0.65], size=1000)
    features = (rng.normal(size=(1000, 8)) + 1.2 * rng.normal(size=(3, 8))[truth]).astype(np.float32)
    frozen = Frozen(features=features, truth=truth, year=np.repeat([2010, 2011, 2012, 2013], 250))
    return Stream.of(frozen, windows=WINDOWS, corrupted=0.2, seed=1)


def test_people_restore_stars_of_training_rows_alone(stream) -> None:  # noqa: ANN001
    """A tenth of each window is asked, never a validation or a test row; where doubt asks, more wrong stars are found."""
    from loop_turns import Asking, Turns

    wrong = stream.stars != stream.frozen.truth
    assert wrong.mean() == pytest.approx(0.2, abs=0.03)
    found = {}
    for asking in (Asking.UNSURE, Asking.DOUBTED):
        turns = Turns(stream=stream, asking=asking)
        turns.play()
        asked = np.concatenate(turns.asked)
        assert not stream.is_validation[asked].any()
        assert stream.frozen.year[asked].max() == 2012
        assert [len(one) for one in turns.asked] == [round(0.1 * len(stream.rows(years))) for years in WINDOWS]
        found[asking] = wrong[asked].mean()
    assert found[Asking.DOUBTED] > found[Asking.UNSURE] + 0.2


def test_the_last_turn_is_measured_on_the_newest_rows_and_the_ensemble_is_the_mean(stream) -> None:  # noqa: ANN001
    """After the last window the next one is the newest rows; averaged heads answer with the mean of their logits."""
    from loop_turns import Asking, Turns, averaged, scores

    turns = Turns(stream=stream, asking=Asking.NOBODY)
    turns.play()
    heads, found = turns.heads, scores(turns.heads, stream)
    assert found["macro_f1_next"][-1] == found["macro_f1_newest"][-1]
    assert found["macro_f1_next"][0] != found["macro_f1_newest"][0]
    features = stream.features(stream.newest)
    assert averaged(heads, last=1)[2].logits(features) == pytest.approx(heads[2].logits(features))
    mean = np.mean([head.logits(features) for head in heads], axis=0)
    assert averaged(heads, last=3)[2].logits(features) == pytest.approx(mean)


def test_fewer_directions_keep_the_geometry(stream) -> None:  # noqa: ANN001
    """With as many directions as features nothing is lost: distances of standardised rows are the same."""
    from loop_features import fewer

    whole = stream.frozen.features
    standard = (whole - whole.mean(axis=0)) / whole.std(axis=0)
    turned = fewer(stream.frozen, 8).features
    assert np.linalg.norm(turned[0] - turned[1]) == pytest.approx(np.linalg.norm(standard[0] - standard[1]), rel=1e-3)
