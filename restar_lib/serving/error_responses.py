"""The errors of the HTTP API: one shape `{error, detail}`, and one table from exceptions to status codes.

An error about the body names the place of each problem in it (`reviews.1: ...`), the first few, then how many more
there are. Nothing that a client sent is repeated in an answer: it may be megabytes, or text that cannot be encoded. An
exception that nobody expected is a 500 without details, which are in the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from restar_lib.errors import RestarError
from restar_lib.serving.schemas import ErrorOut


class NoModel(RestarError):
    """There is no model to answer with: nothing was released yet, or what was released is refused."""


class Overloaded(RestarError):
    """As much is in flight as this process takes; it has a model and is well."""


class TooLarge(RestarError):
    """A text or a batch is above the limit."""


class NothingToRead(RestarError):
    """A text is empty once it is cleaned."""


STATUS: Final[dict[type[RestarError], tuple[int, str]]] = {
    NoModel: (503, "no_model"),
    Overloaded: (503, "overloaded"),
    TooLarge: (413, "too_large"),
    NothingToRead: (422, "invalid_body"),
}
RETRY_AFTER_SECONDS: Final = 1
"""What a client is told that was refused for overload: about as long as a full process needs for typical reviews."""
NAMED_PROBLEMS: Final = 5
"""So many problems of one body are named."""
EMPTY: Final = "the text is empty, or holds nothing but markup and blanks"
ABOUT_TEXTS: Final = {
    "missing": "the text is missing",
    "string_type": "the text is not a string",
    "string_too_short": EMPTY,
    "string_pattern_mismatch": EMPTY,
    "string_unicode": "the text holds half a surrogate pair, which is no character",
}
"""By pydantic's kind of error."""
NO_OBJECT: Final = ("model_type", "model_attributes_type")
HTTP_NAMES: Final = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
ERRORS: Final[dict[int | str, dict[str, Any]]] = {code: {"model": ErrorOut} for code in (413, 422, 503)}
"""For the API's documentation."""


def add_error_shapes(app: FastAPI) -> None:
    """Give every error of `app` the one shape, also those of the framework and unexpected ones."""
    app.exception_handler(RequestValidationError)(_invalid_body)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RestarError)(_named_error)
    app.exception_handler(Exception)(_unexpected)


def together(problems: Sequence[tuple[str, RestarError]]) -> RestarError:
    """One error for several reviews of a request, by their places; `TooLarge` where they all are."""
    kind = TooLarge if all(isinstance(error, TooLarge) for _, error in problems) else NothingToRead
    return kind(_named([f"{place}: {error}" for place, error in problems]))


async def _invalid_body(_: Request, error: RequestValidationError) -> JSONResponse:
    return _shape(422, "invalid_body", _named([_problem(one) for one in error.errors()]))


def _problem(error: dict[str, Any]) -> str:
    """What is wrong at which place of the body, by the names of its fields and the positions in its lists."""
    place = [str(part) for part in error["loc"] if part != "body"]
    if error["type"] == "json_invalid":
        return "the body is no JSON"
    if place[-1:] == ["text"] and (known := ABOUT_TEXTS.get(error["type"])):
        return f"{'.'.join(place[:-1]) or 'text'}: {known}"
    if error["type"] in NO_OBJECT:
        return f"{'.'.join(place) or 'body'}: expected {'a text, or ' if place else ''}an object with a `text`"
    return f"{'.'.join(place) or 'body'}: {error['msg']}"


def _named(problems: Sequence[str]) -> str:
    more = len(problems) - NAMED_PROBLEMS
    return "; ".join(problems[:NAMED_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")


async def _http_error(_: Request, error: HTTPException) -> JSONResponse:
    response = _shape(error.status_code, HTTP_NAMES.get(error.status_code, "http_error"), str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _named_error(request: Request, error: RestarError) -> JSONResponse:
    status, name = STATUS.get(type(error), (500, "internal"))
    response = _shape(status, name, str(error))
    if isinstance(error, Overloaded):
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        request.state.refused = True  # MeasuredRequests counts it apart
    return response


async def _unexpected(_: Request, __: Exception) -> JSONResponse:
    return _shape(500, "internal", "something went wrong here; the log of the service has the details")


def _shape(status: int, error: str, detail: str) -> JSONResponse:
    return JSONResponse(ErrorOut(error=error, detail=detail).model_dump(), status_code=status)
