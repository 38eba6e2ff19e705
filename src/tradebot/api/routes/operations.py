"""Levers and gauges for who runs the bot: the breaker, the limits, the bounded things."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from tradebot.api.facts import json_response
from tradebot.api.models import Bound, Breaker, Limits, Symbol
from tradebot.api.routes.common import VENUE, bot_of

router = APIRouter(prefix="/api", tags=["operations"])


@router.post("/breaker/reset")
async def reset_breaker(request: Request) -> Breaker:
    """Close the breaker by hand, once the cause is gone."""
    breaker = bot_of(request).breaker
    breaker.reset()
    return Breaker(state=breaker.state)


@router.get("/limits", responses=VENUE)
async def limits(request: Request, symbol: Symbol | None = None) -> Limits:
    """What each limit leaves for one symbol, or for each that the bot is set up for."""
    bot = bot_of(request)
    symbols = bot.settings.symbols if symbol is None else (symbol,)
    return Limits(remaining={each: dict(await bot.capacity(each)) for each in symbols})


@router.get("/bounds", response_model=list[Bound])
async def bounds(request: Request) -> Response:
    """Every bounded thing: how full it is."""
    return json_response(bot_of(request).bounds.snapshot())
