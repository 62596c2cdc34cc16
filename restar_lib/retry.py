"""How a request to the hub is repeated: after what, how often, after how long, and what is said when it was in vain.

The hub asks for its own pauses (429 with `Retry-After` or `RateLimit`); they are kept, up to a limit. Where it is only
slow, broken or away, the pauses double. What no repetition can mend (a wrong name, a missing right) is told at once.
It knows the hub's client library and nothing of reviews; the clock is not read: a pause that is given as a date is
measured against the answer's own date.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Self, TypeVar

from restar_lib.errors import HubError
from restar_lib.settings import HubSettings

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
REPEATED = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_OWN_PAUSE = 60.0


class ShortAnswer(Exception):
    """An answer ended before its announced length; the request is repeated."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often and how long."""

    tries: int
    longest_wait_seconds: float
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def from_config(cls, config: HubSettings) -> Self:
        """As configured in section `hub`."""
        return cls(tries=config.tries, longest_wait_seconds=config.longest_wait_seconds)

    def ask(self, request: Callable[[], Answer], *, what: str) -> Answer:
        """The answer of `request`, repeated where that can help.

        Raises `HubError` that names `what`: when every try was in vain, when the hub wants a longer pause than we may
        take, and at once for what no repetition can mend.
        """
        with _named(what):
            return self._repeated(request, what=what)

    def _repeated(self, request: Callable[[], Answer], *, what: str) -> Answer:
        for number in range(1, self.tries + 1):
            try:
                return request()
            except _repeatable() as error:
                pause = self._pause(error, number=number, what=what)
                if number == self.tries:
                    raise HubError(
                        f"{what}: the hub did not answer in {self.tries} tries, the last time: {_short(error)}. "
                        "What was read is stored; run again later, nothing is read twice"
                    ) from error
                log.warning("%s: %s; try %d of %d in %.0f s", what, _short(error), number + 1, self.tries, pause)
                self.sleep(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    def _pause(self, error: Exception, *, number: int, what: str) -> float:
        """What the hub asks for, else 1, 2, 4, ... seconds."""
        response = getattr(error, "response", None)
        asked = None if response is None else asked_pause(response.headers)
        if response is not None and response.status_code not in REPEATED:
            raise error
        if asked is not None and asked > self.longest_wait_seconds:
            raise HubError(
                f"{what}: the hub asks for a pause of {asked:,.0f} s, hub.longest_wait_seconds is "
                f"{self.longest_wait_seconds:,.0f}. What was read is stored; run again after that pause"
            ) from error
        return min(2.0 ** (number - 1), LONGEST_OWN_PAUSE) if asked is None else asked


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Turn what the hub refuses for good into a `HubError` that says what to do."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError(f"{what}: HF_HUB_OFFLINE is set; unset it to use the hub") from error
    except HFValidationError as error:
        raise HubError(f"{what}: not a name that the hub knows: {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = {
            401: "give a token that may do this: HF_TOKEN, or RESTAR_HUB__TOKEN",
            403: "the token may not do this: give another one, or accept the data set's conditions on its page",
            404: "there is no such data set, model, commit or file, or the token may not see it",
        }.get(status, "see the hub's status page")
        raise HubError(f"{what}: the hub answers {status}; {remedy}") from error


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


def _repeatable() -> tuple[type[Exception], ...]:
    """What may pass: errors of transport, and answers with a status (which `_pause` looks at)."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    return httpx2.TransportError, HfHubHTTPError, ShortAnswer


def _short(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"status {response.status_code}"
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__
