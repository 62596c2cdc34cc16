"""What `privacy.forget` says at its end: what went, what learned from it, and what a person still has to do.

It holds no id and no words of the person, so it may stand in a log. It decides and deletes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ForgetReport:
    """What was forgotten, or in a dry run what would be."""

    dry_run: bool
    reviews: int
    handed_over: int
    """Texts that stay, because another person wrote the same."""
    predictions: int
    tasks: int
    labels: int
    quarantined: int
    files: tuple[str, ...]
    """Logs, reports, mails and copies of raw reviews, below the state folder."""
    snapshots: tuple[str, ...]
    """Training sets on disk that held the reviews, and were rewritten."""
    learned: tuple[str, ...]
    """Models that were trained or calibrated on the reviews, deleted ones included, or on a set that is damaged."""
    judged: tuple[str, ...]
    """Models that were only judged on them."""
    champion: str | None
    """The champion, where it was trained on the reviews, or may have been."""
    deleted: tuple[str, ...] = ()
    """What was damaged, could not be read, and so may have held the reviews."""
    left: tuple[str, ...] = ()
    """What could be neither read nor deleted, with what to do: it may hold the reviews still."""
    unclear: tuple[str, ...] = ()
    """Models whose description cannot be read: nobody knows what they learned from."""

    @property
    def complete(self) -> bool:
        """Whether every file was read, rewritten or deleted."""
        return not self.left

    @property
    def advice(self) -> list[str]:
        """What a person has to know or do, one line each."""
        lines = [f"rewritten: {name}" for name in (*self.files, *(f"snapshots/{one}" for one in self.snapshots))]
        lines += [f"deleted, because it was damaged and may have held these reviews: {name}" for name in self.deleted]
        lines += [f"NOT COMPLETE, may hold these reviews still: {name}" for name in self.left]
        lines += [f"{version} was trained or calibrated on these reviews" for version in self.learned]
        lines += [f"{version} was judged on these reviews" for version in self.judged]
        lines += [
            f"{version} may have learned from these reviews: its model.json cannot be read; restore its folder from a "
            "backup and run this again, or retrain and release another version"
            for version in self.unclear
        ]
        if self.champion:
            lines.append(f"{self.champion} serves: retrain (DAG retrain_sentiment, `force`) to have it replaced")
        if self.dry_run:
            return [*lines, "nothing was changed: run it again with --for-good"]
        return [
            *lines,
            "out of reach: the source's own files, earlier backups, and what was published elsewhere",
            "a backup that is older than this and is restored brings them back: forget them again then",
        ]

    def __str__(self) -> str:
        """One line for the log: no id of the person is in it."""
        verb = "would forget" if self.dry_run else "forgot" if self.complete else "forgot, NOT completely,"
        return (
            f"{verb} a person: {self.reviews:,} reviews "
            f"({self.handed_over:,} texts live on with others), {self.predictions:,} predictions, "
            f"{self.tasks:,} tasks, {self.labels:,} labels, {self.quarantined:,} quarantined rows, "
            f"{len(self.files):,} files, {len(self.snapshots):,} snapshots; seen by {len(self.learned):,} models; "
            f"{len(self.deleted):,} damaged files deleted, {len(self.left):,} left unread"
        )
