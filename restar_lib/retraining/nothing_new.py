"""Whether a training on a frozen snapshot could bring anything new, after what was learned from it before.

Training is seeded, so the same snapshot gives the same version again. Reads the champion, the verdicts and the release
log; trains and stores nothing. Called by `retraining.pipeline`.
"""

from __future__ import annotations

from sqlalchemy import Engine

from restar_lib.artifacts.release_log import champion_folder
from restar_lib.gate.judge import refused_before
from restar_lib.gate.verdict_log import last_challenger_on
from restar_lib.gate.withdrawal import why_withdrawn
from restar_lib.inference.engine import ModelInfo
from restar_lib.retraining.policy import TrainingTrigger
from restar_lib.settings import Settings


def why_not_again(engine: Engine, settings: Settings, *, snapshot_hash: str, trigger: TrainingTrigger) -> str | None:
    """Why a training on this snapshot would only bring back what is known, in words; None where it may bring more.

    What the champion learned from teaches nobody; what a challenger learned that was withdrawn or refused, no automatic
    run. A challenger that passed and is not released yet, or that only the machine refused, may be trained again.
    """
    champion = champion_folder(engine, settings)
    if champion and ModelInfo.read(champion).snapshot_hash == snapshot_hash:
        return f"snapshot {snapshot_hash} is what the champion {champion.name} learned from"
    challenger = None if trigger is TrainingTrigger.HAND else last_challenger_on(engine, snapshot_hash)
    if challenger is None:
        return None
    learned = f"snapshot {snapshot_hash} is what {challenger} learned from, and"
    if withdrawal := why_withdrawn(engine, challenger):
        return f"{learned} {withdrawal}"
    refusal = refused_before(
        engine, settings, snapshot_hash=snapshot_hash, champion=champion.name if champion else None
    )
    if refusal is None:
        return None
    return f"{learned} the gate refused it (verdict {refusal.verdict_id}): {refusal.headline}"
