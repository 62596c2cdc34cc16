"""The engine of Re*Star's database, its migrations, and the advisory locks.

Nothing is created at import. `migrate` brings an empty or older database to the newest schema and is safe to run
twice, also at the same time. It holds no statements about data: those are in the module that owns the table.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from restar_lib.errors import ConfigurationError
from restar_lib.settings import Settings, settings

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
APPLICATION_NAME = "restar"


def engine_for(url: str) -> Engine:
    """A new engine; connections are checked before use, because the server may have been restarted meanwhile."""
    return create_engine(url, pool_pre_ping=True, pool_size=5, connect_args={"application_name": APPLICATION_NAME})


def wait_for_server(engine: Engine, *, seconds: float) -> Engine:
    """Make `engine` retry a connection that cannot be made, for up to `seconds`; returns `engine`.

    For a program that follows others through an outage. A task does not wait: it fails, and Airflow retries it.
    """

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: Any, options: Any) -> Any:
        away = retry_if_exception_type(dialect.loaded_dbapi.OperationalError)
        retrying = Retrying(retry=away, wait=wait_fixed(1), stop=stop_after_delay(seconds), reraise=True)
        return retrying(dialect.connect, *arguments, **options)

    return engine


def database_url(config: Settings) -> str:
    """The configured URL. Raises `ConfigurationError` where there is none."""
    if config.database.url is None:
        raise ConfigurationError(
            "database.url is not set: start `make run` in another terminal, or set RESTAR_DATABASE__URL"
        )
    return config.database.url.get_secret_value()


@cache
def engine() -> Engine:
    """The engine of this process, made at first use."""
    return engine_for(database_url(settings()))


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema."""
    command.upgrade(alembic_config(url), "head")


def alembic_config(url: str) -> Config:
    """Alembic's configuration without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def lock(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Wait for the advisory lock `name`, held until this transaction ends; those who take it `shared` may be many."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    wait = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
    connection.execute(select(wait(key)))
