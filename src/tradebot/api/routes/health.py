"""Is it alive, may it be used, and how is it: the two probes need no token, the facts and the metrics do."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from tradebot.api.models import ErrorAnswer, HealthAnswer, LiveAnswer, ReadyAnswer
from tradebot.api.routes.common import ready_bot_of, state_of

probes = APIRouter(tags=["health"])
router = APIRouter(tags=["health"])


@probes.get("/health/live")
async def live() -> LiveAnswer:
    """The process answers."""
    return LiveAnswer()


@probes.get("/health/ready", responses={503: {"model": ErrorAnswer, "description": "Still recovering"}})
async def ready(request: Request) -> ReadyAnswer:
    """Recovery has ended and requests are taken."""
    ready_bot_of(request)
    return ReadyAnswer()


@router.get("/health")
async def health(request: Request) -> HealthAnswer:
    state = state_of(request)
    bot = state.bot
    return HealthAnswer(
        profile=bot.settings.profile,
        ready=bot.ready,
        started_at=bot.started_at,
        uptime_s=(bot.clock.now() - bot.started_at).total_seconds(),
        venue=bot.venue.capabilities.name,
        connected=bot.venue.connected,
        tasks=len(bot.supervisor.alive()),
        sockets=len(state.sockets),
        facts=dict(bot.health()),
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    return Response(generate_latest(state_of(request).registry), media_type=CONTENT_TYPE_LATEST)
