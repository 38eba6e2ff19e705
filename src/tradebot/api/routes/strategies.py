"""Strategies: what was opened as one, with its legs and its cash."""

from __future__ import annotations

from itertools import islice

from fastapi import APIRouter, Request
from starlette.responses import Response

from tradebot.api.facts import json_response
from tradebot.api.models import Strategy
from tradebot.api.routes.common import NOT_FOUND, Id, Limit, bot_of
from tradebot.domain.strategies import StrategyState

router = APIRouter(prefix="/api/strategies", tags=["strategies"])


@router.get("", response_model=list[Strategy])
async def listed(request: Request, state: StrategyState | None = None, limit: Limit = 100) -> Response:
    """Those that are held first, then those that have ended."""
    found = (each for each in reversed(bot_of(request).strategies.all()) if state is None or each.state is state)
    return json_response(tuple(islice(found, limit)))


@router.get("/{strategy_id}", response_model=Strategy, responses=NOT_FOUND)
async def one(strategy_id: Id, request: Request) -> Response:
    return json_response(bot_of(request).strategies.get(strategy_id))
