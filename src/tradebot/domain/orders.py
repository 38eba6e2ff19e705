"""Orders and fills: what we intend, what the venue says became of it."""

from __future__ import annotations

import enum
from datetime import datetime
from decimal import Decimal

import msgspec

from tradebot.domain.instruments import OptionContract
from tradebot.domain.units import Money


class Side(enum.StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(enum.StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(enum.StrEnum):
    DAY = "DAY"
    GTC = "GTC"


class OrderState(enum.StrEnum):
    PENDING = "pending"  # durable in the journal, perhaps on the wire
    WORKING = "working"  # the venue acknowledged it
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Purpose(enum.StrEnum):
    OPEN = "open"
    CLOSE = "close"
    UNWIND = "unwind"  # gives back what an entry that failed had already filled


FINAL_ORDER_STATES = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED})


class OrderIntent(msgspec.Struct, frozen=True, gc=False):
    """Written to the journal before anything is sent; `client_id` is what makes sending it twice harmless."""

    client_id: str
    workflow_id: str
    strategy_id: str
    leg: int
    contract: OptionContract
    side: Side
    quantity: int
    order_type: OrderType
    limit: Money | None
    tif: TimeInForce
    at: datetime
    purpose: Purpose = Purpose.OPEN


class OrderUpdate(msgspec.Struct, frozen=True, gc=False):
    """The venue's present word on one order; the same word may come twice, and in any order."""

    client_id: str
    venue_order_id: str
    state: OrderState
    filled: int
    remaining: int
    at: datetime
    reason: str = ""


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One execution. `execution_id` is unique at the venue: a fill reported twice is one fill."""

    execution_id: str
    client_id: str
    contract: OptionContract
    side: Side
    quantity: int
    price: Money
    commission: Money
    at: datetime

    @property
    def cash(self) -> Money:
        """What it put into (+) or took from (-) the account, commission included."""
        return -self.side.sign * self.quantity * self.contract.multiplier * self.price - self.commission


class Position(msgspec.Struct, frozen=True, gc=False):
    contract: OptionContract
    quantity: int
    average_price: Money = Decimal(0)


class AccountSummary(msgspec.Struct, frozen=True, gc=False):
    account: str
    equity: Money
    cash: Money
    buying_power: Money
    at: datetime
