"""The application: routes, middleware and error answers around one bot, with no global in sight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Security

from tradebot.api import errors
from tradebot.api.auth import RequireToken, Token, bearer
from tradebot.api.body import LimitBody
from tradebot.api.metrics import registry_of
from tradebot.api.models import ErrorAnswer
from tradebot.api.port import BotView
from tradebot.api.routes import alerts, health, operations, portfolio, reconcile, strategies, stream, workflows
from tradebot.api.routes.common import AppState
from tradebot.api.socket import Sockets

# Every route below the token can answer these.
COMMON: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorAnswer, "description": "No token, or a wrong one"},
    422: {"model": ErrorAnswer, "description": "The request means nothing"},
    503: {"model": ErrorAnswer, "description": "Not now: busy, recovering, or the breaker is open"},
}


def create_app(bot: BotView) -> FastAPI:
    token = Token(bot.settings.api.token)
    sockets = Sockets(bot)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sockets.start()
        try:
            yield
        finally:
            await sockets.stop()

    app = FastAPI(
        title="tradebot",
        version="1",
        description="A trading bot: ask for an entry or an exit, see what it holds, what it is worth and what it did.",
        lifespan=lifespan,
        docs_url=None,  # a page that loads scripts from elsewhere has no place on a service that trades
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.bot = AppState(bot=bot, token=token, sockets=sockets, registry=registry_of(bot, sockets))
    app.include_router(health.probes)
    for room in (health, workflows, strategies, portfolio, alerts, reconcile, operations):
        app.include_router(room.router, dependencies=[Security(bearer)], responses=COMMON)
    app.include_router(stream.router)
    errors.install(app)
    app.add_middleware(LimitBody)
    app.add_middleware(RequireToken, token=token)  # added last: asked first
    return app
