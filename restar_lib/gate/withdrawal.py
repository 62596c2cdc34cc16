"""Whether a person or serving said no to a version before: when, by whom and why.

Such a version is never released by policy again; a person may release it, and reads this first. Reads the release log
and the verdicts; decides nothing and stores nothing. Called by the gate's page, `retraining` and `releases`.
"""

from __future__ import annotations

from datetime import UTC

from sqlalchemy import Engine

from restar_lib.artifacts.release_log import Release, history, withdrawal_in_words, withdrawals
from restar_lib.domain import ReleaseKind
from restar_lib.gate.verdict_log import RejectedRelease, last_rejection


def why_withdrawn(engine: Engine, version: str) -> str | None:
    """The last no to a version, in a sentence; None where nobody said no, or a person released it again since.

    A version is withdrawn where somebody rolled back from it, where serving refused it, and where a person who was
    asked rejected it.
    """
    log_rows = history(engine)
    taken_out = withdrawals(log_rows).get(version)
    if taken_out is not None:
        return withdrawal_in_words(version, taken_out)
    rejection = last_rejection(engine, challenger=version)
    if rejection is None or _released_since(log_rows, rejection):
        return None
    when = f"{rejection.rejected_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{rejection.rejected_by} rejected {version} on {when}, asked about verdict {rejection.verdict_id}"


def _released_since(log_rows: tuple[Release, ...], rejection: RejectedRelease) -> bool:
    return any(
        row.kind is ReleaseKind.RELEASE
        and row.model_version == rejection.challenger
        and row.released_at > rejection.rejected_at
        for row in log_rows
    )
