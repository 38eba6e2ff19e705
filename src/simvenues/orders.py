"""The exchange's words: what is asked, what became of it, and when an order may fill.

`OrderRequest` → `Order` → `Execution`, all frozen: a listener keeps what it was given. An order type is one matching
rule in `MATCHING`; that table is where further types (stop, trailing) are added.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Literal

import msgspec

from simvenues.instruments import Instrument

Side = Literal["BUY", "SELL"]
ZERO = Decimal(0)
PRICE_TICK = Decimal("0.01")
QUANTITY_MAX = Decimal(1_000_000)
PRICE_MAX = Decimal(1_000_000)
# What one contract or share costs to trade.
COMMISSION = {"OPT": Decimal("0.65"), "STK": Decimal("0.005")}


class Status(Enum):
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"


class Refusal(Enum):
    """Why an order was not taken: a client's adapter maps each to its own error."""

    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_CONTRACT = "unknown_contract"
    EXPIRED_CONTRACT = "expired_contract"
    BAD_QUANTITY = "bad_quantity"
    BAD_PRICE = "bad_price"
    UNKNOWN_ORDER_TYPE = "unknown_order_type"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    MARKET_CLOSED = "market_closed"
    TOO_MANY_ORDERS = "too_many_orders"
    UNKNOWN_ORDER = "unknown_order"
    NOT_WORKING = "not_working"


class RefusedError(Exception):
    """The exchange does not do what was asked; `refusal` says why in one word."""

    def __init__(self, refusal: Refusal, reason: str) -> None:
        super().__init__(reason)
        self.refusal = refusal


class OrderRequest(msgspec.Struct, frozen=True):
    account: str
    client_id: int
    client_order_id: int
    con_id: int
    side: Side
    quantity: Decimal
    kind: str
    limit_price: Decimal | None = None
    order_ref: str = ""
    # DAY ends with the session, IOC after the first try; anything else stays until it fills or is cancelled.
    tif: str = "DAY"
    # Echoed to the client, not enforced.
    oca_group: str = ""


class Order(msgspec.Struct, frozen=True):
    venue_order_id: str
    perm_id: int
    request: OrderRequest
    instrument: Instrument
    status: Status
    placed_at: datetime
    filled: Decimal = ZERO
    average_price: Decimal = ZERO
    last_price: Decimal = ZERO
    reason: str = ""
    done_at: datetime | None = None

    @property
    def remaining(self) -> Decimal:
        return self.request.quantity - self.filled


class Execution(msgspec.Struct, frozen=True):
    exec_id: str
    perm_id: int
    account: str
    client_id: int
    client_order_id: int
    order_ref: str
    instrument: Instrument
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    realized_pnl: Decimal
    cumulative: Decimal
    average_price: Decimal
    at: datetime


class OrderChanged(msgspec.Struct, frozen=True):
    order: Order


class Executed(msgspec.Struct, frozen=True):
    """A fill, with the order as it stands after it."""

    order: Order
    execution: Execution


Event = OrderChanged | Executed
Listener = Callable[[Event], None]


def money(price: float) -> Decimal:
    """A price of the tick grid as money."""
    return Decimal(f"{price:.2f}")


def _match_market(request: OrderRequest, bid: float, ask: float) -> Decimal | None:
    price = ask if request.side == "BUY" else bid
    return money(price) if price > 0 else None


def _match_limit(request: OrderRequest, bid: float, ask: float) -> Decimal | None:
    price = _match_market(request, bid, ask)
    limit = request.limit_price
    if price is None or limit is None:
        return None
    crosses = price <= limit if request.side == "BUY" else price >= limit
    return price if crosses else None


# Order type → the price at which it fills against this bid and ask, or nothing yet.
MATCHING: dict[str, Callable[[OrderRequest, float, float], Decimal | None]] = {
    "MKT": _match_market,
    "LMT": _match_limit,
}
PRICED = frozenset({"LMT"})


def validate(request: OrderRequest) -> None:
    """What can be judged without market and money: quantity, order type, price."""
    quantity = request.quantity
    if not quantity.is_finite() or not 0 < quantity <= QUANTITY_MAX or quantity != int(quantity):
        raise RefusedError(Refusal.BAD_QUANTITY, f"A quantity is a whole number from 1 to {QUANTITY_MAX}.")
    if request.kind not in MATCHING:
        known = ", ".join(MATCHING)
        raise RefusedError(Refusal.UNKNOWN_ORDER_TYPE, f"Order type {request.kind!r} is not traded: use {known}.")
    if request.kind in PRICED:
        price = request.limit_price
        if price is None or not price.is_finite() or not 0 < price <= PRICE_MAX or price % PRICE_TICK:
            raise RefusedError(Refusal.BAD_PRICE, f"A limit price is a positive multiple of {PRICE_TICK}.")
