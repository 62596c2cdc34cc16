"""Repeats a request to the hub where that can help (tenacity), and says what to do where it cannot.

A busy hub names a pause itself (429 with `Retry-After` or `RateLimit`): it is waited for, up to a limit. Where the hub
is slow, broken or unreachable, the pauses double. A wrong name or a missing right is reported at once. huggingface_hub
has its own back-off, but it sleeps as long as the hub says, and covers neither pushes nor answers that are too short.

Called by `ingest.sources.hub_files` and `publishing.target`. Knows nothing of reviews, and reads no clock: a pause that
is given as a date is measured against the date of the answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from restar_lib.errors import HubError
from restar_lib.settings import HubSettings

log = logging.getLogger(__name__)

Result = TypeVar("Result")
REPEATED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
DOUBLING = wait_exponential(multiplier=1, max=60)
"""1, 2, 4, ... seconds: the pauses where the hub names none."""
REMEDIES = {
    401: "give a token that may do this: HF_TOKEN, or RESTAR_HUB__TOKEN",
    403: "the token may not do this: give another one, or accept the data set's conditions on its page",
    404: "there is no such data set, model, commit or file, or the token may not see it",
}


class ShortAnswer(Exception):
    """An answer ended before its announced length; the request is repeated."""


def ask_hub(
    request: Callable[[], Result], *, what: str, config: HubSettings, sleep: Callable[[float], None] = time.sleep
) -> Result:
    """The result of `request`, which is sent up to `config.tries` times.

    Raises `HubError` that names `what`: when every try failed, when the hub wants a longer pause than
    `config.longest_wait_seconds`, and at once for what no repetition can mend.
    """

    def wait(state: RetryCallState) -> float:
        pause = asked_pause(_headers(_error_of(state)))
        return DOUBLING(state) if pause is None else pause

    def log_retry(state: RetryCallState) -> None:
        number, seconds = state.attempt_number + 1, state.upcoming_sleep
        log.warning("%s: %s; try %d of %d in %.0f s", what, _short(_error_of(state)), number, config.tries, seconds)

    retrying = Retrying(
        retry=retry_if_exception(lambda error: _may_pass(error) and not _asks_too_long(error, config)),
        wait=wait,
        stop=stop_after_attempt(config.tries),
        before_sleep=log_retry,
        sleep=sleep,
        reraise=True,
    )
    try:
        return retrying(request)
    except _hub_errors() as error:
        raise HubError(f"{what}: {_explained(error, config)}") from error


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """The pause in seconds that an answer asks for; None where it asks for none."""
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]  # exported, not said so

    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    value = {name.lower(): headers[name] for name in headers}
    after = value.get("retry-after", "").strip()
    if after.isdigit():
        return float(after)
    try:
        return max(0.0, (parsedate_to_datetime(after) - parsedate_to_datetime(value.get("date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None


def _hub_errors() -> tuple[type[Exception], ...]:
    """What a request to the hub ends in where it fails; anything else is an error of ours."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    return httpx2.TransportError, HfHubHTTPError, ShortAnswer, HFValidationError, OfflineModeIsEnabled


def _may_pass(error: BaseException) -> bool:
    """Errors of transport, short answers, and answers with a status that says so."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in REPEATED_STATUSES
    return isinstance(error, httpx2.TransportError | ShortAnswer)


def _asks_too_long(error: BaseException, config: HubSettings) -> bool:
    pause = asked_pause(_headers(error))
    return pause is not None and pause > config.longest_wait_seconds


def _explained(error: Exception, config: HubSettings) -> str:
    """What went wrong, and what to do, for the person on call."""
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set; unset it to use the hub"
    if isinstance(error, HFValidationError):
        return f"not a name that the hub knows: {error}"
    if not _may_pass(error):
        status = _status(error)
        remedy = REMEDIES.get(status or 0, "see the hub's status page")
        return f"the hub answers {status}; {remedy}"
    if _asks_too_long(error, config):
        return (
            f"the hub asks for a pause of {asked_pause(_headers(error)):,.0f} s, hub.longest_wait_seconds is "
            f"{config.longest_wait_seconds:,.0f}. What was read is stored; run again after that pause"
        )
    return (
        f"the hub did not answer in {config.tries} tries, the last time: {_short(error)}. "
        "What was read is stored; run again later, nothing is read twice"
    )


def _error_of(state: RetryCallState) -> BaseException:
    """Why this try failed: only failed tries are waited for and logged."""
    error = state.outcome.exception() if state.outcome else None
    return error or ShortAnswer()


def _headers(error: BaseException) -> Mapping[str, str]:
    response = getattr(error, "response", None)
    return {} if response is None else response.headers


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else response.status_code


def _short(error: BaseException) -> str:
    status = _status(error)
    if status is not None:
        return f"status {status}"
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__
