"""Alerts: what a person should know, and the person's answer to it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from tradebot.api.facts import json_response
from tradebot.api.models import Alert
from tradebot.api.routes.common import CONFLICT, NOT_FOUND, Id, Limit, bot_of
from tradebot.domain.alerts import AlertState

router = APIRouter(prefix="/api/alerts", tags=["alerts"])


@router.get("", response_model=list[Alert])
async def listed(request: Request, state: AlertState | None = None, limit: Limit = 100) -> Response:
    return json_response(bot_of(request).alerts.list(state)[:limit])


@router.post("/{alert_id}/acknowledge", response_model=Alert, responses={**NOT_FOUND, **CONFLICT})
async def acknowledge(alert_id: Id, request: Request) -> Response:
    return _moved(request, alert_id, AlertState.ACKNOWLEDGED)


@router.post("/{alert_id}/resolve", response_model=Alert, responses={**NOT_FOUND, **CONFLICT})
async def resolve(alert_id: Id, request: Request) -> Response:
    return _moved(request, alert_id, AlertState.RESOLVED)


@router.post("/{alert_id}/dismiss", response_model=Alert, responses={**NOT_FOUND, **CONFLICT})
async def dismiss(alert_id: Id, request: Request) -> Response:
    return _moved(request, alert_id, AlertState.DISMISSED)


def _moved(request: Request, alert_id: str, state: AlertState) -> Response:
    return json_response(bot_of(request).alerts.move(alert_id, state))
