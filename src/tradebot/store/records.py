"""What the journal records: one tagged struct for each kind of fact, and the row it becomes.

record -> `to_row` (kind, key, owner, final, JSON body) -> the journal's table -> `from_body` -> record. Kind and key
say which thing it is about; `owner` is the strategy it belongs to and `final` that nothing comes after it: the two by
which the journal knows what it may forget.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from tradebot.domain.alerts import Alert, AlertState
from tradebot.domain.orders import FINAL_ORDER_STATES, Fill, OrderIntent, OrderUpdate
from tradebot.domain.strategies import Strategy, StrategyState
from tradebot.domain.workflows import FINAL_WORKFLOW_STATES, Workflow

FINAL_STRATEGY_STATES = frozenset({StrategyState.CLOSED, StrategyState.FAILED})
FINAL_ALERT_STATES = frozenset({AlertState.RESOLVED, AlertState.DISMISSED})


class IntentRecorded(msgspec.Struct, frozen=True, gc=False, tag="intent"):
    intent: OrderIntent


class OrderChangedRecord(msgspec.Struct, frozen=True, gc=False, tag="order"):
    update: OrderUpdate


class FillRecorded(msgspec.Struct, frozen=True, gc=False, tag="fill"):
    fill: Fill
    strategy_id: str


class StrategyRecorded(msgspec.Struct, frozen=True, gc=False, tag="strategy"):
    strategy: Strategy


class WorkflowRecorded(msgspec.Struct, frozen=True, gc=False, tag="workflow"):
    workflow: Workflow
    key: str  # the request's Idempotency-Key
    fingerprint: str  # the request's hash: the same key with another one is refused


class AlertRecorded(msgspec.Struct, frozen=True, gc=False, tag="alert"):
    alert: Alert


Record = IntentRecorded | OrderChangedRecord | FillRecorded | StrategyRecorded | WorkflowRecorded | AlertRecorded

_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class Row(NamedTuple):
    at: str  # UTC with microseconds, so that text sorts as time does
    kind: str
    key: str
    owner: str
    final: bool
    body: bytes


def to_row(record: Record, at: datetime) -> Row:
    kind, key, owner, final = _identity(record)
    return Row(at_text(at), kind, key, owner, final, msgspec.json.encode(record))


def from_body(body: bytes) -> Record:
    """Raises `msgspec.MsgspecError` for bytes that are no record."""
    return _DECODER.decode(body)


def at_text(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _identity(record: Record) -> tuple[str, str, str, bool]:
    match record:
        case IntentRecorded(intent):
            return "intent", intent.client_id, intent.strategy_id, False
        case OrderChangedRecord(update):
            return "order", update.client_id, "", update.state in FINAL_ORDER_STATES
        case FillRecorded(fill, strategy_id):
            return "fill", fill.execution_id, strategy_id, False
        case StrategyRecorded(strategy):
            return "strategy", strategy.id, strategy.id, strategy.state in FINAL_STRATEGY_STATES
        case WorkflowRecorded(workflow):
            return "workflow", workflow.id, workflow.strategy_id, workflow.state in FINAL_WORKFLOW_STATES
        case AlertRecorded(alert):
            return "alert", alert.id, "", alert.state in FINAL_ALERT_STATES
