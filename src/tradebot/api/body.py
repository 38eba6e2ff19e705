"""How much a request may carry: what is read is counted, so a wrong or missing Content-Length helps nobody."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX = 64 * 1024


class LimitBody:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen_bytes = 0

        async def counted() -> Message:
            nonlocal seen_bytes
            message = await receive()
            seen_bytes += len(message.get("body", b""))
            if seen_bytes > BODY_BYTES_MAX:
                raise HTTPException(413, f"a body may have {BODY_BYTES_MAX} bytes at most")
            return message

        await self._app(scope, counted, send)
