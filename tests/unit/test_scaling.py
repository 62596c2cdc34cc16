"""How features are scaled: as the formula says, in double precision, and without a second copy of them."""

import tracemalloc

import numpy as np
import pytest

from restar_lib.feature_scaling import COLUMNS, ROWS, centre_of, scale_of, scaled

RNG = np.random.default_rng(5)
FEATURES = (RNG.normal(size=(ROWS + 7, 10 * COLUMNS)) * 3 + 1).astype(np.float32)


def test_blocks_change_no_bit() -> None:
    """What is computed some columns or rows at a time is what the whole array in double precision gives."""
    whole = FEATURES.astype(np.float64)
    expected = (whole - whole.mean(axis=0)) / (whole.std(axis=0) * np.sqrt(whole.shape[1]))
    found = scaled(FEATURES, centre_of(FEATURES), scale_of(FEATURES))
    assert np.array_equal(centre_of(FEATURES), whole.mean(axis=0))
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert np.linalg.norm(found, axis=1).mean() == pytest.approx(1.0, abs=0.01)


def test_centre_and_scale_need_no_second_copy_of_the_features() -> None:
    """500,000 rows of them are 4 GB once, and the machine has 24."""
    tracemalloc.start()
    centre_of(FEATURES)
    scale_of(FEATURES)
    _, beside = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert beside < FEATURES.nbytes
