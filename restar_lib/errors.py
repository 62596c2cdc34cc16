"""Every situation that Re*Star reports by name.

One base class; a message says what happened, to which id, and what to do. The edges (HTTP, the command line, Airflow
tasks) map these to codes in one table each; nothing else catches them to hide them.
"""

from __future__ import annotations


class RestarError(Exception):
    """Something that Re*Star knows by name went wrong."""

    exit_code = 1


class ConfigurationError(RestarError):
    """A configuration key is unknown, or its value is outside the allowed range."""

    exit_code = 2


class SourceError(RestarError):
    """A source cannot be read, or the state belongs to another source."""

    exit_code = 3


class DamagedFiles(SourceError):
    """Some files of a source cannot be read; the rows of all others were."""


class HubError(SourceError):
    """The hub does not answer in time, or refuses; what was read or pushed before stands."""


class LeaseLost(RestarError):
    """The claim on a task went to somebody else or was given back; nothing was written."""


class OpenInAnotherTab(LeaseLost):
    """The same labeler has claimed the task again, in another tab or terminal; an answer counts there."""


class NothingToUndo(RestarError):
    """The labeler has no recent label that can still be taken back."""


class SnapshotError(RestarError):
    """A training set cannot be built, or a stored one is not what its manifest says."""


class ArtifactError(RestarError):
    """A model folder is incomplete or altered; it is refused and the champion keeps serving."""


class ProbeFailed(RestarError):
    """A model loaded but its answers to the probe are not the recorded ones."""


class ReleaseConflict(RestarError):
    """The release log moved while this release was being prepared, or there is no version to go back to."""


class DeliveryFailed(RestarError):
    """An alert did not leave over one of its channels; it waits there and the next run tries again."""


class MailFailed(DeliveryFailed):
    """A mail did not leave; its alert stays unmailed and the next run tries again."""


class WebhookFailed(DeliveryFailed):
    """The webhook did not take a message; its alert waits and the next run tries again."""


class WorkLost(RestarError):
    """A process that did heavy work ended without an answer; running it again is harmless."""


class KilledForMemory(WorkLost):
    """The operating system killed a process for memory: it needs more of it, or less to do at once."""


class NotTidied(RestarError):
    """Housekeeping could not delete some files, mostly somebody else's; everything else was tidied."""


class ErasureIncomplete(RestarError):
    """A person is gone from the database, but files that may hold their words could be neither read nor deleted."""


class BackupError(RestarError):
    """A backup cannot be written, is not whole, or there is no empty place to restore it to."""

    exit_code = 6


class EmbeddedError(RestarError):
    """The one-machine set-up cannot start: a port in use, a stale lock, a full disk, a missing tool."""

    exit_code = 4


class NothingToDo(RestarError):
    """There is nothing to do, which is a good answer; the message says why, and what would change it."""

    exit_code = 0


class TurnFailed(RestarError):
    """A turn of the loop did not complete."""

    exit_code = 5
