"""Workflows: an entry or an exit as a user asked for it, with each step's time."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from tradebot.domain.strategies import StrategyKind, StrategyPlan


class WorkflowState(enum.StrEnum):
    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"  # a gate said no: nothing was sent
    FAILED = "failed"


FINAL_WORKFLOW_STATES = frozenset({WorkflowState.DONE, WorkflowState.REFUSED, WorkflowState.FAILED})


class EntryRequest(msgspec.Struct, frozen=True, gc=False, tag="entry"):
    symbol: str
    kind: StrategyKind
    quantity: int = 1


class ExitRequest(msgspec.Struct, frozen=True, gc=False, tag="exit"):
    strategy_id: str
    quantity: int | None = None  # None: all that is open
    reason: str = "asked for"


WorkflowRequest = EntryRequest | ExitRequest


class Step(msgspec.Struct, frozen=True, gc=False):
    """A finished step: when it began after the workflow's start, and how long it took."""

    name: str
    start_ms: float
    duration_ms: float


class Workflow(msgspec.Struct, frozen=True, gc=False):
    id: str
    request: WorkflowRequest
    state: WorkflowState
    accepted_at: datetime
    steps: tuple[Step, ...] = ()
    strategy_id: str = ""
    finished_at: datetime | None = None
    error: str = ""
    limit: str = ""  # the limit's name, where a gate refused


class DryRun(msgspec.Struct, frozen=True, gc=False):
    """What an entry would do: the plan, and the name of the limit that would refuse it, if any."""

    plan: StrategyPlan | None
    accepted: bool
    limit: str = ""
    reason: str = ""
