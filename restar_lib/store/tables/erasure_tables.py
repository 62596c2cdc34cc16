"""Tables of erased people: tombstones, and what had seen their reviews. Both hold keyed hashes alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from restar_lib.domain import ForgottenKind
from restar_lib.store.tables.column_types import FORGOTTEN_KIND, Base


class Forgotten(Base):
    """A tombstone: what ingest must not store again. Owned by `ingest.tombstones`."""

    __tablename__ = "forgotten"

    kind: Mapped[ForgottenKind] = mapped_column(FORGOTTEN_KIND, primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    """Keyed hash of a user id, a review id or a row: the id itself is stored nowhere."""
    key_check: Mapped[str]
    """Shows whether the key in the state folder is the one that this was made with."""
    forgotten_at: Mapped[datetime]


class ForgottenPerson(Base):
    """A person who was erased, by keyed hash, and what had seen their reviews. Owned by `privacy.forget`."""

    __tablename__ = "forgotten_person"

    user_key: Mapped[str] = mapped_column(primary_key=True)
    first_asked_at: Mapped[datetime]
    last_asked_at: Mapped[datetime]
    snapshots: Mapped[list[Any]]
    """Hashes of the training sets that held a review of theirs: models that name one of them have seen it."""
