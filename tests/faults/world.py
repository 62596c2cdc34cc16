"""One installation for one trial: a database, a state folder, and what a DAG run has handed from task to task.

Made as a copy of another world, so that a trial starts where the story stands and leaves it alone. It is passed to
other processes as it is: text and a path. It starts nothing and kills nothing (`trials`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import sql
from sqlalchemy import Engine

from restar_lib.atomic_files import write_text
from restar_lib.settings import Settings, load
from restar_lib.store.database import engine_for
from restar_lib.store.embedded_postgres import EmbeddedPostgres

Handed = dict[str, Any]
"""What each finished step returned, by its name: XCom's part."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Where one trial happens."""

    name: str
    """Of its database."""
    folder: Path
    database_url: str
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The state folder."""
        return self.folder / "var"

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this world is told."""
        own = {
            "RESTAR_PROFILE": "smoke",
            "RESTAR_HOME": str(self.home),
            "RESTAR_DATABASE__URL": self.database_url,
        }
        return {**self.overrides, **own}

    @property
    def settings(self) -> Settings:
        """The same, read."""
        return load(environment=self.environment).settings

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine on its database."""
        made = engine_for(self.database_url)
        try:
            yield made
        finally:
            made.dispose()

    @property
    def handed(self) -> Handed:
        """What the steps that are done have returned."""
        return json.loads(self._handed_file.read_text()) if self._handed_file.exists() else {}

    def hand(self, step: str, result: Any) -> None:
        """Keep what a step returned; from now on it is not run again, as Airflow would not."""
        write_text(self._handed_file, json.dumps(self.handed | {step: result}, default=str))

    def forget(self) -> None:
        """A new run: nothing is handed over."""
        self._handed_file.unlink(missing_ok=True)

    @property
    def _handed_file(self) -> Path:
        return self.folder / "handed.json"


def copy(server: EmbeddedPostgres, original: World, folder: Path, *, name: str, **overrides: str) -> World:
    """A world like `original`, in a database `name` and a folder of its own."""
    with server.connect("postgres") as connection:
        names = sql.Identifier(name), sql.Identifier(original.name)
        connection.execute(sql.SQL("create database {} template {}").format(*names))
    shutil.copytree(original.folder, folder)
    known = {**original.overrides, **overrides}
    return World(name=name, folder=folder, database_url=server.url(name), overrides=known)


def drop(server: EmbeddedPostgres, world: World) -> None:
    """Remove a world."""
    with server.connect("postgres") as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(world.name)))
    shutil.rmtree(world.folder)
