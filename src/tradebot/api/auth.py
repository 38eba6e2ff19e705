"""Who may ask: everybody who knows the token, for everything but the two probes.

The check is a middleware, so it comes before a body is read and before a route is known to exist: nobody without
the token learns anything. A socket is let through here and shows its token itself (`routes/stream.py`).
"""

from __future__ import annotations

import hmac

from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from tradebot.api.errors import error_response
from tradebot.domain.errors import SettingsError

OPEN_PATHS = frozenset({"/health/live", "/health/ready"})

# For the OpenAPI document alone: the middleware below has already decided when a route is reached.
bearer = HTTPBearer(auto_error=False, description="The token the bot was started with.")


class Token:
    """Holds the secret, compares in constant time, and never prints itself."""

    def __init__(self, secret: str) -> None:
        if not secret:
            raise SettingsError(
                "api.token is empty", remedy="Set TRADEBOT_TOKEN: a service that trades has no default token"
            )
        self._secret = secret.encode()

    def matches(self, candidate: bytes) -> bool:
        return hmac.compare_digest(self._secret, candidate)

    def in_headers(self, headers: list[tuple[bytes, bytes]]) -> bool | None:
        """Whether `Authorization: Bearer` holds the token; None where there is no such header."""
        given = next((value for name, value in headers if name == b"authorization"), None)
        if given is None:
            return None
        scheme, _, candidate = given.partition(b" ")
        return scheme.lower() == b"bearer" and self.matches(candidate.strip())


class RequireToken:
    def __init__(self, app: ASGIApp, token: Token) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and not self._token.in_headers(scope["headers"]):
            response = error_response(
                401,
                "unauthorised",
                "this needs the bot's token: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)
