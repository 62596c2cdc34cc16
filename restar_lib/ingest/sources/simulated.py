"""The simulator as a source of reviews: an endless stream, of which a run reads its `max_rows`.

Some rows are cut off in the middle, as real streams have them. What the reviews say is `simulator.reviews`'.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from restar_lib.errors import SourceError
from restar_lib.ingest.raw_rows import Cursor, FileStates, RawRow, no_file_is_read
from restar_lib.ingest.sources.base import check_kind
from restar_lib.settings import SimulatedSettings
from restar_lib.simulator.reviews import review, seeded_choice

CUT_OFF_SHARE: Final = 0.003
"""Share of rows that are malformed."""


@dataclass(frozen=True, kw_only=True)
class SimulatedSource:
    """The endless stream of simulated reviews, as a source; a run ends at its `max_rows`."""

    name: str
    config: SimulatedSettings
    kind: str = "simulated"

    def rows(self, cursor: Cursor | None, _files: FileStates = no_file_is_read, /) -> Iterator[RawRow]:
        """All reviews from the cursor's number on, for ever."""
        check_kind(self, cursor)
        if cursor is not None and cursor["seed"] != self.config.seed:
            raise SourceError(
                f"source {self.name!r} was read with simulated.seed {cursor['seed']}, now it is {self.config.seed}: "
                "set it back, or wipe the state with `make reset`"
            )
        for number in count(cursor["next"] if cursor else 0):
            yield self._row(number)

    def _row(self, number: int) -> RawRow:
        fields = review(number, self.config)
        raw = json.dumps(fields).encode()
        cursor: Cursor = {"kind": self.kind, "seed": self.config.seed, "next": number + 1}
        if seeded_choice("cut", number, self.config).chance(CUT_OFF_SHARE):
            return RawRow(raw=raw[: len(raw) // 2], fields=None, problem="not JSON: cut off", cursor_after=cursor)
        return RawRow(raw=raw, fields=fields, cursor_after=cursor)
