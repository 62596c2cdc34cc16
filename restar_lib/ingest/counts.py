"""How the rows of one ingest run ended: counts that must add up.

A value, no statement: `ingest.load` stores it in `ingest_run`, and the logs and the summary print it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from restar_lib.domain import Outcome
from restar_lib.errors import DamagedFiles


@dataclass(frozen=True, kw_only=True)
class IngestCounts:
    """How every row that one run read ended. Cannot be made with counts that do not add up."""

    ingest_run_id: int
    rows_read: int = 0
    new: int = 0
    edited: int = 0
    already_known: int = 0
    duplicate_text: int = 0
    quarantined: int = 0
    seconds: float = 0.0
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Quarantined rows by reason."""
    repeated_ids: int = 0
    """Rows whose id stood before another text already: it is no id of a review, or an edit. All are reviews here."""
    problem: str = ""
    """Which files cannot be read; all others were."""

    def __post_init__(self) -> None:
        """Hold the sums."""
        outcomes = self.new + self.edited + self.already_known + self.duplicate_text + self.quarantined
        if self.rows_read != outcomes or self.quarantined != sum(self.reasons.values()):
            raise ValueError(f"the counts of ingest run {self.ingest_run_id} do not add up: {self!r}")

    def plus(self, outcomes: Counter[Outcome], reasons: Counter[str], *, repeated_ids: int = 0) -> IngestCounts:
        """These counts and those of one more chunk."""
        return replace(
            self,
            rows_read=self.rows_read + outcomes.total(),
            new=self.new + outcomes[Outcome.NEW],
            edited=self.edited + outcomes[Outcome.EDITED],
            already_known=self.already_known + outcomes[Outcome.ALREADY_KNOWN],
            duplicate_text=self.duplicate_text + outcomes[Outcome.DUPLICATE_TEXT],
            quarantined=self.quarantined + outcomes[Outcome.QUARANTINED],
            reasons=dict(Counter(self.reasons) + reasons),
            repeated_ids=self.repeated_ids + repeated_ids,
        )

    def __str__(self) -> str:
        """One line for the person on call."""
        if not self.rows_read:
            return "nothing new to read"
        edited = f"{self.edited:,} edited, " if self.edited else ""
        reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(self.reasons.items()))
        return (
            f"{self.rows_read:,} rows in {self.seconds:.1f} s ({self.rows_read / max(self.seconds, 0.001):,.0f}/s): "
            f"{self.new:,} new, {edited}{self.already_known:,} already known, {self.duplicate_text:,} duplicate texts, "
            f"{self.quarantined:,} quarantined" + (f" ({reasons})" if reasons else "")
        )


def refuse_damaged(problem: str) -> None:
    """Raise `DamagedFiles` where a run has met this problem; what it did read is stored."""
    if problem:
        raise DamagedFiles(
            f"{problem}. Everything else of the source was read and stored; mend or remove what is named, and run again"
        )
