"""What to do about a line that refused: one sentence a line, for logs, mails and the page of a verdict.

General advice; what was measured stands in the line itself.
"""

from __future__ import annotations

from typing import Final

MORE_LABELS: Final = (
    "label more of the queue, or train with training.mode = fine_tune, which learns more from as many rows"
)
ONCE_MORE: Final = "run retrain_sentiment again with `force`: this line alone is measured anew"
REMEDIES: Final = {
    "leakage": "freeze a new snapshot (run retrain_sentiment again); where a set is missing, bring its folder back",
    "accuracy": MORE_LABELS,
    "macro_f1": MORE_LABELS,
    "recall_negative": MORE_LABELS,
    "recall_neutral": f"{MORE_LABELS}; training.class_weight_power gives rare classes more say",
    "recall_positive": MORE_LABELS,
    "calibration_error": "look at the reliability diagram of its evaluation; more validation rows calibrate better",
    "comparison": "nothing, if it is no better; where it cannot be told, wait for more test rows or labels",
    "behaviour": "read the cases that do not hold, below on its page; training.mode = fine_tune passes most of them",
    "behaviour_drop": "read the cases that do not hold, below on its page: the champion knew them",
    "fresh_rows": "ingest newer reviews, so that fresh rows judge",
    "artifact": f"restore the folder or delete it, then {ONCE_MORE}",
    "clean_process": f"look at its memory and the log of the judge, then {ONCE_MORE}",
    "size": "train a smaller encoder, or raise gate.max_artifact_mb if every replica has room",
    "latency": f"when the machine is quiet, {ONCE_MORE}",
}
"""By the name of the line."""
SLICE: Final = "read the slice's table on its page and its reviews in the evaluation; label reviews of that kind"


def remedy_of(line: str) -> str:
    """What to do about a line that refused."""
    return REMEDIES.get(line, SLICE if line.startswith("slice_") else "see docs/gate.md")
