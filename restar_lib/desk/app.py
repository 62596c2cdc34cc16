"""The label desk and the report pages as one small web application, mounted into Airflow's API server.

`create_desk` wires; the routes are in `label_routes`, `report_routes` and `run_book_routes`. Every route, the static
files included, is behind `signed_in`; there are no `/docs` and no `/openapi.json`. Nothing loads from another origin,
and no page runs inline script. Errors have one shape, `{error, detail}`. Knows Airflow only through the `signed_in`
that it is given.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException as AnyHTTPException

from restar_lib.desk import label_routes, report_routes, run_book_routes
from restar_lib.desk.context import DeskContext
from restar_lib.errors import ConfigurationError, LeaseLost, NothingToUndo, RestarError
from restar_lib.settings import Settings

logger = logging.getLogger(__name__)

STATUS: dict[type[RestarError], int] = {LeaseLost: 409, NothingToUndo: 409, ConfigurationError: 503}
"""Situations that have a code of their own; any other one is a 500."""
MOUNTED_AT = "/restar"
"""Where the plugin mounts this application below Airflow."""
LOGIN = "/api/v2/auth/login"
"""Airflow's own address: it sends on to whichever login is configured."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_desk(
    *,
    settings: Settings,
    engine: Engine,
    signed_in: Callable[..., Awaitable[None]],
    now: Callable[[], datetime],
) -> FastAPI:
    """The application. `signed_in` is a FastAPI dependency that refuses strangers and sets `request.state.visitor`."""
    # Built-in pages off: they would be served to strangers, because app-level dependencies do not cover them.
    app = FastAPI(title="Re*Star", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(signed_in)])
    app.state.context = DeskContext(settings=settings, engine=engine, now=now)
    app.include_router(label_routes.router)
    app.include_router(report_routes.router)
    app.include_router(run_book_routes.router)
    app.middleware("http")(_with_headers)
    _answer_errors(app)
    return app


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        # A report page brings a policy of its own.
        response.headers.setdefault(name, value)
    return response


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(RestarError)
    async def known(_: Request, error: RestarError) -> JSONResponse:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
        return _error(status, type(error).__name__, str(error))

    @app.exception_handler(AnyHTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.UNAUTHORIZED and _opens_a_page(request):
            return RedirectResponse(_login(request), status_code=HTTPStatus.SEE_OTHER)
        return _error(error.status_code, "refused", error.detail)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return _error(422, "invalid", jsonable_encoder(error.errors(), exclude={"input", "ctx"}))

    @app.exception_handler(OperationalError)
    async def unavailable(_: Request, error: OperationalError) -> JSONResponse:
        logger.warning("the desk cannot reach the database: %s", error)
        return _error(503, "database_unavailable", "The database does not answer. Try again in a moment.")


def _opens_a_page(request: Request) -> bool:
    """Whether a person follows a link, out of a mail for example, rather than a script or a frame asking."""
    kind = request.headers.get("sec-fetch-dest")
    is_page = kind == "document" if kind else "text/html" in request.headers.get("accept", "")
    return request.method == "GET" and is_page


def _login(request: Request) -> str:
    """Airflow's login, which leads back to the page that was wanted: a path of this server, never another one."""
    airflow = str(request.scope.get("root_path", "")).removesuffix(MOUNTED_AT)
    return f"{airflow}{LOGIN}?{urlencode({'next': request.url.path})}"


def _error(status: int, error: str, detail: Any) -> JSONResponse:
    return JSONResponse({"error": error, "detail": detail}, status_code=status)
