"""What the bot's API must answer, in structs of our own, and the one door through which an answer comes in.

bytes of a response -> `read` with the struct that the route promises -> a value, or `Wrong` with what is wrong.

The bot's own structs would agree with any mistake that the bot makes in them, so these are written from its published
description. A field more breaks no client and is let through; one that is missing, of another type or of a value
that is not on the list is wrong. What a right shape says is judged in `meaning.py`.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")

WorkflowState = Literal["accepted", "running", "done", "refused", "failed"]
StrategyState = Literal["pending", "open", "partial", "closed", "failed"]
OrderState = Literal["pending", "working", "partial", "filled", "cancelled", "rejected"]
AlertState = Literal["active", "acknowledged", "resolved", "dismissed"]
Side = Literal["BUY", "SELL"]
Kind = Literal["iron_condor", "vertical"]

FINAL: frozenset[WorkflowState] = frozenset({"done", "refused", "failed"})
LIST_MAX = 1_000  # what one list of the API holds at most


class Wrong(Exception):
    """An answer that came, and is wrong; the sentence holds no id, so that equal mistakes are counted together."""


class Accepted(msgspec.Struct, frozen=True):
    id: str
    state: WorkflowState
    location: str


class EntryAsked(msgspec.Struct, frozen=True, tag="entry"):
    symbol: str
    kind: Kind
    quantity: int


class ExitAsked(msgspec.Struct, frozen=True, tag="exit"):
    strategy_id: str
    quantity: int | None
    reason: str


class Step(msgspec.Struct, frozen=True):
    name: str
    start_ms: float
    duration_ms: float


class Workflow(msgspec.Struct, frozen=True):
    id: str
    request: EntryAsked | ExitAsked
    state: WorkflowState
    accepted_at: datetime
    finished_at: datetime | None
    strategy_id: str
    error: str
    limit: str
    steps: tuple[Step, ...]


class Contract(msgspec.Struct, frozen=True):
    type: Literal["option"]
    symbol: str
    expiry: date
    strike: Decimal
    right: Literal["P", "C"]
    multiplier: int

    @property
    def key(self) -> str:
        return contract_key(self.symbol, self.expiry, self.right, self.strike)


def contract_key(symbol: str, expiry: date, right: str, strike: Decimal) -> str:
    """One name for a contract, whoever speaks of it: `SPY-20261218-C-600`."""
    return f"{symbol}-{expiry:%Y%m%d}-{right}-{strike.normalize():f}"


class Leg(msgspec.Struct, frozen=True):
    contract: Contract
    side: Side

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1


class Plan(msgspec.Struct, frozen=True):
    kind: Kind
    symbol: str
    expiry: date
    legs: tuple[Leg, ...]
    credit: Decimal
    max_loss: Decimal
    max_profit: Decimal


class DryRun(msgspec.Struct, frozen=True):
    plan: Plan | None
    accepted: bool
    limit: str
    reason: str


class LegStatus(msgspec.Struct, frozen=True):
    leg: Leg
    state: Literal["pending", "filled", "cancelled", "expiring", "expired"]
    held: int
    entry_price: Decimal


class Strategy(msgspec.Struct, frozen=True):
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
    applied: tuple[str, ...]

    @property
    def alive(self) -> bool:
        """Whether it may hold something, or be about to."""
        return self.state in {"pending", "open", "partial"}


class Position(msgspec.Struct, frozen=True):
    contract: Contract
    quantity: int
    average_price: Decimal


class Greeks(msgspec.Struct, frozen=True):
    """None: a price is not known yet."""

    value_money: float | None
    delta_shares: float | None
    gamma_shares_per_point: float | None
    theta_money_per_day: float | None
    vega_money_per_unit_volatility: float | None
    rho_money_per_unit_rate: float | None


class PortfolioGreeks(msgspec.Struct, frozen=True):
    portfolio: Greeks
    by_symbol: dict[str, Greeks]


class Intent(msgspec.Struct, frozen=True):
    client_id: str
    workflow_id: str
    strategy_id: str
    contract: Contract
    side: Side
    quantity: int
    at: datetime


class Order(msgspec.Struct, frozen=True):
    intent: Intent
    state: OrderState
    venue_order_id: str
    filled: int
    reason: str


class Alert(msgspec.Struct, frozen=True):
    id: str
    severity: Literal["info", "warning", "critical"]
    state: AlertState
    source: str
    message: str
    at: datetime
    symbol: str
    changed_at: datetime | None


class Limits(msgspec.Struct, frozen=True):
    """Symbol -> limit -> what it leaves for one more entry; None: it does not apply."""

    remaining: dict[str, dict[str, float | None]]


class Bound(msgspec.Struct, frozen=True):
    name: str
    length: int
    capacity: int


class Health(msgspec.Struct, frozen=True):
    profile: str
    ready: bool
    started_at: datetime
    uptime_s: float
    venue: str
    connected: bool
    tasks: int
    sockets: int


class _Facts(msgspec.Struct, frozen=True):
    code: str
    message: str
    limit: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """The body of every answer that is no success."""

    error: _Facts


def read(kind: type[T], body: bytes | None) -> T:
    """The answer as what its route promises; raises `Wrong` where it is anything else."""
    try:
        return msgspec.json.decode(body or b"", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is one of the first
        raise Wrong(f"the answer has another shape: {error}") from None
