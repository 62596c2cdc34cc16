"""What a person is asked who triggers a DAG by hand: the fields of Airflow's trigger form.

Every field offers what is configured first, so that a scheduled run and an untouched form do the same.
"""

from __future__ import annotations

from typing import Final

from airflow.sdk import Param

RETRAIN: Final = {
    "mode": Param(
        "as configured",
        enum=["as configured", "head", "fine_tune", "lora", "increment"],
        title="Training mode",
        description="`head`: frozen encoder, trained head (a minute). `fine_tune`: everything, `lora`: adapters (many "
        "minutes). `increment`: the champion's head, moved by what is new (seconds).",
    ),
    "approval": Param(
        "as configured",
        enum=["as configured", "auto", "person"],
        title="Approval",
        description="Who releases a challenger that passed the gate.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Train on the same snapshot again",
        description="Also where nothing is new since the champion, for example after a change of the configuration.",
    ),
}
"""Of `retrain_sentiment`."""
