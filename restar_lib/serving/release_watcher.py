"""Follows releases: reads the pointer, loads and checks the new model, and only then serves it.

One thread reads the pointer every `poll_seconds`. A model that is damaged, does not load or does not answer its probe
is refused: the old one stays, `refused` says why, and it is tried again from time to time, because the folder may be
restored. A request reads `serving` once and finishes with the model it began with. No database, no HTTP, no decision
about what should serve: a pointer that a killed release has left behind the release log is written by the next scoring
or housekeeping, or by `restar reconcile`, and then followed here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from restar_lib.artifacts import sealed_folder
from restar_lib.artifacts.model_loading import load_verified
from restar_lib.artifacts.pointer import Pointer, read_pointer
from restar_lib.errors import ArtifactError, RestarError
from restar_lib.inference.engine import InferenceEngine
from restar_lib.languages.identify import load_identifier
from restar_lib.settings import Settings

log = logging.getLogger(__name__)

TRY_AGAIN_SECONDS: Final = 30.0
"""A refused model is not tried again sooner: verifying reads the whole folder."""
NO_RELEASE: Final = 0


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A loaded model, and the pointer that named it."""

    model: InferenceEngine
    pointer: Pointer
    loaded_at: datetime


@dataclass(frozen=True, kw_only=True)
class RefusedRelease:
    """A release whose model was refused."""

    release_id: int
    model_version: str
    reason: str
    at: float
    """Monotonic seconds."""


class ReleaseWatcher:
    """Holds the model that serves. `serving` and `refused` may be read from any thread."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is read before `start` or `check_pointer`."""
        self._settings = settings
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="restar-watcher", daemon=True)
        self.serving: ServedModel | None = None
        self.refused: RefusedRelease | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what serves stays loaded."""
        self._stop.set()
        self._thread.join()

    def check_pointer(self) -> None:
        """Read the pointer once, and change to another model where it names one."""
        try:
            pointer = read_pointer(self._settings.pointer_path)
        except ArtifactError as error:
            self._refuse(NO_RELEASE, "unknown", error)
            return
        if pointer is not None and not self._is_settled(pointer):
            self._switch_to(pointer)

    def _watch(self) -> None:
        while True:
            try:
                self.check_pointer()
            except Exception:  # an unexpected error must not end the thread: no release would be seen again
                log.exception("reading the pointer failed; the model that serves stays")
            if self._stop.wait(self._settings.serving.poll_seconds):
                return

    def _is_settled(self, pointer: Pointer) -> bool:
        if self.serving is not None and self.serving.pointer == pointer:
            self.refused = None
            return True
        refused = self.refused
        same = refused is not None and refused.release_id == pointer.release_id
        return refused is not None and same and self._clock() - refused.at < TRY_AGAIN_SECONDS

    def _switch_to(self, pointer: Pointer) -> None:
        if self.serving is not None and self.serving.model.version == pointer.model_version:
            self._serve(replace(self.serving, pointer=pointer))
            return
        started = self._clock()
        try:
            model = self._load(pointer.model_version)
        except RestarError as error:
            self._refuse(pointer.release_id, pointer.model_version, error)
            return
        self._serve(ServedModel(model=model, pointer=pointer, loaded_at=datetime.now(UTC)))
        log.info(
            "now serving %s (release %d), verified and probed in %.1f s",
            model.version,
            pointer.release_id,
            self._clock() - started,
        )

    def _load(self, version: str) -> InferenceEngine:
        folder = sealed_folder.locate(self._settings.models_dir, version)
        load_identifier()  # here, so that no request waits for it
        return load_verified(folder, threads=self._settings.scoring.threads)

    def _serve(self, serving: ServedModel) -> None:
        self.serving, self.refused = serving, None

    def _refuse(self, release_id: int, version: str, error: RestarError) -> None:
        known = self.refused
        if known is None or (known.release_id, known.reason) != (release_id, str(error)):
            stays = self.serving.model.version if self.serving else "no model"
            log.error("refused %s (release %d): %s; %s stays in service", version, release_id, error, stays)
        self.refused = RefusedRelease(release_id=release_id, model_version=version, reason=str(error), at=self._clock())
