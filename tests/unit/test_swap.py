"""Whether serving has followed a release, asked of every replica."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from restar_lib.releases.confirmation import ConfirmationStatus, wait_until_serving
from tests.answering import answering

SERVES = {"model_version": "rs-2222222222", "release_id": 2, "refused": None}
STILL_OLD = {"model_version": "rs-1111111111", "release_id": 1, "refused": None}
REFUSES = STILL_OLD | {
    "refused": {"release_id": 2, "model_version": "rs-2222222222", "reason": "model.onnx was altered"}
}


@pytest.fixture
def replicas() -> Iterator[Callable[..., str]]:
    """Makes replicas that answer so; their URLs, separated by blanks."""
    with ExitStack() as stack:
        yield lambda *answers: " ".join(stack.enter_context(answering(answer)) for answer in answers)


@pytest.mark.parametrize(
    ("answers", "expected", "detail"),
    [
        ((SERVES,), ConfirmationStatus.SERVING, "serving rs-2222222222"),
        ((SERVES, SERVES), ConfirmationStatus.SERVING, "serving rs-2222222222"),
        ((SERVES, STILL_OLD), ConfirmationStatus.SILENT, "it still serves rs-1111111111"),
        ((REFUSES, SERVES), ConfirmationStatus.REFUSED, "model.onnx was altered"),
        ((STILL_OLD, REFUSES), ConfirmationStatus.REFUSED, "model.onnx was altered"),
    ],
)
def test_a_release_is_confirmed_by_all_replicas_or_not_at_all(
    replicas: Callable[..., str], answers: tuple[dict[str, Any], ...], expected: ConfirmationStatus, detail: str
) -> None:
    """One that refuses decides, then one that has not followed; the answer names it."""
    urls = replicas(*answers)
    confirmation = wait_until_serving(urls, release_id=2, timeout_seconds=0.1)
    assert (confirmation.status, detail in confirmation.detail) == (expected, True)
    if len(answers) > 1 and expected is not ConfirmationStatus.SERVING:
        culprit = answers.index(REFUSES if expected is ConfirmationStatus.REFUSED else STILL_OLD)
        assert urls.split()[culprit] in confirmation.detail
