"""Where the embedded default's reviews come from, and how they arrive: history first, then one portion a turn.

`simulated`: the generator, so many rows of history and so many a turn. `files`: real reviews, replayed by time: the
oldest share is history, the rest is delivered slice by slice into the folder that the source `files` reads. A feed only
makes rows available and says how to call `ingest_reviews`; reading them is the DAG's work.
"""

from __future__ import annotations

import glob
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from restar_lib.errors import SourceError
from restar_lib.ingest import replay
from restar_lib.settings import Settings


class Feed(Protocol):
    """Makes the next reviews available."""

    source: dict[str, str]
    """Keys of the configuration section `source` for every process of this installation."""

    def prepare(self) -> str:
        """Get ready once; returns a line that says what there is."""

    def history(self, rows_read: int) -> dict[str, Any] | None:
        """Make history available; the parameters for `ingest_reviews`, None where all of it has been read."""

    def portion(self) -> tuple[dict[str, Any], str] | None:
        """Make the next portion available: parameters and a line about it; None when there is no more."""


@dataclass(frozen=True, kw_only=True)
class SimulatedFeed:
    """The built-in generator: it never runs dry."""

    settings: Settings

    @property
    def source(self) -> dict[str, str]:
        """The generator under its own name."""
        return {"kind": "simulated", "name": "simulated", "path": ""}

    def prepare(self) -> str:
        """Nothing to prepare."""
        embedded = self.settings.embedded
        return f"simulated reviews: {embedded.history_rows:,} as history, then {embedded.turn_rows:,} a turn"

    def history(self, rows_read: int) -> dict[str, Any] | None:
        """What is missing of the history."""
        missing = self.settings.embedded.history_rows - rows_read
        return {"max_rows": missing} if missing > 0 else None

    def portion(self) -> tuple[dict[str, Any], str] | None:
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
        return self.settings.home / "replay"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that `REVIEWS` names. Raises `SourceError` when there are none."""
        given = Path(self.reviews).expanduser()
        found = sorted(given.iterdir()) if given.is_dir() else [Path(name) for name in sorted(glob.glob(str(given)))]
        files = tuple(path.resolve() for path in found if path.name.endswith((".jsonl", ".jsonl.gz", ".json", ".json.gz")))
        if not files:
            raise SourceError(f"REVIEWS={self.reviews}: no .jsonl, .jsonl.gz, .json or .json.gz file there; check the path")
        return files

    @property
    def source(self) -> dict[str, str]:
        """A name of its own for each set of files, so that a state folder is never fed from two."""
        digest = hashlib.sha256("\n".join(map(str, self.paths)).encode()).hexdigest()[:8]
        name = f"{Path(self.reviews).name[:60]}-{digest}"
        return {"kind": "files", "name": name, "path": str(self.folder / "inbox")}

    def prepare(self) -> str:
        """Split the files by time, once."""
        embedded = self.settings.embedded
        plan = replay.plan(
            self.paths, folder=self.folder, history_share=embedded.history_share, slices=embedded.slices,
            spellings=self.settings.source.fields,
        )  # fmt: skip
        return (
            f"{plan.history_rows:,} reviews as history, {sum(plan.slice_rows):,} more in {len(plan.slice_rows)} slices"
            f" by time ({self.reviews})"
        )

    def history(self, rows_read: int) -> dict[str, Any] | None:
        """Deliver the history file; ingest itself knows how far it has read."""
        replay.deliver(self.folder, "history")
        return {"max_rows": self.settings.ingest.max_rows} if rows_read == 0 else {}

    def portion(self) -> tuple[dict[str, Any], str] | None:
        """Deliver the next slice."""
        held = replay.held(self.folder)
        if not held:
            return None
        replay.deliver(self.folder, held[0])
        return {"max_rows": self.settings.ingest.max_rows}, f"{held[0]} arrives, {len(held) - 1} more to come"
