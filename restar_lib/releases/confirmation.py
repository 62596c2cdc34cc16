"""Waiting until the serving API has followed a release.

Every replica is asked over HTTP which release it serves, until it serves or refuses the one in question or the time is
up. It changes nothing: what follows from the answer, a return to the old champion for example, `releases.release`
decides, which calls it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

POLL_SECONDS: Final = 0.25
REQUEST_TIMEOUT_SECONDS: Final = 5.0


class ConfirmationStatus(StrEnum):
    """What the serving API said about a release."""

    SERVING = "serving"
    REFUSED = "refused"
    SILENT = "silent"
    """It did not answer, or still answered with another version, until the time was up."""


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """How the waiting for the serving API ended."""

    status: ConfirmationStatus
    detail: str


def wait_until_serving(
    url: str, *, release_id: int, timeout_seconds: float, sleep: Callable[[float], None] = time.sleep
) -> Confirmation:
    """Ask `GET {url}/model/info` until it serves or refuses this release, or the time is up.

    The release counts and not the version: the same version may have been refused in an earlier release. Several
    replicas, separated by blanks, are all asked: one that refuses decides, then one that is silent.
    """
    deadline = time.monotonic() + timeout_seconds
    replicas = url.split()
    found = [_wait_for(replica, release_id=release_id, deadline=deadline, sleep=sleep) for replica in replicas]
    worst = max(range(len(found)), key=lambda index: _SEVERITY[found[index].status])
    if len(replicas) == 1 or found[worst].status is ConfirmationStatus.SERVING:
        return found[worst]
    return replace(found[worst], detail=f"{replicas[worst]}: {found[worst].detail}")


_SEVERITY = {ConfirmationStatus.SERVING: 0, ConfirmationStatus.SILENT: 1, ConfirmationStatus.REFUSED: 2}


def _wait_for(url: str, *, release_id: int, deadline: float, sleep: Callable[[float], None]) -> Confirmation:
    import httpx

    with httpx.Client(timeout=REQUEST_TIMEOUT_SECONDS, trust_env=False) as client:
        while True:
            found = _status(lambda: client.get(f"{url.rstrip('/')}/model/info").json(), release_id)
            if found.status is not ConfirmationStatus.SILENT or time.monotonic() >= deadline:
                return found
            sleep(POLL_SECONDS)


def _status(get: Callable[[], dict[str, Any]], release_id: int) -> Confirmation:
    import httpx

    try:
        info = get()
        serving, refused = info["release_id"], info["refused"]
        if refused is not None and refused["release_id"] == release_id:
            return Confirmation(status=ConfirmationStatus.REFUSED, detail=refused["reason"])
        # A later release that is already served has replaced this one; there is nothing left to wait for.
        if serving is not None and serving >= release_id:
            return Confirmation(status=ConfirmationStatus.SERVING, detail=f"serving {info['model_version']}")
        return Confirmation(status=ConfirmationStatus.SILENT, detail=f"it still serves {info['model_version']}")
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return Confirmation(status=ConfirmationStatus.SILENT, detail=f"it does not answer ({error!r})")
