"""Refuses a request body above a size with 413, before anything is parsed and whatever its headers say.

Plain ASGI, because the body must not be read into memory first. Knows no route and no model.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Middleware that counts the bytes of a request while they are read."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        """Refuse what is larger than `max_bytes`."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; reading too much raises, and the application's error handlers answer."""
        limited = self._limited(receive) if scope["type"] == "http" else receive
        await self._app(scope, limited, send)

    def _limited(self, receive: Receive) -> Receive:
        read = 0

        async def counting() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                raise HTTPException(413, f"a body of more than {self._max_bytes:,} bytes")
            return message

        return counting
