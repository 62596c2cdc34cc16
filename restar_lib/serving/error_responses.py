"""The errors of the HTTP API: one shape `{error, detail}`, and one table from exceptions to status codes.

Nothing that a client sent is repeated in an answer: it may be megabytes, or text that cannot be encoded. An exception
that nobody expected is a 500 without details, which are in the log.
"""

from __future__ import annotations

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
HTTP_NAMES: Final = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
ERRORS: Final[dict[int | str, dict[str, Any]]] = {code: {"model": ErrorOut} for code in (413, 422, 503)}
"""For the API's documentation."""


def add_error_shapes(app: FastAPI) -> None:
    """Give every error of `app` the one shape, also those of the framework and unexpected ones."""
    app.exception_handler(RequestValidationError)(_invalid_body)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RestarError)(_named_error)
    app.exception_handler(Exception)(_unexpected)


async def _invalid_body(_: Request, error: RequestValidationError) -> JSONResponse:
    problems = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    return _shape(422, "invalid_body", "; ".join(problems[:5]))


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
