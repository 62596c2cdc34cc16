"""The schema: migrations, tables and enums say the same."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from restar_lib.domain import (
    AbstainReason,
    ForgottenKind,
    LabelSource,
    QuarantineReason,
    Reason,
    ReleaseKind,
    Sentiment,
    SetAside,
    Side,
    TaskStatus,
)
from restar_lib.store.database import migrate
from restar_lib.store.tables import Base

ENUMS = {
    "sentiment": Sentiment,
    "side": Side,
    "reason": Reason,
    "task_status": TaskStatus,
    "set_aside": SetAside,
    "label_source": LabelSource,
    "quarantine_reason": QuarantineReason,
    "release_kind": ReleaseKind,
    "forgotten_kind": ForgottenKind,
    "abstain_reason": AbstainReason,
}


def test_migrations_end_where_the_tables_say(engine: Engine) -> None:
    """Autogenerate finds nothing left to do on a migrated database."""
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_python_enums_equal_postgres_enums(engine: Engine) -> None:
    """Every enum type in the database has exactly the labels of its Python twin, in order."""
    query = text(
        "select typname, array_agg(enumlabel order by enumsortorder) from pg_enum join pg_type t on t.oid = enumtypid group by 1"
    )
    with engine.connect() as connection:
        found = {name: list(labels) for name, labels in connection.execute(query)}
    assert found == {name: [member.value for member in kind] for name, kind in ENUMS.items()}


def test_migrating_twice_changes_nothing(database_url: str, engine: Engine) -> None:
    """`migrate` on a migrated database is harmless."""
    migrate(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("select version_num from alembic_version")).scalars().all() == ["0009"]
