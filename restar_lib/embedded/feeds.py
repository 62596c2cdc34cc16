"""Where the embedded default's reviews come from, and how they arrive: history first, then one batch a turn.

`simulated`: the generator, so many rows of history and so many a turn. `files`: real reviews, replayed by time: the
oldest share is history, the rest is delivered slice by slice into the folder that the source `files` reads. `hub`: a
data set on the hub, read on from where it is. `snapshot`: a published training set, all of it history. A feed only
makes rows available and says how to call `ingest_reviews`; reading them is the DAG's work.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from restar_lib.demo import replay
from restar_lib.errors import SourceError
from restar_lib.ingest.readers.storage import find_files
from restar_lib.ingest.sources.configured import file_options
from restar_lib.settings import Settings

if TYPE_CHECKING:
    from restar_lib.ingest.sources.published_manifest import PublishedManifest

REPLAY = "replay"
"""In the state folder: the files of `REVIEWS`, split by time."""
AS_DELIVERED: Final = {
    "encoding": "utf-8",
    "rating_scale": "1-5",
    "date_order": "",
    "reviewed_at": "",
    "max_refused": 1.0,
}
"""How `source` reads what a replay delivers. How the files of `REVIEWS` are read is decided where they are planned, and
a slice may hold all bad rows of a month."""
HUB = "hub"
"""`REVIEWS=hub` means the data set of section `hub`, not a file of that name."""

Configuration = dict[str, dict[str, Any]]
"""Sections and keys, for every process of this installation."""


class Feed(Protocol):
    """Makes the next reviews available."""

    @property
    def configuration(self) -> Configuration:
        """Which source all processes read, and how much a nightly run takes of it."""

    def prepare(self) -> str:
        """Get ready once; returns a line that says what there is."""

    def history(self, rows_read: int) -> dict[str, Any] | None:
        """Make history available; the parameters for `ingest_reviews`, None where all of it has been read."""

    def next_batch(self) -> tuple[dict[str, Any], str] | None:
        """Make the next batch available: parameters for `ingest_reviews` and a line about it; None at the end."""


@dataclass(frozen=True, kw_only=True)
class SimulatedFeed:
    """The built-in generator: it never ends."""

    settings: Settings

    @property
    def configuration(self) -> Configuration:
        """The generator under its own name; it never ends, so a nightly run takes as much as a turn."""
        source = {"kind": "simulated", "name": "simulated", "path": ""}
        return {"source": source, "ingest": {"max_rows": self.settings.embedded.turn_rows}}

    def prepare(self) -> str:
        """Nothing to prepare."""
        embedded = self.settings.embedded
        return f"simulated reviews: {embedded.history_rows:,} as history, then {embedded.turn_rows:,} a turn"

    def history(self, rows_read: int) -> dict[str, Any] | None:
        """What is missing of the history."""
        missing = self.settings.embedded.history_rows - rows_read
        return {"max_rows": missing} if missing > 0 else None

    def next_batch(self) -> tuple[dict[str, Any], str] | None:
        """The next rows of the generator."""
        rows = self.settings.embedded.turn_rows
        return {"max_rows": rows}, f"{rows:,} simulated reviews arrive"


@dataclass(frozen=True, kw_only=True)
class ReplayFeed:
    """Files of real reviews, replayed by time."""

    settings: Settings
    reviews: str

    @property
    def folder(self) -> Path:
        """Held and delivered files."""
        return self.settings.home / REPLAY

    @property
    def path(self) -> str:
        """`REVIEWS`, absolute: the same files are the same source from wherever they are named."""
        return self.reviews if "://" in self.reviews else str(Path(self.reviews).expanduser().absolute())

    @property
    def configuration(self) -> Configuration:
        """A name of its own for each path, so that a state folder is never fed from two. Raises `SourceError`."""
        find_files(
            self.path, storage=self.settings.source.storage
        )  # a path without files is refused before anything starts
        digest = hashlib.sha256(self.path.encode()).hexdigest()[:8]
        name = f"{Path(self.path).name[:60]}-{digest}"
        source = {"kind": "files", "name": name, "path": str(self.folder / replay.INBOX)}
        return {"source": source | AS_DELIVERED}

    def prepare(self) -> str:
        """Split the files by time, once."""
        plan = self._plan()
        return (
            f"{plan.history_rows:,} reviews as history, {sum(plan.slice_rows):,} more in {len(plan.slice_rows)} slices"
            f" from {plan.slices_from[:10]} to {plan.newest_at[:10]}"
        )

    def history(self, rows_read: int) -> dict[str, Any] | None:
        """Deliver the history file; what of it is read already, the cursor knows."""
        replay.deliver(self.folder, replay.HISTORY)
        return None if rows_read >= self._plan().history_rows else {"max_rows": self.settings.ingest.max_rows}

    def next_batch(self) -> tuple[dict[str, Any], str] | None:
        """Deliver the next slice."""
        name = replay.next_held(self.folder, self._plan())
        if name is None:
            return None
        replay.deliver(self.folder, name)
        return {"max_rows": self.settings.ingest.max_rows}, f"{name} arrives"

    def _plan(self) -> replay.ReplayPlan:
        embedded = self.settings.embedded
        return replay.plan(
            self.path,
            folder=self.folder,
            options=file_options(self.settings.source),
            storage=self.settings.source.storage,
            history_share=embedded.history_share,
            slices=embedded.slices,
        )


@dataclass(frozen=True, kw_only=True)
class HubFeed:
    """A data set on the hub: as much history and as much a turn as the simulator gives."""

    settings: Settings

    @property
    def configuration(self) -> Configuration:
        """A name of its own for each data set; the state folder is bound to it."""
        source = {"kind": HUB, "name": f"hub:{self.settings.hub.dataset}"[:100], "path": ""}
        return {"source": source, "ingest": {"max_rows": self.settings.embedded.turn_rows}}

    def prepare(self) -> str:
        """Ask the hub once, so that a wrong name or a missing network is reported before anything is trained."""
        from restar_lib.ingest.sources.hub_files import HubFiles

        hub, embedded = self.settings.hub, self.settings.embedded
        commit = HubFiles.from_config(hub).commit(hub.revision)
        return (
            f"{hub.dataset} at {commit[:12]}, {', '.join(hub.categories)}: {embedded.history_rows:,} as history, "
            f"then {embedded.turn_rows:,} a turn"
        )

    def history(self, rows_read: int) -> dict[str, Any] | None:
        """What is missing of the history."""
        missing = self.settings.embedded.history_rows - rows_read
        return {"max_rows": missing} if missing > 0 else None

    def next_batch(self) -> tuple[dict[str, Any], str] | None:
        """The next rows of all categories."""
        rows = self.settings.embedded.turn_rows
        return {"max_rows": rows}, f"{rows:,} reviews from the hub arrive"


@dataclass(frozen=True, kw_only=True)
class SnapshotFeed:
    """A published training set: it trains the first model, and nothing arrives after it."""

    settings: Settings

    @property
    def configuration(self) -> Configuration:
        """A name of its own for each snapshot. Raises `SourceError` where none is named."""
        path = self.settings.source.path
        if not path:
            raise SourceError("source.path is empty: name the folder or the data set that `restar snapshot push` wrote")
        if Path(path).expanduser().is_dir():
            path = str(Path(path).expanduser().absolute())  # the services run in another folder
        return {"source": {"kind": "snapshot", "name": f"snapshot:{path}"[-100:], "path": path}}

    def prepare(self) -> str:
        """Look at it once."""
        published = self._published()
        return f"{published.rows:,} reviews of the training set {published.snapshot_hash}, all of them history"

    def history(self, rows_read: int) -> dict[str, Any] | None:
        """All of it; what of it is read already, the cursor knows."""
        return {"max_rows": self.settings.ingest.max_rows} if rows_read < self._published().rows else None

    def next_batch(self) -> tuple[dict[str, Any], str] | None:
        """A published set does not grow."""
        return None

    def _published(self) -> PublishedManifest:
        from restar_lib.ingest.sources.published import SnapshotSource

        return SnapshotSource.from_settings(self.settings).manifest()


def open_feed(settings: Settings, *, reviews: str) -> Feed:
    """The feed for `REVIEWS`; where that is empty, for the configured source."""
    if reviews == HUB or (not reviews and settings.source.kind == HUB):
        return HubFeed(settings=settings)
    if reviews:
        return ReplayFeed(settings=settings, reviews=reviews)
    return SnapshotFeed(settings=settings) if settings.source.kind == "snapshot" else SimulatedFeed(settings=settings)
