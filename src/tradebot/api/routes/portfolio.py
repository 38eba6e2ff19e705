"""What is held, what it is worth in Greeks, and the orders behind it."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tradebot.api.facts import json_response, order_facts, portfolio_facts
from tradebot.api.models import Order, PortfolioGreeks, Position
from tradebot.api.routes.common import Limit, bot_of

router = APIRouter(prefix="/api", tags=["portfolio"])

OnlyOpen = Annotated[bool, Query(alias="open", description="Only orders that are not settled yet.")]


@router.get("/positions", response_model=list[Position])
async def positions(request: Request) -> Response:
    """Net quantity and average price of each contract, as our own fills made them."""
    return json_response(bot_of(request).inbox.positions.all())


@router.get("/portfolio/greeks", response_model=PortfolioGreeks)
async def greeks(request: Request) -> Response:
    bot = bot_of(request)
    return json_response(portfolio_facts(bot.portfolio_greeks(), bot.greeks_by_symbol()))


@router.get("/orders", response_model=list[Order])
async def orders(request: Request, only_open: OnlyOpen = False, limit: Limit = 100) -> Response:
    tracker = bot_of(request).inbox.orders
    found = tracker.open_orders() if only_open else tracker.all()
    return json_response([order_facts(each) for each in islice(reversed(found), limit)])
