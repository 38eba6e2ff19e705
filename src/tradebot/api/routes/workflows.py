"""Entries and exits: accepted at once and durably, carried out as workflows that can be followed."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from tradebot.api.facts import json_response
from tradebot.api.models import Accepted, DryRunAnswer, EntryBody, ExitBody, Workflow
from tradebot.api.routes.common import BAD_BODY, CONFLICT, NOT_FOUND, VENUE, Id, Limit, bot_of, ready_bot_of
from tradebot.domain import workflows as domain
from tradebot.domain.errors import Refused

router = APIRouter(prefix="/api/workflows", tags=["workflows"])

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same request answers with the same workflow, however often it comes.",
    ),
]


@router.post("/entry", status_code=202, responses={**BAD_BODY, **CONFLICT, **VENUE})
async def enter(body: EntryBody, request: Request, response: Response, key: Key = None) -> Accepted:
    """Ask for a new strategy."""
    workflow, new = await ready_bot_of(request).desk.enter(body.to_domain(), key)
    return _accepted(workflow, response, new=new)


@router.post("/exit", status_code=202, responses={**BAD_BODY, **NOT_FOUND, **CONFLICT, **VENUE})
async def leave(body: ExitBody, request: Request, response: Response, key: Key = None) -> Accepted:
    """Ask for a strategy to be closed, all of it or some units."""
    workflow, new = await ready_bot_of(request).desk.exit(body.to_domain(), key)
    return _accepted(workflow, response, new=new)


@router.post("/entry/dry-run", response_model=DryRunAnswer, responses={**BAD_BODY, **VENUE})
async def dry_run(body: EntryBody, request: Request) -> Response:
    """What an entry would do and which limit would refuse it; nothing is written or sent."""
    bot = ready_bot_of(request)
    try:
        outcome = await bot.desk.dry_run(body.to_domain())
    except Refused as refusal:
        outcome = domain.DryRun(plan=None, accepted=False, limit=refusal.limit, reason=str(refusal))
    return json_response(outcome)


@router.get("", response_model=list[Workflow])
async def listed(request: Request, state: domain.WorkflowState | None = None, limit: Limit = 100) -> Response:
    found = (each for each in reversed(bot_of(request).workflows.all()) if state is None or each.state is state)
    return json_response(tuple(islice(found, limit)))


@router.get("/{workflow_id}", response_model=Workflow, responses=NOT_FOUND)
async def one(workflow_id: Id, request: Request) -> Response:
    return json_response(bot_of(request).workflows.get(workflow_id))


def _accepted(workflow: domain.Workflow, response: Response, *, new: bool) -> Accepted:
    location = f"{router.prefix}/{workflow.id}"
    response.headers["Location"] = location
    if not new:
        response.headers["Idempotency-Replayed"] = "true"
    return Accepted(id=workflow.id, state=workflow.state, location=location)
