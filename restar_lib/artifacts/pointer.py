"""The swap itself: the pointer file that serving follows, and the question whether serving has followed.

The pointer is replaced by one atomic rename, so a reader sees the old champion or the new one and never half a file.
It repeats what table `release` says and is rewritten from it at any time (`release.reconcile`); nobody decides here.
No database, no model is loaded, no Airflow and no MLflow: serving imports this.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from restar_lib.atomic_files import READABLE, write_text
from restar_lib.errors import ArtifactError

log = logging.getLogger(__name__)

ASK_EVERY_SECONDS = 0.25
ASK_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What serves, as the file says it."""

    release_id: int
    model_version: str
    folder: str
    """For people; relative to the home folder. Serving finds the model by its version."""
    provisional: bool
    released_at: datetime


class ConfirmationStatus(StrEnum):
    """What the serving API said about a release."""

    SERVING = "serving"
    REFUSED = "refused"
    SILENT = "silent"
    """It did not answer, or still answered with another version, until the time was up."""


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The end of waiting for the serving API."""

    answer: ConfirmationStatus
    detail: str


def write_pointer(path: Path, pointer: Pointer) -> None:
    """Replace the pointer by one rename."""
    content = asdict(pointer) | {"released_at": pointer.released_at.isoformat()}
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n", mode=READABLE)


def read_pointer(path: Path) -> Pointer | None:
    """What serves; None where nothing was released yet. Raises `ArtifactError` for a file that is not a pointer."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["released_at"] = datetime.fromisoformat(content["released_at"])
        return Pointer(**content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(
            f"{path} is not a pointer ({error}); it is written again from the release log by `restar reconcile`"
        ) from None


def wait_until_serving(
    url: str, *, release_id: int, timeout_seconds: float, sleep: Callable[[float], None] = time.sleep
) -> Confirmation:
    """Ask `GET {url}/model/info` until it serves or refuses this release, or the time is up.

    The release and not the version is what counts: a refusal of an earlier release of the same version is old news.
    Several replicas, separated by blanks, are all asked: one that refuses decides, then one that is silent.
    """
    deadline = time.monotonic() + timeout_seconds
    replicas = url.split()
    answers = [_wait_for(one, release_id=release_id, deadline=deadline, sleep=sleep) for one in replicas]
    worst = max(range(len(answers)), key=lambda index: _SEVERITY[answers[index].answer])
    if len(replicas) == 1 or answers[worst].answer is ConfirmationStatus.SERVING:
        return answers[worst]
    return replace(answers[worst], detail=f"{replicas[worst]}: {answers[worst].detail}")


_SEVERITY = {ConfirmationStatus.SERVING: 0, ConfirmationStatus.SILENT: 1, ConfirmationStatus.REFUSED: 2}


def _wait_for(url: str, *, release_id: int, deadline: float, sleep: Callable[[float], None]) -> Confirmation:
    import httpx

    with httpx.Client(timeout=ASK_TIMEOUT_SECONDS, trust_env=False) as client:
        while True:
            confirmation = _ask(lambda: client.get(f"{url.rstrip('/')}/model/info").json(), release_id)
            if confirmation.answer is not ConfirmationStatus.SILENT or time.monotonic() >= deadline:
                return confirmation
            sleep(ASK_EVERY_SECONDS)


def _ask(get: Callable[[], dict[str, Any]], release_id: int) -> Confirmation:
    import httpx

    try:
        info = get()
        serving, refused = info["release_id"], info["refused"]
        if refused is not None and refused["release_id"] == release_id:
            return Confirmation(answer=ConfirmationStatus.REFUSED, detail=refused["reason"])
        # A later release that is already served has taken this one's place; there is nothing left to wait for.
        if serving is not None and serving >= release_id:
            return Confirmation(answer=ConfirmationStatus.SERVING, detail=f"serving {info['model_version']}")
        return Confirmation(answer=ConfirmationStatus.SILENT, detail=f"it still serves {info['model_version']}")
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return Confirmation(answer=ConfirmationStatus.SILENT, detail=f"it does not answer ({error!r})")
