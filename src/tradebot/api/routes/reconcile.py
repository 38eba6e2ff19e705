"""Where the venue and we disagree, and a push to look again."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from tradebot.api.facts import json_response
from tradebot.api.models import ReconcileAsked, Reconciliation
from tradebot.api.routes.common import bot_of

router = APIRouter(prefix="/api/reconcile", tags=["reconcile"])


@router.get("", response_model=Reconciliation)
async def last(request: Request) -> Response:
    """The differences that the last run found."""
    reconciler = bot_of(request).reconciler
    return json_response({"runs": reconciler.runs, "differences": reconciler.differences})


@router.post("", status_code=202)
async def ask(request: Request) -> ReconcileAsked:
    """Ask for a run soon."""
    reconciler = bot_of(request).reconciler
    reconciler.request()
    return ReconcileAsked(runs=reconciler.runs)
