"""What the bus says, as a socket hears it: `event -> (type, at, data)`, encoded once for everybody.

`data` is the domain struct itself, in the same shape as over HTTP. An encoded message lacks only its number, which
differs between streams: `numbered` puts it in front. Answers to one client have none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from tradebot.api.facts import portfolio_facts
from tradebot.domain.events import (
    AlertChanged,
    ConnectionChanged,
    Decided,
    Event,
    Filled,
    GreeksChanged,
    OrderChanged,
    OrderPlaced,
    QuoteChanged,
    StrategyChanged,
    WorkflowChanged,
)


class Heartbeat(msgspec.Struct, frozen=True):
    """Told like an event, by the service itself, so that silence is never news."""

    ready: bool
    interval_s: float


Message = Event | Heartbeat  # what a stream tells


class Teller(NamedTuple):
    type: str
    data: Callable[[Any], object]
    at: Callable[[Any], datetime] | None = None  # None: the event does not know, so the instant of telling


TELLERS: dict[type, Teller] = {
    Heartbeat: Teller("HEARTBEAT", lambda beat: beat),
    QuoteChanged: Teller("QUOTE", lambda event: event.quote, lambda event: event.quote.at),
    OrderPlaced: Teller("ORDER_PLACED", lambda event: event.intent, lambda event: event.intent.at),
    OrderChanged: Teller("ORDER_UPDATE", lambda event: event.update, lambda event: event.update.at),
    Filled: Teller(
        "FILL", lambda event: {"strategy_id": event.strategy_id, "fill": event.fill}, lambda event: event.fill.at
    ),
    StrategyChanged: Teller("POSITION_UPDATE", lambda event: event.strategy),
    WorkflowChanged: Teller("WORKFLOW", lambda event: event.workflow),
    Decided: Teller(
        "DECISION",
        lambda event: {"strategy_id": event.strategy_id, "decision": event.decision},
        lambda event: event.at,
    ),
    AlertChanged: Teller("ALERT", lambda event: event.alert, lambda event: event.alert.changed_at or event.alert.at),
    GreeksChanged: Teller(
        "GREEKS", lambda event: portfolio_facts(event.portfolio, event.by_symbol), lambda event: event.at
    ),
    ConnectionChanged: Teller(
        "CONNECTION",
        lambda event: {"venue": event.venue, "connected": event.connected, "reason": event.reason},
        lambda event: event.at,
    ),
}


def encode_event(event: Message, now: datetime) -> str:
    teller = TELLERS[type(event)]
    return encode(teller.type, now if teller.at is None else teller.at(event), teller.data(event))


def encode(kind: str, at: datetime, data: object) -> str:
    """A message without its number: everything after the opening brace."""
    return msgspec.json.encode({"type": kind, "at": at, "data": data}).decode()[1:]


def numbered(seq: int, message: str) -> str:
    return f'{{"seq":{seq},{message}'


def unnumbered(message: str) -> str:
    return f"{{{message}"


def gap(dropped: int) -> str:
    return f'{{"type":"GAP","dropped":{dropped}}}'
