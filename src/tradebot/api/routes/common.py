"""What every route starts from: the bot behind the app, and the answers that several routes share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from prometheus_client import CollectorRegistry
from starlette.requests import HTTPConnection

from tradebot.api.auth import Token
from tradebot.api.errors import NotReady
from tradebot.api.models import ErrorAnswer
from tradebot.api.port import BotView
from tradebot.api.socket import Sockets

Limit = Annotated[int, Query(ge=1, le=1_000, description="At most so many, newest first.")]
Id = Annotated[str, Path(min_length=1, max_length=64)]

NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorAnswer, "description": "There is no such thing"}}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorAnswer, "description": "What is asked does not fit what is"}
}
BAD_BODY: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The body cannot be read"},
    413: {"model": ErrorAnswer, "description": "The body is too large"},
}
VENUE: dict[int | str, dict[str, Any]] = {
    502: {"model": ErrorAnswer, "description": "The venue failed"},
    504: {"model": ErrorAnswer, "description": "The venue did not answer in time"},
}


class AppState:
    """What one app holds on to."""

    def __init__(self, *, bot: BotView, token: Token, sockets: Sockets, registry: CollectorRegistry) -> None:
        self.bot = bot
        self.token = token
        self.sockets = sockets
        self.registry = registry


def state_of(connection: HTTPConnection[Any]) -> AppState:
    state: AppState = connection.app.state.bot
    return state


def bot_of(connection: HTTPConnection[Any]) -> BotView:
    return state_of(connection).bot


def ready_bot_of(connection: HTTPConnection[Any]) -> BotView:
    """For requests that open or close something: never before recovery has ended, nor while there is no venue."""
    bot = bot_of(connection)
    if not bot.ready:
        raise NotReady(connected=bot.venue.connected)
    return bot
