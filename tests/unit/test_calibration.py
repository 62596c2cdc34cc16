"""Temperature scaling: it finds the temperature, and it changes only how sure a model is."""

import numpy as np
import pytest

from restar_lib.evaluation.metrics import expected_calibration_error
from restar_lib.inference.engine import softmax
from restar_lib.training.calibration import COLDEST, HOTTEST, fit_temperature

RNG = np.random.default_rng(3)
HONEST = RNG.normal(size=(4000, 3)) * 2
TRUTH = np.array([RNG.choice(3, p=row) for row in softmax(HONEST)])


@pytest.mark.parametrize("boast", [0.5, 1.0, 3.0])
def test_the_temperature_takes_back_what_was_boasted(boast: float) -> None:
    """Logits that are `boast` times too large need the temperature `boast`; the true one is known, the rows are drawn."""
    assert fit_temperature(HONEST * boast, TRUTH) == pytest.approx(boast, rel=0.1)


def test_confidence_is_honest_afterwards() -> None:
    """An overconfident model's calibration error falls to that of chance."""
    logits = HONEST * 3
    error = [_calibration_error(logits / temperature) for temperature in (1.0, fit_temperature(logits, TRUTH))]
    assert error[0] > 0.1
    assert error[1] < 0.02


def test_rows_that_a_model_never_gets_wrong_do_not_make_it_infinitely_sure() -> None:
    """Perfect rows (a tiny validation side) stop at the bound instead of dividing by zero."""
    logits = np.eye(3)
    assert fit_temperature(logits, np.array([0, 1, 2])) == pytest.approx(COLDEST, rel=0.01)


def test_a_temperature_at_a_bound_is_said() -> None:
    """One line that names the number; a temperature that was found says nothing."""
    lines: list[str] = []
    fit_temperature(np.eye(3), np.array([0, 1, 2]), progress=lines.append)
    fit_temperature(np.eye(3), np.array([1, 2, 0]), progress=lines.append)
    assert [line.partition(":")[0] for line in lines] == [
        f"temperature {COLDEST:.2f} is the lowest allowed",
        f"temperature {HOTTEST:.2f} is the highest allowed",
    ]
    fit_temperature(HONEST, TRUTH, progress=lines.append)
    assert len(lines) == 2


def _calibration_error(logits: np.ndarray) -> float:
    probabilities = softmax(logits)
    return expected_calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == TRUTH)
