"""Checks of what is stored: databases, schema, the champion and its files, encoder, source, tombstones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Engine, func, select, text

from restar_lib.artifacts import pointer, release_log, sealed_folder
from restar_lib.domain import SENTIMENTS
from restar_lib.errors import ArtifactError, ConfigurationError, EmbeddedError, ProbeFailed, SourceError
from restar_lib.ingest.tombstones import key_in_use
from restar_lib.operation import databases
from restar_lib.operation.checks.check import Check, CheckContext, CheckFunction, fail, ok, warn
from restar_lib.settings import Settings
from restar_lib.state_folder import runner_lock
from restar_lib.store.database import alembic_config

NOT_RUNNING = "start it with `make run`; without it the checks of what it holds are left out"


def postgres(context: CheckContext) -> Iterator[Check]:
    """Our database answers."""
    if context.engine is not None:
        with context.engine.connect() as connection:
            yield ok(
                "postgres", str(connection.scalar(text("select 'PostgreSQL ' || current_setting('server_version')")))
            )
    elif context.embedded:
        yield _stopped(context.settings)
    else:
        yield fail("postgres", "database.url does not answer", "start the server; check RESTAR_DATABASE__URL")


def schema(context: CheckContext) -> Iterator[Check]:
    """The tables are those of this version."""
    if context.engine is None:
        return
    newest = ScriptDirectory.from_config(alembic_config("")).get_current_head()
    with context.engine.connect() as connection:
        if not connection.scalar(select(func.to_regclass("alembic_version"))):
            yield fail("schema", "the database is empty", "run `restar migrate`")
            return
        found = connection.scalar(text("select version_num from alembic_version"))
    if found == newest:
        yield ok("schema", f"revision {found}, the newest")
    else:
        yield fail("schema", f"revision {found}, this version needs {newest}", "run `restar migrate`")


def other_databases(context: CheckContext) -> Iterator[Check]:
    """MLflow's and Airflow's."""
    if context.engine is None:
        return
    for name, url in (("mlflow", context.settings.database.mlflow_url), ("airflow", airflow_url(context))):
        if url is None:
            yield warn(f"{name}'s database", "not configured", f"set RESTAR_DATABASE__{name.upper()}_URL to include it")
            continue
        if databases.answers(databases.database_address(name, url.get_secret_value())):
            yield ok(f"{name}'s database", "answers")
        else:
            yield fail(f"{name}'s database", "does not answer", "start the server, and check its URL")


def champion(context: CheckContext) -> Iterator[Check]:
    """The pointer says what the log says; the champion is whole and answers, and so does what a roll back goes to."""
    if context.engine is None:
        return
    released = release_log.current(context.engine)
    if released is None:
        yield warn("champion", "nothing was released yet", "`make run`, or the DAG retrain_sentiment, makes the first")
        return
    yield _pointer(context.settings, released)
    for version in sorted(release_log.in_use(context.engine)):
        role = "champion" if version == released.model_version else "roll-back target"
        yield _model(context.settings, version, role=role)


def encoder(context: CheckContext) -> Iterator[Check]:
    """What a training starts from is on this machine."""
    from restar_lib.training.encoder import PACKAGED, find_encoder

    name = context.settings.training.encoder
    if name != PACKAGED and not Path(name).is_dir():
        yield _from_hub(name)
        return
    yield ok("encoder", f"{name}, weights {find_encoder(name).sha256[:12]}")


def source(context: CheckContext) -> Iterator[Check]:
    """Files have a first row that can be read."""
    from restar_lib.ingest.sources.configured import open_source

    config = context.settings.source
    if config.kind != "files":
        yield ok("source", f"{config.kind} ({config.name})")
        return
    try:
        first = next(iter(open_source(context.settings).rows(None)), None)
    except SourceError as error:
        yield fail("source", str(error))
        return
    if first is None:
        yield warn("source", f"{config.path}: there is no row in it yet")
    elif first.fields is None:
        yield warn("source", f"{config.path}: its first row is {first.problem}", "`restar ingest --dry-run` shows more")
    else:
        yield ok("source", f"{config.path}: its first row has {', '.join(sorted(first.fields))}")


def tombstones(context: CheckContext) -> Iterator[Check]:
    """The key of the tombstones is there."""
    if context.engine is None or not has_table(context.engine, "forgotten"):
        return
    with context.engine.connect() as connection:
        try:
            key = key_in_use(connection, context.settings.home)
        except ConfigurationError as error:
            yield fail("tombstones", str(error))
            return
    yield ok("tombstones", "nobody was forgotten" if key is None else "their key is at hand")


def _stopped(settings: Settings) -> Check:
    try:
        with runner_lock(settings.home) if settings.home.exists() else nullcontext():
            return warn("postgres", "the embedded server is not running", NOT_RUNNING)
    except EmbeddedError as error:
        return fail("postgres", f"the embedded server does not answer, though {error}", "see logs/postgres.log")


def _pointer(settings: Settings, released: release_log.Release) -> Check:
    try:
        said = pointer.read_pointer(settings.pointer_path)
    except ArtifactError as error:
        return fail("pointer", str(error))
    if said is None or said.release_id != released.release_id:
        found = "is not there" if said is None else f"says release {said.release_id}"
        return fail("pointer", f"{found}, the log says {released.release_id}", "run `restar reconcile`")
    return ok("pointer", f"release {released.release_id}, as the log says")


def _model(settings: Settings, version: str, *, role: str) -> Check:
    from restar_lib.artifacts.model_loading import load_verified

    try:
        model = load_verified(sealed_folder.locate(settings.models_dir, version), threads=settings.scoring.threads)
    except (ArtifactError, ProbeFailed) as error:
        what = "run `restar roll-back`, or restore the folder" if role == "champion" else "restore the folder"
        return fail(role, str(error), what)
    learned = model.info.learned
    classes = "" if len(learned) == len(SENTIMENTS) else f"; it has learned {' and '.join(learned)} alone"
    return ok(role, f"{version} is as sealed and answers its probe{classes}")


def _from_hub(name: str) -> Check:
    from huggingface_hub import snapshot_download

    try:
        return ok("encoder", f"{name}, in {snapshot_download(name, local_files_only=True)}")
    except (OSError, ValueError):
        return warn("encoder", f"{name} is not on this machine yet", "the first training fetches it from the hub")


def airflow_url(context: CheckContext) -> SecretStr | None:
    """Of Airflow's database, where it is known."""
    if not context.embedded:
        return context.settings.database.airflow_url
    server = databases.embedded_server(context.settings)
    return SecretStr(server.url(databases.EMBEDDED_NAMES[databases.AIRFLOW]))


def has_table(engine: Engine, name: str) -> bool:
    """Whether a table is there."""
    with engine.connect() as connection:
        return connection.scalar(select(func.to_regclass(name))) is not None


ALL: tuple[CheckFunction, ...] = (postgres, schema, other_databases, champion, encoder, source, tombstones)
