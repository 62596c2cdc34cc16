"""Checks of other processes: the serving API, Airflow and its DAGs, the mail server, the hub where it is used."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator
from typing import Any

import httpx
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from restar_lib.monitoring.airflow_health import COMPONENTS, airflow_health
from restar_lib.operation import databases
from restar_lib.operation.checks.check import Check, CheckContext, CheckFunction, fail, ok, warn
from restar_lib.operation.checks.stored_state import airflow_url, has_table
from restar_lib.settings import Settings, process_environment
from restar_lib.store.database import engine_for

SECONDS = 5.0


def serving(context: CheckContext) -> Iterator[Check]:
    """Every replica is alive and has a model."""
    if _is_stopped(context):
        return
    urls = context.settings.serving.url.split()
    if not urls:
        yield warn("serving", "serving.url is not set", "set it, so that a release waits until the API has followed")
    for url in urls:
        yield _replica(url)


def airflow(context: CheckContext) -> Iterator[Check]:
    """Its processes are alive."""
    if _is_stopped(context):
        return
    url = _airflow_api(context)
    health = airflow_health(url, timeout_seconds=SECONDS)
    if health.error is not None:
        yield fail("airflow", f"{url} does not answer ({health.error})", "start it, or see the log of airflow-api")
        return
    for name in COMPONENTS:
        if health.is_healthy(name):
            yield ok("airflow", f"{name} is healthy")
        else:
            yield fail("airflow", f"{name} is {health.statuses[name] or 'silent'}", f"see the log of airflow's {name}")


def dags(context: CheckContext) -> Iterator[Check]:
    """Every DAG file is parsed, and none is paused."""
    url = None if context.engine is None else airflow_url(context)
    if url is None:
        return
    engine = engine_for(databases.database_address(databases.AIRFLOW, url.get_secret_value()).url)
    try:
        if not has_table(engine, "import_error"):
            yield warn("dags", "Airflow's database is empty", "start Airflow once")
            return
        yield from _dags(engine)
    finally:
        engine.dispose()


def mail(context: CheckContext) -> Iterator[Check]:
    """The mail server answers, where mails are sent; where nothing is sent at all, that is said."""
    if not context.settings.mail.enabled:
        yield _unmailed(context.settings)
        return
    if _is_stopped(context):
        return
    found = _mail_server(context)
    if found is None:
        conn_id = context.settings.mail.conn_id
        yield warn("mail", f"the connection {conn_id} is not in this environment", "look from where Airflow runs")
        return
    host, port = found
    try:
        with smtplib.SMTP(host, port, timeout=SECONDS) as client:
            client.noop()
    except (OSError, smtplib.SMTPException) as error:
        yield fail("mail", f"{host}:{port} does not answer ({error})", "start it; alerts are kept and mailed later")
    else:
        yield ok("mail", f"{host}:{port} answers")


def hub(context: CheckContext) -> Iterator[Check]:
    """It answers, where something is read from it or pushed to it."""
    settings = context.settings
    if settings.source.kind != "hub" and not (settings.hub.dataset_repository or settings.hub.model_repository):
        yield ok("hub", "not used")
        return
    from huggingface_hub import constants

    url = settings.hub.endpoint or constants.ENDPOINT
    try:
        httpx.head(url, timeout=SECONDS, follow_redirects=True)
    except httpx.HTTPError as error:
        yield fail("hub", f"{url} does not answer ({error})", "check the network, a proxy, and HF_ENDPOINT")
    else:
        token = "with" if settings.hub.token else "without"
        yield ok("hub", f"{url} answers; {token} a token")


def _is_stopped(context: CheckContext) -> bool:
    """Whether this is a stopped embedded installation, whose services need not answer."""
    return context.embedded and context.engine is None


def _airflow_api(context: CheckContext) -> str:
    """Where Airflow's own processes reach its API; the address for browsers may be that of a proxy."""
    inside = process_environment().get("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "")
    return inside.removesuffix("/").removesuffix("/execution") or context.settings.orchestration.airflow_url


def _replica(url: str) -> Check:
    try:
        ready = httpx.get(f"{url.rstrip('/')}/ready", timeout=SECONDS)
    except httpx.HTTPError as error:
        return fail("serving", f"{url} does not answer ({error})", "start it, or see its log")
    if ready.status_code == httpx.codes.OK:
        return ok("serving", f"{url} is ready")
    return warn("serving", f"{url} is up and has no model ({ready.status_code})", "release one, or `restar reconcile`")


def _dags(engine: Engine) -> Iterator[Check]:
    with engine.connect() as connection:
        broken = connection.execute(text("select filename, stacktrace from import_error")).all()
        paused = connection.scalars(
            text("select dag_id from dag where is_paused and not is_stale order by dag_id")
        ).all()
        known = connection.scalar(text("select count(*) from dag where not is_stale"))
    for filename, trace in broken:
        last = (str(trace).strip().splitlines() or [""])[-1]
        yield fail("dags", f"{filename} does not parse: {last}", f"run `python {filename}` and read the error")
    if paused:
        yield warn("dags", f"paused: {', '.join(paused)}", "unpause them in Airflow's list of DAGs")
    if not broken:
        yield ok("dags", f"{known} parsed without errors")


def _unmailed(settings: Settings) -> Check:
    if settings.webhook.url is None:
        remedy = "set webhook.url, or mail.enabled and mail.recipients"
        return warn("mail", "alerts reach nobody: mail.enabled is false and there is no webhook", remedy)
    return ok("mail", "switched off by mail.enabled; alerts go to the webhook alone")


def _mail_server(context: CheckContext) -> tuple[str, int] | None:
    settings = context.settings
    if context.embedded:
        return "127.0.0.1", settings.embedded.mail_port
    raw = process_environment().get(f"AIRFLOW_CONN_{settings.mail.conn_id.upper()}")
    if raw is None:
        return None
    if raw.lstrip().startswith("{"):
        connection: dict[str, Any] = json.loads(raw)
        return str(connection["host"]), int(connection.get("port") or 25)
    url = make_url(raw)
    return str(url.host), url.port or 25


ALL: tuple[CheckFunction, ...] = (serving, airflow, dags, mail, hub)
