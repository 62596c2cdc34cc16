"""A snapshot that was learned from before: what an automatic run does with it, and what a person may."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from restar_lib.artifacts.release_log import ANY, ChampionChange, append
from restar_lib.domain import ReleaseKind
from restar_lib.errors import NothingToDo
from restar_lib.evaluation.behaviour.cases import cases_hash, load_cases
from restar_lib.gate.verdict import VerdictLine
from restar_lib.gate.verdict_log import VerdictKey, record, reject, rules_hash
from restar_lib.retraining.pipeline import freeze_snapshot, needs_person
from restar_lib.retraining.policy import TrainingTrigger
from restar_lib.settings import Settings
from tests.reviews import NOON, add_reviews
from tests.tiny_model import sealed_tiny_model

LATER = NOON + timedelta(days=30)


@pytest.fixture
def champion(engine: Engine, smoke: Settings) -> str:
    """Six hundred reviews, and a champion that learned from others."""
    add_reviews(engine, smoke, 600)
    version = sealed_tiny_model(smoke.models_dir).name
    change(engine, version, ReleaseKind.RELEASE)
    return version


def change(
    engine: Engine, version: str, kind: ReleaseKind, *, by: str = "policy auto", reason: str = "verdict"
) -> None:
    row = ChampionChange(
        model_version=version, kind=kind, provisional=False, released_by=by, reason=reason, released_at=LATER
    )
    append(engine, row, expected_previous=ANY)


def frozen(engine: Engine, settings: Settings, trigger: TrainingTrigger = TrainingTrigger.SCHEDULE) -> str:
    """What a run freezes."""
    return freeze_snapshot(engine, settings, force=False, trigger=trigger, now=LATER).snapshot_hash


def judged(engine: Engine, settings: Settings, challenger: str, champion: str, *refused_by: str) -> int:
    """A verdict by the rules of now on what a run would freeze; its id."""
    key = VerdictKey(
        challenger=challenger,
        champion=champion,
        snapshot_hash=frozen(engine, settings, TrainingTrigger.HAND),
        rules_hash=rules_hash(settings.gate, cases_hash=cases_hash(load_cases())),
    )
    lines = [
        VerdictLine(name=name, passed=name not in refused_by, detail=name, numbers={})
        for name in ("accuracy", "latency")
    ]
    return record(engine, key, run_key=None, lines=lines, provisional=False, review_ids=[]).verdict_id


def test_what_was_rolled_back_is_not_trained_again(engine: Engine, smoke: Settings, champion: str) -> None:
    """The run skips before the training, and its log says who rolled back when and why; a person may train it."""
    judged(engine, smoke, "rs-bbbbbbbbbb", champion)
    change(engine, "rs-bbbbbbbbbb", ReleaseKind.RELEASE)
    change(engine, champion, ReleaseKind.ROLL_BACK, by="ada", reason="it praises what is broken")
    with pytest.raises(NothingToDo, match=r"ada rolled back from rs-bbbbbbbbbb on .* UTC: it praises what is broken"):
        frozen(engine, smoke)
    assert frozen(engine, smoke, TrainingTrigger.HAND)
    add_reviews(engine, smoke, 100, prefix="new")
    assert frozen(engine, smoke), "something is new: another version comes of it"


def test_what_the_gate_refused_is_not_trained_again(engine: Engine, smoke: Settings, champion: str) -> None:
    """By the same rules against the same champion; after a change of either the gate may answer otherwise."""
    verdict_id = judged(engine, smoke, "rs-bbbbbbbbbb", champion, "accuracy")
    with pytest.raises(NothingToDo, match=rf"the gate refused it \(verdict {verdict_id}\)"):
        frozen(engine, smoke)
    lower = smoke.model_copy(update={"gate": smoke.gate.model_copy(update={"min_accuracy": 0.123})})
    assert frozen(engine, lower)
    change(engine, sealed_tiny_model(smoke.models_dir, temperature=2.0).name, ReleaseKind.RELEASE)
    assert frozen(engine, smoke)


def test_what_only_the_machine_refused_is_trained_again(engine: Engine, smoke: Settings, champion: str) -> None:
    """A latency that was too high while the machine was busy is measured again by the next run."""
    judged(engine, smoke, "rs-bbbbbbbbbb", champion, "latency")
    assert frozen(engine, smoke)


def test_what_a_person_rejected_is_not_trained_again(engine: Engine, smoke: Settings, champion: str) -> None:
    """One that passed and waits for an answer is; after a no it is not."""
    verdict_id = judged(engine, smoke, "rs-bbbbbbbbbb", champion)
    assert frozen(engine, smoke)
    reject(engine, verdict_id=verdict_id, by="ben", now=LATER)
    with pytest.raises(NothingToDo, match="ben rejected rs-bbbbbbbbbb"):
        frozen(engine, smoke)


@pytest.mark.parametrize("policy", ["auto", "as configured"])
def test_a_withdrawn_challenger_is_a_persons_to_release_whatever_the_policy(smoke: Settings, policy: str) -> None:
    """Also where the form says `auto`; one that nobody withdrew follows the policy."""
    judgement = {"challenger": "rs-bbbbbbbbbb", "may_serve": True, "refused_by": (), "withdrawal": None}
    automatic = smoke.model_copy(update={"release": smoke.release.model_copy(update={"approval": "auto"})})
    assert not needs_person(judgement, policy=policy, settings=automatic)
    assert needs_person(judgement | {"withdrawal": "ada rolled back"}, policy=policy, settings=automatic)
