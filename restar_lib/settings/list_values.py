"""What a person writes for a list, as a list: one value is a list of one, `ann,bob` is a list of two.

`as_written` is called for every section before it is checked, with the types of its keys, so a new key that is a list
needs nothing. A text is divided at its commas only where a key holds plain names: the phrases of a key that is marked
`COMMAS_BELONG` and the spellings of columns in a mapping may hold commas. It checks no value: pydantic does.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Final, Union, get_args, get_origin

from pydantic.fields import FieldInfo

COMMAS_BELONG: Final = "commas belong to the values"
"""In the `Annotated` type of a key whose values may hold commas: one text is one value."""
QUOTES: Final = '"'
"""A text with these is taken as one value: what a comma means in it is not sure."""


def as_written(fields: Mapping[str, FieldInfo], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a section, with a list where its key takes one."""
    return {
        name: _as_typed(value, fields[name].annotation, divide=COMMAS_BELONG not in fields[name].metadata)
        if name in fields
        else value
        for name, value in values.items()
    }


def as_list(value: Any) -> Any:
    """One value as a list of one, an empty text as a list of none; a list, null and a mapping stay as they are."""
    if isinstance(value, list | tuple | dict) or value is None:
        return value
    return [] if value == "" else [value]


def takes_a_list(annotation: Any) -> bool:
    """Whether a type is a tuple or list of any length, or a mapping to such."""
    return any(_item_type(one) is not None or _value_type(one) is not None for one in _choices(annotation))


def _as_typed(value: Any, annotation: Any, *, divide: bool) -> Any:
    for one in _choices(annotation):
        item, of_mapping = _item_type(one), _value_type(one)
        if item is not None:
            return _listed(value, item, divide=divide)
        if of_mapping is not None and isinstance(value, dict):
            return {name: _listed(inner, _item_type(of_mapping), divide=False) for name, inner in value.items()}
    return value


def _listed(value: Any, item: Any, *, divide: bool) -> Any:
    if divide and isinstance(value, str) and "," in value and not any(quote in value for quote in QUOTES):
        return [part.strip() for part in value.split(",") if part.strip()]
    # A list of spans: one span is a list itself.
    if get_origin(item) is tuple and isinstance(value, list | tuple) and value:
        return value if all(isinstance(one, list | tuple) for one in value) else [value]
    return as_list(value)


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The types of `X | None`, else the type itself."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _item_type(annotation: Any) -> Any:
    """The type of the items of a list of any length; None for other types."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is list or (origin is tuple and arguments[1:] == (Ellipsis,)):
        return arguments[0]
    return None


def _value_type(annotation: Any) -> Any:
    """The type of a mapping's values where that is a list; None for other types."""
    if get_origin(annotation) is not dict:
        return None
    value = get_args(annotation)[1]
    return None if _item_type(value) is None else value
