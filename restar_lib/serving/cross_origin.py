"""Lets pages of configured sites ask for predictions from a browser (CORS, the Fetch standard); others may not.

Only for the routes that a page needs: predictions, and what serves with its notice. No cookies and no other credentials
are ever allowed, and no origin that is not named: without a login, whoever may read the answers may ask anything.
Metrics, health and the documentation are for the same site alone. Keeps nobody out who asks without a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

ROUTES: Final = frozenset({"/predict", "/predict/batch", "/predict/sentences", "/model/info"})
PREFLIGHT_SECONDS: Final = 600
"""So long a browser need not ask again; it is what they keep at most by default."""


class CrossOrigin:
    """Middleware that answers preflights of the configured origins and marks the answers that their pages may read."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        """`origins` as browsers send them: `https://shop.example`, with a port where it is not the usual one."""
        self._app, self._origins = app, frozenset(origins)
        self._permitted = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["content-type"],
            expose_headers=["Retry-After"],
            max_age=PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything else passes as if there were no such thing."""
        permitted = scope["type"] == "http" and scope["path"] in ROUTES and self._is_ours(scope)
        await (self._permitted if permitted else self._app)(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        return Headers(scope=scope).get("origin") in self._origins
