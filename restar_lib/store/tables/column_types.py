"""What all tables share: their base class with the naming of constraints, and the enum types of Postgres.

It declares no table. A test compares the enums here with those of Postgres.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import DateTime, Enum, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

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

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def pg_enum(kind: type[StrEnum], name: str) -> Enum:
    """A Postgres enum type whose labels are the values of `kind`."""
    return Enum(kind, name=name, values_callable=lambda members: [member.value for member in members])


SENTIMENT = pg_enum(Sentiment, "sentiment")
SIDE = pg_enum(Side, "side")
REASON = pg_enum(Reason, "reason")
TASK_STATUS = pg_enum(TaskStatus, "task_status")
SET_ASIDE = pg_enum(SetAside, "set_aside")
LABEL_SOURCE = pg_enum(LabelSource, "label_source")
QUARANTINE_REASON = pg_enum(QuarantineReason, "quarantine_reason")
RELEASE_KIND = pg_enum(ReleaseKind, "release_kind")
ABSTAIN_REASON = pg_enum(AbstainReason, "abstain_reason")
FORGOTTEN_KIND = pg_enum(ForgottenKind, "forgotten_kind")

Moment = DateTime(timezone=True)


class Base(DeclarativeBase):
    """Root of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {datetime: Moment, str: Text, dict[str, Any]: JSONB, list[Any]: JSONB}
