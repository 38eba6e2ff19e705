"""What travels on the bus: facts that already happened, each a tagged struct that encodes to one JSON object."""

from __future__ import annotations

from datetime import datetime

import msgspec

from tradebot.domain.alerts import Alert
from tradebot.domain.decisions import Decision
from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.market import Quote
from tradebot.domain.orders import Fill, OrderIntent, OrderUpdate
from tradebot.domain.strategies import Strategy
from tradebot.domain.workflows import Workflow


class QuoteChanged(msgspec.Struct, frozen=True, gc=False, tag="quote"):
    quote: Quote


class OrderPlaced(msgspec.Struct, frozen=True, gc=False, tag="order_placed"):
    intent: OrderIntent


class OrderChanged(msgspec.Struct, frozen=True, gc=False, tag="order"):
    update: OrderUpdate


class Filled(msgspec.Struct, frozen=True, gc=False, tag="fill"):
    fill: Fill
    strategy_id: str


class StrategyChanged(msgspec.Struct, frozen=True, gc=False, tag="strategy"):
    strategy: Strategy


class WorkflowChanged(msgspec.Struct, frozen=True, gc=False, tag="workflow"):
    workflow: Workflow


class Decided(msgspec.Struct, frozen=True, gc=False, tag="decision"):
    strategy_id: str
    decision: Decision
    at: datetime


class AlertChanged(msgspec.Struct, frozen=True, gc=False, tag="alert"):
    alert: Alert


class GreeksChanged(msgspec.Struct, frozen=True, gc=False, tag="greeks"):
    at: datetime
    portfolio: PositionGreeks
    by_symbol: dict[str, PositionGreeks]


class ConnectionChanged(msgspec.Struct, frozen=True, gc=False, tag="connection"):
    venue: str
    connected: bool
    at: datetime
    reason: str = ""


Event = (
    QuoteChanged
    | OrderPlaced
    | OrderChanged
    | Filled
    | StrategyChanged
    | WorkflowChanged
    | Decided
    | AlertChanged
    | GreeksChanged
    | ConnectionChanged
)
