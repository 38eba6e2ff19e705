"""The edge: what a request may say, and what an answer says. pydantic lives here and nowhere deeper.

Requests are checked with strict bounds and then turned into domain structs. Answers that only mirror a domain
struct are encoded from it directly (`facts.py`), and the models here describe them to OpenAPI: a test holds the two
together. Money is a Decimal and travels as a string; a float without a value (NaN) travels as null.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tradebot.domain.alerts import AlertState, Severity
from tradebot.domain.instruments import Right
from tradebot.domain.orders import OrderState, OrderType, Purpose, Side, TimeInForce
from tradebot.domain.strategies import LegState, StrategyKind, StrategyState
from tradebot.domain.workflows import EntryRequest, ExitRequest, WorkflowState

QUANTITY_MAX = 1_000

Quantity = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX)]
Symbol = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9.]{0,11}$", examples=["SPY"])]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


Finite = Annotated[float | None, BeforeValidator(_known)]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EntryBody(Request):
    symbol: Symbol
    kind: StrategyKind
    quantity: Quantity = 1

    def to_domain(self) -> EntryRequest:
        return EntryRequest(symbol=self.symbol, kind=self.kind, quantity=self.quantity)


class ExitBody(Request):
    strategy_id: Name
    quantity: Annotated[Quantity | None, Field(description="Units to close; none given: all that are open.")] = None
    reason: Annotated[str, Field(min_length=1, max_length=200)] = "asked for"

    def to_domain(self) -> ExitRequest:
        return ExitRequest(strategy_id=self.strategy_id, quantity=self.quantity, reason=self.reason)


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorFacts(Answer):
    code: str
    message: str
    limit: Annotated[str, Field(description="The limit that refused; absent for other errors.")] = ""


class ErrorAnswer(Answer):
    error: ErrorFacts


class LiveAnswer(Answer):
    live: Literal[True] = True


class ReadyAnswer(Answer):
    ready: Literal[True] = True


class HealthAnswer(Answer):
    profile: str
    ready: bool
    started_at: datetime
    uptime_s: float
    venue: str
    connected: bool
    tasks: int
    sockets: int
    facts: dict[str, object]


class Contract(Answer):
    """Named `SYMBOL-YYYYMMDD-RIGHT-STRIKE` where a name is needed: SPY-20261218-C-600."""

    type: Literal["option"]
    symbol: str
    expiry: date
    strike: Decimal
    right: Right
    multiplier: int


class Leg(Answer):
    contract: Contract
    side: Side


class Plan(Answer):
    kind: StrategyKind
    symbol: str
    expiry: date
    legs: tuple[Leg, ...]
    credit: Decimal
    max_loss: Decimal
    max_profit: Decimal


class DryRunAnswer(Answer):
    plan: Plan | None
    accepted: bool
    limit: str
    reason: str


class Accepted(Answer):
    id: str
    state: WorkflowState
    location: str


class EntryAsked(Answer):
    type: Literal["entry"]
    symbol: str
    kind: StrategyKind
    quantity: int


class ExitAsked(Answer):
    type: Literal["exit"]
    strategy_id: str
    quantity: int | None
    reason: str


class Step(Answer):
    name: str
    start_ms: float
    duration_ms: float


class Workflow(Answer):
    id: str
    request: Annotated[EntryAsked | ExitAsked, Field(discriminator="type")]
    state: WorkflowState
    accepted_at: datetime
    finished_at: datetime | None
    strategy_id: str
    error: str
    limit: str
    steps: tuple[Step, ...]


class LegStatus(Answer):
    leg: Leg
    state: LegState
    held: int
    entry_price: Decimal


class Strategy(Answer):
    id: str
    plan: Plan
    quantity: int
    remaining: int
    state: StrategyState
    legs: tuple[LegStatus, ...]
    opened_at: datetime | None
    closed_at: datetime | None
    entry_cash: Decimal
    exit_cash: Decimal
    reason: str
    applied: Annotated[tuple[str, ...], Field(description="The workflows whose fills are counted here.")]


class Position(Answer):
    contract: Contract
    quantity: int
    average_price: Decimal


class Greeks(Answer):
    """Of whole positions: quantity and multiplier are in. A unit that is not known (no quote yet) is null."""

    value_money: Finite
    delta_shares: Finite
    gamma_shares_per_point: Finite
    theta_money_per_day: Finite
    vega_money_per_unit_volatility: Finite
    rho_money_per_unit_rate: Finite


class PortfolioGreeks(Answer):
    portfolio: Greeks
    by_symbol: dict[str, Greeks]


class Intent(Answer):
    client_id: str
    workflow_id: str
    strategy_id: str
    leg: int
    contract: Contract
    side: Side
    quantity: int
    order_type: OrderType
    limit: Decimal | None
    tif: TimeInForce
    at: datetime
    purpose: Purpose


class Order(Answer):
    intent: Intent
    state: OrderState
    venue_order_id: str
    filled: int
    reason: str


class Alert(Answer):
    id: str
    severity: Severity
    state: AlertState
    source: str
    message: str
    at: datetime
    symbol: str
    changed_at: datetime | None


class Difference(Answer):
    kind: str
    contract: str
    ours: int
    venues: int


class Reconciliation(Answer):
    runs: int
    differences: tuple[Difference, ...]


class ReconcileAsked(Answer):
    """A run was asked for; it has taken place once `runs` is greater than here."""

    runs: int


class Breaker(Answer):
    state: str


class Limits(Answer):
    """Symbol -> limit -> what it leaves for an entry in that symbol, in the limit's unit; null: it does not apply."""

    remaining: dict[str, dict[str, Finite]]


class Bound(Answer):
    name: str
    length: int
    capacity: int
