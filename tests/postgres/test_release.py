"""Releases: one consistent champion whatever is killed, raced or refused."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from sqlalchemy import Engine, event, insert
from typer.testing import CliRunner

from restar_lib.artifacts import release_log, sealed_folder
from restar_lib.artifacts.pointer import read_pointer
from restar_lib.cli import app
from restar_lib.domain import ReleaseKind
from restar_lib.errors import ArtifactError, ProbeFailed, ReleaseConflict
from restar_lib.gate.verdict_log import reject
from restar_lib.gate.withdrawal import why_withdrawn
from restar_lib.releases.release import (
    Release,
    champion_folder,
    current,
    following_champion_folder,
    history,
    in_use,
    previous,
    reconcile,
    release,
    roll_back,
)
from restar_lib.serving.api import create_app
from restar_lib.settings import ServingSettings, Settings
from restar_lib.settings import settings as process_settings
from restar_lib.store import database
from restar_lib.store.database import engine_for, lock
from restar_lib.store.tables import ReleaseRow, SnapshotRow, VerdictRow
from tests.tiny_model import sealed_tiny_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def versions(smoke: Settings) -> list[str]:
    """Three sealed models."""
    return [sealed_tiny_model(smoke.models_dir, temperature=1.0 + number).name for number in range(3)]


def make(engine: Engine, settings: Settings, version: str, *, expected: str | None = release_log.ANY) -> Release:
    """Release a version."""
    return release(
        engine,
        settings,
        version=version,
        by="anna",
        reason="a test",
        provisional=False,
        now=NOW,
        expected_previous=expected,
    )


def stored_verdict(engine: Engine, version: str) -> int:
    """A verdict that passed this version; its id."""
    sizes = {"train_rows": 1, "validation_rows": 1, "test_rows": 1, "people_rows": 0}
    asked = {"challenger": version, "snapshot_hash": "0" * 16, "rules_hash": "0" * 16}
    with engine.begin() as connection:
        connection.execute(insert(SnapshotRow).values(snapshot_hash="0" * 16, **sizes))
        verdict = insert(VerdictRow).values(**asked, passed=True, provisional=False, lines=[])
        return connection.execute(verdict.returning(VerdictRow.verdict_id)).scalar_one()


def back(engine: Engine, settings: Settings) -> Release:
    """Roll back once."""
    return roll_back(engine, settings, by="anna", reason="it is bad", now=NOW)


def served(settings: Settings) -> str | None:
    """What the pointer says."""
    pointer = read_pointer(settings.pointer_path)
    return None if pointer is None else pointer.model_version


def test_a_release_is_a_row_and_a_pointer(engine: Engine, smoke: Settings, versions: list[str]) -> None:
    """Who, why, when and after what; the pointer repeats it."""
    assert (current(engine), champion_folder(engine, smoke), served(smoke)) == (None, None, None)
    first = make(engine, smoke, versions[0])
    second = make(engine, smoke, versions[1])
    assert (second.previous_release_id, second.released_by, second.reason) == (first.release_id, "anna", "a test")
    assert (second.kind, second.released_at) == (ReleaseKind.RELEASE, NOW)
    assert current(engine) == second
    assert history(engine) == (first, second)
    assert champion_folder(engine, smoke) == smoke.models_dir / versions[1]
    pointer = read_pointer(smoke.pointer_path)
    assert pointer is not None
    assert (pointer.release_id, pointer.model_version, pointer.released_at) == (second.release_id, versions[1], NOW)


def test_releasing_what_serves_adds_nothing(engine: Engine, smoke: Settings, versions: list[str]) -> None:
    """A cleared task is harmless."""
    assert make(engine, smoke, versions[0]) == make(engine, smoke, versions[0])
    assert len(history(engine)) == 1


def test_a_challenger_judged_against_another_champion_is_not_released(
    engine: Engine, smoke: Settings, versions: list[str]
) -> None:
    """The champion changed while somebody thought about it."""
    make(engine, smoke, versions[0], expected=None)
    with pytest.raises(ReleaseConflict, match=f"to replace nothing, but {versions[0]} serves now"):
        make(engine, smoke, versions[1], expected=None)
    with pytest.raises(ReleaseConflict, match=f"to replace {versions[2]}, but {versions[0]} serves now"):
        make(engine, smoke, versions[1], expected=versions[2])
    make(engine, smoke, versions[1], expected=versions[0])
    assert served(smoke) == versions[1]


def test_a_version_without_a_passed_verdict_is_marked_provisional(
    engine: Engine, smoke: Settings, versions: list[str]
) -> None:
    """A person may release it all the same; log and pointer say what it is."""
    made = release(engine, smoke, version=versions[0], by="anna", reason="I know better", now=NOW)
    pointer = read_pointer(smoke.pointer_path)
    assert made.provisional
    assert pointer is not None
    assert pointer.provisional


@pytest.mark.parametrize("damage", ["missing", "altered", "unknown", "another model's probe"])
def test_a_bad_model_is_refused_before_anything_is_written(
    engine: Engine, smoke: Settings, versions: list[str], damage: str
) -> None:
    """Neither a row nor the pointer; the champion stays."""
    made = make(engine, smoke, versions[0])
    bad = _damaged(smoke, versions[1], damage)
    with pytest.raises((ArtifactError, ProbeFailed), match=bad):
        make(engine, smoke, bad)
    assert history(engine) == (made,)
    assert served(smoke) == versions[0]


def _damaged(settings: Settings, version: str, damage: str) -> str:
    folder = settings.models_dir / version
    match damage:
        case "missing":
            (folder / "model.onnx").unlink()
        case "altered":
            (folder / "tokenizer.json").write_text("{}")
        case "unknown":
            return "rs-ffffffffff"
        case _:
            other = sealed_tiny_model(settings.models_dir, bias=(5.0, 0.0, 0.0))
            work = sealed_folder.new_work_folder(settings.models_dir)
            shutil.copytree(other, work, dirs_exist_ok=True)
            shutil.copy(folder / "probe.json", work)
            return sealed_folder.seal(work, settings.models_dir)
    return version


def test_rolling_back_goes_back_one_version_at_a_time(engine: Engine, smoke: Settings, versions: list[str]) -> None:
    """Never to one that was rolled back from; at the beginning it says that there is nothing."""
    for version in versions:
        make(engine, smoke, version)
    assert in_use(engine) == {versions[2], versions[1]}
    assert back(engine, smoke).model_version == versions[1]
    assert back(engine, smoke).model_version == versions[0]
    assert [row.kind for row in history(engine)[3:]] == [ReleaseKind.ROLL_BACK] * 2
    assert release_log.withdrawn(engine) == {versions[1], versions[2]}
    assert previous(engine) is None
    with pytest.raises(ReleaseConflict, match="no earlier version"):
        back(engine, smoke)
    make(engine, smoke, versions[2])
    assert release_log.withdrawn(engine) == {versions[1]}, "somebody wants the other one again"
    assert back(engine, smoke).model_version == versions[0]


def test_no_policy_releases_what_a_person_rolled_back(
    engine: Engine, smoke: Settings, versions: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused under the lock of the log, and says who took it out when and why; a person may, and is told."""
    make(engine, smoke, versions[0])
    make(engine, smoke, versions[1])
    roll_back(engine, smoke, by="ada", reason="it praises what is broken", now=NOW)
    by_policy = {"by": "policy auto", "reason": "verdict 1", "now": NOW, "by_policy": True}
    with pytest.raises(ReleaseConflict, match=rf"ada rolled back from {versions[1]} on .*: it praises what is broken"):
        release(engine, smoke, version=versions[1], **by_policy)  # type: ignore[arg-type]
    assert history(engine)[-1].model_version == versions[0]
    assert release(engine, smoke, version=versions[2], **by_policy).model_version == versions[2]  # type: ignore[arg-type]
    make(engine, smoke, versions[1])
    assert f"{versions[1]} is released again although ada rolled back" in caplog.text
    assert why_withdrawn(engine, versions[1]) is None


def test_a_rejection_is_kept_until_a_person_releases_the_version(
    engine: Engine, smoke: Settings, versions: list[str]
) -> None:
    """It names who rejected it and the verdict that was asked about."""
    verdict_id = stored_verdict(engine, versions[1])
    reject(engine, verdict_id=verdict_id, by="ben", now=NOW)
    assert why_withdrawn(engine, versions[1]) == (
        f"ben rejected {versions[1]} on {NOW:%Y-%m-%d %H:%M} UTC, asked about verdict {verdict_id}"
    )
    assert why_withdrawn(engine, versions[0]) is None
    release(engine, smoke, version=versions[1], by="cyd", reason="it is better", now=NOW + timedelta(hours=1))
    assert why_withdrawn(engine, versions[1]) is None


def test_a_roll_back_to_a_damaged_model_keeps_the_champion(
    engine: Engine, smoke: Settings, versions: list[str]
) -> None:
    """It is refused by name like any other."""
    make(engine, smoke, versions[0])
    make(engine, smoke, versions[1])
    (smoke.models_dir / versions[0] / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"model\.onnx is missing"):
        back(engine, smoke)
    assert served(smoke) == versions[1]


def test_the_pointer_follows_the_log(engine: Engine, smoke: Settings, versions: list[str]) -> None:
    """Lost, stale or ruined: reconciling writes it again, and a good one is left alone."""
    assert reconcile(engine, smoke) is None
    made = make(engine, smoke, versions[0])
    for content in (None, "{", '{"release_id": 7}'):
        smoke.pointer_path.unlink()
        if content is not None:
            smoke.pointer_path.write_text(content)
        assert reconcile(engine, smoke) == made
        assert served(smoke) == versions[0]
    before = smoke.pointer_path.stat().st_mtime_ns
    reconcile(engine, smoke)
    assert smoke.pointer_path.stat().st_mtime_ns == before


def test_scoring_finishes_a_release_that_was_killed_after_its_log(
    engine: Engine, smoke: Settings, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is there and the pointer is not: `restar score` writes it, so that what scores is what serves."""
    make(engine, smoke, versions[0])
    append(engine, versions[1])
    assert (served(smoke), champion_folder(engine, smoke)) == (versions[0], smoke.models_dir / versions[1])
    monkeypatch.setenv("RESTAR_HOME", str(smoke.home))
    monkeypatch.setenv("RESTAR_DATABASE__URL", engine.url.render_as_string(hide_password=False))
    for cached in (process_settings, database.engine):
        cached.cache_clear()
    done = CliRunner().invoke(app, ["score"])
    database.engine().dispose()
    for cached in (process_settings, database.engine):
        cached.cache_clear()
    assert (done.exit_code, served(smoke)) == (0, versions[1])


def test_a_pointer_that_cannot_be_written_does_not_stop_scoring(
    engine: Engine, smoke: Settings, versions: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said; the champion of the log scores."""
    append(engine, versions[1])
    smoke.pointer_path.mkdir(parents=True)
    (smoke.pointer_path / "something").touch()
    assert following_champion_folder(engine, smoke) == smoke.models_dir / versions[1]
    assert "until `restar reconcile` succeeds" in caplog.text


def append(engine: Engine, version: str) -> None:
    """What a release that is killed at once has done: its row."""
    change = release_log.ChampionChange(
        model_version=version, kind=ReleaseKind.RELEASE, provisional=False, released_by="ann", reason="a test",
        released_at=NOW,
    )  # fmt: skip
    release_log.append(engine, change, expected_previous=release_log.ANY)


def test_releases_at_once_make_one_chain(engine: Engine, smoke: Settings, versions: list[str]) -> None:
    """Each row names the one before it, all judged against the same champion but one are refused, the pointer agrees."""
    first = make(engine, smoke, versions[0])

    def attempt(version: str) -> Release | ReleaseConflict:
        try:
            return make(engine, smoke, version, expected=versions[0])
        except ReleaseConflict as conflict:
            return conflict

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(attempt, [versions[1], versions[2]] * 2))
    log = history(engine)
    assert [row.previous_release_id for row in log] == [None, first.release_id]
    assert any(isinstance(outcome, ReleaseConflict) for outcome in outcomes)
    assert served(smoke) == log[-1].model_version


def test_a_release_waits_for_another_that_is_being_appended(
    engine: Engine, smoke: Settings, versions: list[str]
) -> None:
    """What was decided about the old champion is looked at again after the wait, and refused by name."""
    first = make(engine, smoke, versions[0])
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            lock(connection, release_log.LOCK)
            waiting = pool.submit(make, engine, smoke, versions[1], expected=versions[0])
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            values = {
                "previous_release_id": first.release_id,
                "model_version": versions[2],
                "kind": ReleaseKind.RELEASE,
                "provisional": False,
                "released_by": "ben",
                "reason": "was first",
            }
            connection.execute(insert(ReleaseRow).values(values))
        with pytest.raises(ReleaseConflict, match=f"but {versions[2]} serves now"):
            waiting.result(timeout=10)


def _release_and_die(url: str, settings: Settings, version: str, survive: int) -> None:
    """Release, but die instead of step number `survive`: each statement, commit, flush and rename is a step."""
    engine, steps = engine_for(url), 0

    def step(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps > survive:
            os._exit(9)

    def dying(call):  # noqa: ANN001, ANN202
        def run(*arguments, **options):  # noqa: ANN002, ANN003, ANN202
            step()
            return call(*arguments, **options)

        return run

    for moment in ("before_cursor_execute", "commit"):
        event.listen(engine, moment, step)
    os.fsync, os.replace, os.rename = dying(os.fsync), dying(os.replace), dying(os.rename)
    make(engine, settings, version)
    os._exit(0)


def test_a_release_killed_at_any_step_leaves_one_champion(
    engine: Engine, database_url: str, smoke: Settings, versions: list[str]
) -> None:
    """Killed before each step in turn, the log names one whole champion and the pointer the old or the new one.

    The same call again, or reconciling alone, ends with log and pointer agreeing and no row doubled.
    """
    make(engine, smoke, versions[0])
    context, exits, halfway = multiprocessing.get_context("fork"), [], 0
    for survive in range(40):
        before = history(engine)
        new = next(version for version in versions[:2] if version != before[-1].model_version)
        child = context.Process(target=_release_and_die, args=(database_url, smoke, new, survive))
        child.start()
        child.join(30)
        exits.append(child.exitcode)
        log, pointed = history(engine), served(smoke)
        assert log[: len(before)] == before, "the log only grows"
        assert log[len(before) :] in {(), (current(engine),)}
        assert pointed in {before[-1].model_version, log[-1].model_version}
        sealed_folder.verify(smoke.models_dir / str(pointed))
        halfway += pointed != log[-1].model_version
        if survive % 2:
            reconcile(engine, smoke)
            assert served(smoke) == log[-1].model_version
        make(engine, smoke, new)
        assert (len(history(engine)), served(smoke)) == (len(before) + 1, new)
        if child.exitcode == 0:
            break
    assert exits == [9] * (len(exits) - 1) + [0], "every step was killed once, then none"
    assert len(exits) > 8
    assert halfway >= 2, "the gap between commit and rename was hit"


@contextmanager
def running_api(settings: Settings) -> Iterator[Settings]:
    """The real API in a thread; yields settings that name its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = settings.model_copy(
        update={"serving": ServingSettings(port=port, poll_seconds=0.05, url=f"http://127.0.0.1:{port}")}
    )
    server = uvicorn.Server(uvicorn.Config(create_app(config), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield config
    finally:
        server.should_exit = True
        thread.join()


def test_a_release_waits_until_the_api_answers_with_it(engine: Engine, smoke: Settings, versions: list[str]) -> None:
    """When the call returns, the new version serves."""
    import httpx

    with running_api(smoke) as settings:
        for version in versions:
            made = make(engine, settings, version)
            info = httpx.get(f"{settings.serving.url}/model/info").json()
            assert (info["model_version"], info["release_id"]) == (version, made.release_id)


def test_what_the_api_refuses_is_followed_by_a_return(engine: Engine, smoke: Settings, versions: list[str]) -> None:
    """The log tells both, the old champion serves throughout, and the error says what happened."""
    import httpx

    with running_api(smoke) as settings:
        make(engine, settings, versions[0])
        with _damaged_after_the_proof(engine, settings, versions[1]), pytest.raises(ProbeFailed) as refusal:
            make(engine, settings, versions[1])
        assert "model.onnx was altered" in str(refusal.value)
        assert f"returned to {versions[0]}" in str(refusal.value)
        info = httpx.get(f"{settings.serving.url}/model/info").json()
        assert (info["model_version"], info["refused"]) == (versions[0], None)
    log = history(engine)
    assert [row.kind for row in log] == [ReleaseKind.RELEASE, ReleaseKind.RELEASE, ReleaseKind.RETURN]
    assert (log[-1].model_version, served(smoke)) == (versions[0], versions[0])
    assert previous(engine) is None, "a refused version is nothing to roll back to"
    assert release_log.withdrawn(engine) == {versions[1]}


def test_a_damaged_champion_is_returned_from_when_its_release_runs_again(
    engine: Engine, smoke: Settings, versions: list[str]
) -> None:
    """The releasing process was killed before it could hear that the API refuses; its retry goes back."""
    make(engine, smoke, versions[0])
    make(engine, smoke, versions[1])
    (smoke.models_dir / versions[1] / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match=f"is unusable.*model.onnx is missing.*returned to {versions[0]}"):
        make(engine, smoke, versions[1])
    assert (history(engine)[-1].kind, served(smoke)) == (ReleaseKind.RETURN, versions[0])


@contextmanager
def _damaged_after_the_proof(engine: Engine, settings: Settings, version: str) -> Iterator[None]:
    """Damage the model when its row is committed: the releasing process has proven it, the API has not read it."""

    def damage(_: object) -> None:
        path: Path = settings.models_dir / version / "model.onnx"
        path.write_bytes(b"\0" * path.stat().st_size)

    event.listen(engine, "commit", damage, once=True)
    yield


def test_a_silent_api_does_not_stop_a_release(
    engine: Engine, smoke: Settings, versions: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The champion is what the log says; a warning names the address that did not answer."""
    away = smoke.model_copy(
        update={
            "serving": ServingSettings(url="http://127.0.0.1:1"),
            "release": smoke.release.model_copy(update={"swap_timeout_seconds": 0.0}),
        }
    )
    made = make(engine, away, versions[0])
    assert current(engine) == made
    assert any("http://127.0.0.1:1 has not followed" in record.message for record in caplog.records)
