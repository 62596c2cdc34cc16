"""How Alembic reaches the database: the URL comes from `store.database`, one migration runs at a time."""

from __future__ import annotations

from alembic import context

from restar_lib.store.database import engine_for, lock
from restar_lib.store.tables import Base


def run() -> None:
    """Run all pending migrations in one transaction, under a lock so that two starts at once do not collide."""
    engine = engine_for(context.config.attributes["url"])
    with engine.begin() as connection:
        lock(connection, "migrate")
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
