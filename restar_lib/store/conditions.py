"""Conditions that statements of several rooms share. It holds no statement: those are with the room of their table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, any_, literal
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement


def one_of(column: InstrumentedAttribute[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """Whether `column` is one of `values`, sent as one array parameter: Postgres takes at most 65,535 parameters."""
    return column == any_(literal(list(values), ARRAY(column.type)))
