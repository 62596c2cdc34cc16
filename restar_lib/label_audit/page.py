"""The audit of stars as one HTML page that loads nothing from anywhere: drawn from the audit alone.

Same look as the evaluation report (its layout). Texts are customers' and hostile: the template escapes everything.
Writes no file (`audit_store` does).
"""

from __future__ import annotations

from typing import Final

from restar_lib.domain import SENTIMENTS, weak_label
from restar_lib.evaluation.intervals import wilson
from restar_lib.label_audit.audit import Agreement, Audit
from restar_lib.reports.templates import page_template

SHOWN: Final = 400
"""So many characters of a text are shown at once; the rest unfolds."""


def draw(found: Audit) -> str:
    """The page."""
    return page_template("audit.html").render(
        audit=found,
        headline=headline(found),
        worst=_worst(found),
        agreement=None if found.agreement is None else in_words(found.agreement),
        sentiments=SENTIMENTS,
        shown=SHOWN,
        suggested={str(stars): weak_label(stars) for stars in range(1, 6)},
        widest=max((group.share for group in (*found.by_stars, *found.by_category)), default=0.0) or 1.0,
    )


def headline(found: Audit) -> str:
    """The answer, in one sentence."""
    if found.doubted == 0:
        return f"None of {found.rows:,} star ratings is contradicted by its text"
    return f"{found.doubted:,} of {found.rows:,} star ratings seem to lie ({percent(found.doubted, found.rows)})"


def in_words(agreement: Agreement) -> str:
    """How far the audit can be believed, by what people had said."""
    doubted = _share(agreement.doubted_contradicted, agreement.doubted)
    believed = _share(agreement.believed_contradicted, agreement.believed)
    return (
        f"People contradicted the stars on {doubted} of the doubted reviews that they had answered, "
        f"and on {believed} of the others."
    )


def percent(part: int, rows: int) -> str:
    """A share with one decimal."""
    return f"{100 * part / max(rows, 1):.1f}\u202f%"


def _worst(found: Audit) -> str:
    group = max(found.by_stars, key=lambda one: one.doubted, default=None)
    if group is None or group.doubted == 0:
        return ""
    most = SENTIMENTS[max(range(len(SENTIMENTS)), key=lambda at: group.expresses[at])]
    stars = f"{group.name} star{'' if group.name == '1' else 's'}"
    return (
        f"Most of them have {stars}: {group.doubted:,} of {group.rows:,} ({percent(group.doubted, group.rows)}), "
        f"and their texts mostly read {most}."
    )


def _share(hits: int, rows: int) -> str:
    if rows == 0:
        return "none of 0"
    interval = wilson(hits, rows)
    low, high = 100 * interval.low, 100 * interval.high
    return f"{hits:,} of {rows:,} ({percent(hits, rows)}, 95\u202f% interval {low:.0f} to {high:.0f}\u202f%)"
