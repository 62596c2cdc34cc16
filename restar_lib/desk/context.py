"""What every request of the desk can count on: the settings, the engine, the clock, and who is asking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from sqlalchemy import Engine

from restar_lib.settings import Settings


class Right(StrEnum):
    """What a signed-in person may open; each is a resource of that name in Airflow's FAB login."""

    LABEL = "Label desk"
    REPORTS = "Reports"


@dataclass(frozen=True, kw_only=True)
class DeskContext:
    """Made once, when the application is."""

    settings: Settings
    engine: Engine
    now: Callable[[], datetime]


def _context(request: Request) -> DeskContext:
    context: DeskContext = request.app.state.context
    return context


def _visitor(request: Request) -> str:
    # Set by the application's sign-in; were that missing, this fails and lets nobody in.
    visitor: str = request.state.visitor
    return visitor


def needs(right: Right) -> Callable[[Request], None]:
    """A dependency that refuses everybody to whom the sign-in did not give `right`."""

    def check(request: Request) -> None:
        # As above: set by the sign-in, and where it is missing this fails.
        rights: frozenset[Right] = request.state.rights
        if right not in rights:
            raise HTTPException(
                403, f"your role does not open {right.value!r}: ask whoever runs Re*Star for one that does"
            )

    return check


def _labeler(
    visitor: Annotated[str, Depends(_visitor)],
    context: Annotated[DeskContext, Depends(_context)],
    _may: Annotated[None, Depends(needs(Right.LABEL))],
) -> str:
    allowed = context.settings.labeling.labelers
    if allowed and visitor not in allowed:
        raise HTTPException(403, f"{visitor} is not among the labelers: ask whoever runs Re*Star (labeling.labelers)")
    return visitor


def same_origin(request: Request) -> None:
    """Refuse a POST that another site's page could have sent on behalf of a signed-in person.

    A cross-site form can send neither JSON nor a header of its own; a cross-site script would need a permission (CORS)
    that is never given here. What the browser itself says of the request's origin is checked too.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send JSON")
    if request.headers.get("x-restar-desk") != "1":
        raise HTTPException(403, "the header X-Restar-Desk is missing: this request did not come from the desk")
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        trusted = site == "same-origin"
    else:
        trusted = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not trusted:
        raise HTTPException(403, f"this request came from another site ({origin or site})")


ContextOf = Annotated[DeskContext, Depends(_context)]
Labeler = Annotated[str, Depends(_labeler)]
