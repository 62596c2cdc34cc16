"""The label desk over HTTP: one page, and the calls that its script makes.

Every call answers with a `Desk`: the review to show next and how far the work is, so that one round trip per answer is
enough. Translates HTTP to `labeling.leases` and back, no more. A GET changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from restar_lib.desk.context import ContextOf, DeskContext, Labeler, same_origin
from restar_lib.desk.pages import STATIC, render, static_text
from restar_lib.domain import LabelSource, Sentiment
from restar_lib.labeling import leases, queue
from restar_lib.labeling.anchoring_hints import AnchoringHints, hints
from restar_lib.labeling.leases import ANSWERED_BY_OTHERS, SECOND_LOOK, Claim

router = APIRouter()
changing = [Depends(same_origin)]
"""What every POST goes through."""


class HeldClaim(BaseModel):
    """The claim that the page holds."""

    model_config = ConfigDict(extra="forbid")

    task_id: Annotated[int, Field(ge=1, lt=2**63)]
    token: Annotated[int, Field(ge=1, lt=2**63)]


class AnswerBody(HeldClaim):
    """What the labeler says about it."""

    sentiment: Sentiment


class ReviewBody(BaseModel):
    """The review on the page."""

    task_id: int
    token: int
    text: str
    product_category: str | None
    reviewed_at: datetime
    hints: AnchoringHints | None
    second_look: bool
    """Whether this labeler has answered it before, and people disagree."""


class Desk(BaseModel):
    """What the page shows."""

    review: ReviewBody | None
    """None: nothing is left for this labeler."""
    waiting: int
    """Open tasks besides the one on the page, without those that are set aside."""
    set_aside: str = ""
    """How many tasks nobody new can be asked about, and what they wait for; empty where there is none."""
    answered_last_hour: int
    lease_seconds: int
    notice: str | None = None
    """What to tell the labeler about the call, where it went another way than they expect."""


@router.get("/desk/")
def desk_page(context: ContextOf, labeler: Labeler) -> HTMLResponse:
    """The page itself, without a review: its script claims one."""
    return render("desk.html", settings=context.settings, root="..", labeler=labeler)


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    """Styles and scripts."""
    if name not in STATIC:
        raise HTTPException(404, f"there is no {name}")
    return Response(static_text(name), media_type=STATIC[name])


@router.post("/desk/claim", dependencies=changing)
def claim(context: ContextOf, labeler: Labeler) -> Desk:
    """The review in hand, or the next one."""
    return _next(context, labeler)


@router.post("/desk/submit", dependencies=changing)
def submit(answer: AnswerBody, context: ContextOf, labeler: Labeler) -> Desk:
    """Store the answer and go on."""
    leases.submit(
        context.engine,
        task_id=answer.task_id,
        token=answer.token,
        labeler=labeler,
        sentiment=answer.sentiment,
        source=LabelSource.PERSON,
        now=context.now(),
        settings=context.settings,
    )
    return _next(context, labeler)


@router.post("/desk/skip", dependencies=changing)
def skip(held: HeldClaim, context: ContextOf, labeler: Labeler) -> Desk:
    """Never ask this labeler again, and go on."""
    key = {"task_id": held.task_id, "token": held.token}
    leases.skip(context.engine, **key, labeler=labeler, now=context.now(), settings=context.settings)
    return _next(context, labeler)


@router.post("/desk/undo", dependencies=changing)
def undo(context: ContextOf, labeler: Labeler) -> Desk:
    """Take the last answer or skip back and show its review again, or the one in hand where others have finished it."""
    back = leases.undo(context.engine, labeler=labeler, now=context.now(), settings=context.settings)
    if back is None:
        return _next(context, labeler).model_copy(update={"notice": ANSWERED_BY_OTHERS})
    return _desk(context, labeler, back)


@router.post("/desk/renew", dependencies=changing, status_code=204)
def renew(held: HeldClaim, context: ContextOf, labeler: Labeler) -> None:
    """The labeler is still reading."""
    lease = context.settings.labeling.lease_seconds
    key = {"task_id": held.task_id, "token": held.token}
    leases.renew(context.engine, **key, labeler=labeler, now=context.now(), lease_seconds=lease)


@router.post("/desk/release", dependencies=changing, status_code=204)
def release(held: HeldClaim, context: ContextOf, labeler: Labeler) -> None:
    """The page was closed."""
    leases.release_claim(context.engine, task_id=held.task_id, token=held.token, labeler=labeler)


def _next(context: DeskContext, labeler: str) -> Desk:
    lease = context.settings.labeling.lease_seconds
    return _desk(
        context, labeler, leases.claim(context.engine, labeler=labeler, now=context.now(), lease_seconds=lease)
    )


def _desk(context: DeskContext, labeler: str, review: Claim | None) -> Desk:
    hour_ago, counts = context.now() - timedelta(hours=1), queue.counts(context.engine)
    return Desk(
        review=None if review is None else _body(context, review),
        waiting=counts.waiting,
        set_aside=counts.why_aside,
        notice=SECOND_LOOK if review is not None and review.second_look else None,
        answered_last_hour=leases.answered_since(context.engine, labeler=labeler, since=hour_ago),
        lease_seconds=context.settings.labeling.lease_seconds,
    )


def _body(context: DeskContext, review: Claim) -> ReviewBody:
    wanted = context.settings.labeling.show_hints
    return ReviewBody(
        task_id=review.task_id,
        token=review.token,
        text=review.text,
        product_category=review.product_category,
        reviewed_at=review.reviewed_at,
        hints=hints(context.engine, task_id=review.task_id) if wanted else None,
        second_look=review.second_look,
    )
