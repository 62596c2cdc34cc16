"""`restar run`: start everything, turn the loop once, show it, and keep running until Ctrl-C.

Whatever ends it (Ctrl-C, SIGTERM, an error), every process that was started is stopped, and only the state folder is
left. It decides nothing: `startup` starts the services, `turn` drives the loop, `progress` and `turn_summary` show it.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from restar_lib.embedded.airflow_api import AWAY_SECONDS, AirflowApi
from restar_lib.embedded.feeds import Feed, open_feed
from restar_lib.embedded.progress import ProgressView
from restar_lib.embedded.services import ADMIN, EmbeddedInstallation
from restar_lib.embedded.startup import started
from restar_lib.embedded.turn import Turn
from restar_lib.embedded.turn_summary import TurnSummary, render
from restar_lib.errors import EmbeddedError
from restar_lib.settings import Settings
from restar_lib.state_folder import load_secrets, runner_lock
from restar_lib.store.database import database_url, engine_for, wait_for_server
from restar_lib.store.embedded_postgres import EmbeddedPostgres

WATCH_SECONDS = 2.0


AfterTurn = Callable[[EmbeddedInstallation, Console], None]
"""What is done on the running installation after its turn."""


def run(settings: Settings, *, once: bool, reviews: str, then: AfterTurn | None = None) -> None:
    """Run the embedded default. Raises a named error when the turn did not complete."""
    # Also where whoever started us ignores SIGINT, as a shell does for what it runs in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    view = ProgressView(console=Console())
    feed = open_feed(settings, reviews=reviews)
    with ExitStack() as stack:
        try:
            with view.showing():
                installation = _open(settings, feed=feed, view=view, stack=stack)
                summary = _turn(installation, feed=feed, view=view)
            render(summary, installation, installation.settings_now, view.console)
            if then is not None:
                then(installation, view.console)
            if not once:
                _report_restarts(installation, view)
        except KeyboardInterrupt:
            view.note("interrupted")
        finally:
            view.note("stopping every process that was started; the state stays, `make run` goes on from there")


def _open(settings: Settings, *, feed: Feed, view: ProgressView, stack: ExitStack) -> EmbeddedInstallation:
    with view.step("services start") as step:
        installation = stack.enter_context(
            started(settings, configuration=feed.configuration, now=datetime.now(UTC), say=step.say)
        )
        step.say("PostgreSQL, Airflow (4 processes), the API and the mail catcher answer")
    with view.step("reviews at hand") as step:
        step.say(feed.prepare())
    return installation


def _turn(installation: EmbeddedInstallation, *, feed: Feed, view: ProgressView) -> TurnSummary:
    settings = installation.settings_now
    engine = wait_for_server(engine_for(database_url(settings)), seconds=AWAY_SECONDS)
    api = AirflowApi(base_url=installation.airflow_url, user=ADMIN, password=installation.secrets.airflow_password)
    try:
        return Turn(installation=installation, settings=settings, engine=engine, api=api, feed=feed, view=view).run()
    finally:
        api.close()
        engine.dispose()


def _report_restarts(installation: EmbeddedInstallation, view: ProgressView) -> NoReturn:
    """Name the services that die and are restarted, until this process is ended."""
    view.note("running until Ctrl-C: nightly runs go on, labels start retrainings")
    restarts = _restarts(installation)
    while True:
        time.sleep(WATCH_SECONDS)
        for name, (count, last_exit) in (seen := _restarts(installation)).items():
            if count > restarts.get(name, (0, ""))[0]:
                view.note(f"{name} died ({last_exit}) and is being restarted; its log: {installation.logs / name}.log")
        restarts = seen


def _restarts(installation: EmbeddedInstallation) -> dict[str, tuple[int, str]]:
    try:
        rows = json.loads(installation.status_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EmbeddedError(f"the supervisor is gone; see {installation.logs / 'supervisor.log'}") from None
    return {row["name"]: (row["restarts"], row["last_exit"]) for row in rows}


def is_running(home: Path) -> bool:
    """Whether a `make run` is using this state folder."""
    try:
        with runner_lock(home):
            return False
    except EmbeddedError:
        return True


def wipe(home: Path) -> bool:
    """Delete the state folder. Raises `EmbeddedError` while a run is using it. False when there was none."""
    if not home.exists():
        return False
    with runner_lock(home):
        if (home / "secrets.json").exists():
            EmbeddedPostgres(home=home, password=load_secrets(home).postgres_password).remove()
        shutil.rmtree(home)
    return True


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
